import { chmod, chown, lchown, mkdir, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { createSigner, loadSigner } from './key-files.ts'
import { checkKeysFolder, checkSecretFile } from './key-permissions.ts'

const isRoot = process.getuid?.() === 0
const STRANGER = 54_321

let base: string
let keys: string
beforeEach(async () => {
  base = await mkdtemp(join(tmpdir(), 'warren-permissions-'))
  keys = join(base, 'keys')
  await createSigner(join(keys, 'node.key'))
  await mkdir(join(keys, 'trusted'), { mode: 0o700 })
})
afterEach(() => rm(base, { recursive: true, force: true }))

const refused = (path: string, hint = expect.anything()) => ({
  code: 'key_permissions',
  message: expect.stringContaining(path),
  hint,
})

test('a folder that is its owner’s alone passes, and so does one that is not there', async () => {
  await checkKeysFolder(keys)
  await checkKeysFolder(join(base, 'none'))
  await checkSecretFile(join(base, 'none.key'))
})

test.each([0o750, 0o701, 0o770])('a keys folder of mode %o is refused', async (mode) => {
  await chmod(keys, mode)
  await expect(checkKeysFolder(keys)).rejects.toMatchObject(refused(keys, `chmod 700 ${keys}`))
})

test.each(['node.key', 'ci.key', 'trusted/left.key'])('%s that others can read stops the start', async (name) => {
  const path = join(keys, name)
  await writeFile(path, 'secret')
  for (const mode of [0o640, 0o604, 0o620]) {
    await chmod(path, mode)
    await expect(checkKeysFolder(keys)).rejects.toMatchObject(refused(path, `chmod 600 ${path}`))
  }
  await chmod(path, 0o600)
  await checkKeysFolder(keys)
})

test('public keys may be read by everybody, and their folder may not be written by others', async () => {
  await writeFile(join(keys, 'trusted', 'a.pub'), 'x', { mode: 0o644 })
  await checkKeysFolder(keys)
  await chmod(join(keys, 'trusted'), 0o770)
  await expect(checkKeysFolder(keys)).rejects.toMatchObject(refused(join(keys, 'trusted')))
})

test('a link to a key is judged by what it leads to, and by where that stands', async () => {
  const elsewhere = join(base, 'elsewhere')
  const target = join(elsewhere, 'real.key')
  await createSigner(target)
  await symlink(target, join(keys, 'linked.key'))
  await checkKeysFolder(keys)
  await loadSigner(join(keys, 'linked.key'))
  await chmod(target, 0o644)
  await expect(checkKeysFolder(keys)).rejects.toMatchObject(refused(target, `chmod 600 ${target}`))
  await chmod(target, 0o600)
  await chmod(elsewhere, 0o777)
  await expect(checkKeysFolder(keys)).rejects.toMatchObject(refused(elsewhere))
  await expect(loadSigner(join(keys, 'linked.key'))).rejects.toMatchObject(refused(elsewhere))
})

test('a keys folder behind a link is checked where it really is', async () => {
  const open = join(base, 'open')
  await mkdir(open)
  await rename(keys, join(open, 'keys'))
  await symlink(join(open, 'keys'), keys)
  await checkKeysFolder(keys)
  await chmod(open, 0o777)
  await expect(checkKeysFolder(keys)).rejects.toMatchObject(refused(open, `chmod o-w ${open}`))
  await chmod(open, 0o1777)
  await checkKeysFolder(keys)
})

test('a folder or a link to nowhere in the place of a key', async () => {
  await symlink(join(base, 'nowhere'), join(keys, 'gone.key'))
  await checkKeysFolder(keys)
  await mkdir(join(keys, 'odd.key'))
  await expect(checkKeysFolder(keys)).rejects.toMatchObject({ code: 'key_invalid' })
})

test.skipIf(!isRoot)(
  'what another user owns is refused: folder, key, and the folder that a key stands in',
  async () => {
    for (const path of [keys, join(keys, 'node.key'), join(keys, 'trusted')]) {
      await chown(path, STRANGER, STRANGER)
      await expect(checkKeysFolder(keys)).rejects.toMatchObject(
        refused(path, expect.stringContaining(`chown 0 ${path}`)),
      )
      await chown(path, 0, 0)
    }
    await checkKeysFolder(keys)
  },
)

test.skipIf(!isRoot)('a link that another user owns is refused, and one to what another user owns', async () => {
  const [target, link] = [join(base, 'real.key'), join(keys, 'linked.key')]
  await createSigner(target)
  await symlink(target, link)
  await lchown(link, STRANGER, STRANGER)
  await expect(checkSecretFile(link)).rejects.toMatchObject(refused(link))
  await lchown(link, 0, 0)
  await checkSecretFile(link)
  await chown(target, STRANGER, STRANGER)
  await expect(checkSecretFile(link)).rejects.toMatchObject(refused(target))
})
