import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { createSigner, protectKeyFile } from './key-files.ts'
import { chooseNewPassphrase, passphrasesOf, readPassphrase, unlockSigner } from './passphrase.ts'

const cost = { n: 128, r: 8, p: 1 }
let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'warren-passphrase-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

/** A person who types these lines, and what was asked. */
const person = (...lines: string[]) => {
  const asked: string[] = []
  const ask = async (prompt: string): Promise<string | undefined> => {
    asked.push(prompt)
    return lines.shift()
  }
  return { asked, ask }
}

test('the passphrase is the environment’s, or the first line of the file that it names', async () => {
  expect(await readPassphrase({ env: {}, cwd: folder })).toBeUndefined()
  expect(await readPassphrase({ env: { WARREN_PASSPHRASE: '' }, cwd: folder })).toBeUndefined()
  expect(await readPassphrase({ env: { WARREN_PASSPHRASE: 'from env' }, cwd: folder })).toBe('from env')
  const env = { WARREN_PASSPHRASE_FILE: 'words' }
  await expect(readPassphrase({ env, cwd: folder })).rejects.toMatchObject({ code: 'key_not_found' })
  await writeFile(join(folder, 'words'), 'from a file\r\nmore\n', { mode: 0o600 })
  expect(await readPassphrase({ env, cwd: folder })).toBe('from a file')
  expect(await readPassphrase({ env, cwd: folder }, 'WARREN_NEW')).toBeUndefined()
  await chmod(join(folder, 'words'), 0o644)
  await expect(readPassphrase({ env, cwd: folder })).rejects.toMatchObject({
    code: 'key_permissions',
    message: expect.not.stringContaining('from a file'),
  })
})

test('a person is asked for a protected key only, and only where the environment says nothing', async () => {
  const path = join(folder, 'a.key')
  const { keyId } = await createSigner(path)
  const { ask, asked } = person('a few words', 'wrong words')
  expect((await unlockSigner(path, { env: {}, cwd: folder, ask })).keyId).toBe(keyId)
  await protectKeyFile(path, { next: 'a few words', cost })
  const env = { WARREN_PASSPHRASE: 'a few words' }
  expect((await unlockSigner(path, { env, cwd: folder, ask })).keyId).toBe(keyId)
  expect(asked).toEqual([])
  expect((await unlockSigner(path, { env: {}, cwd: folder, ask })).keyId).toBe(keyId)
  expect(asked).toEqual([`Passphrase of ${path}`])
  await expect(unlockSigner(path, { env: {}, cwd: folder, ask })).rejects.toMatchObject({
    code: 'passphrase_wrong',
    message: expect.not.stringContaining('wrong words'),
  })
  await expect(unlockSigner(path, { env: {}, cwd: folder })).rejects.toMatchObject({ code: 'key_locked' })
  await expect(unlockSigner(path, { env: {}, cwd: folder, ask })).rejects.toMatchObject({ code: 'key_locked' })
})

test('a new passphrase is asked for twice, and must be the same', async () => {
  const source = { env: {}, cwd: folder }
  expect(await chooseNewPassphrase('k', { ...source, ...person('a few words', 'a few words') })).toBe('a few words')
  await expect(chooseNewPassphrase('k', { ...source, ...person('a few words', 'a few worts') })).rejects.toMatchObject({
    code: 'passphrase_invalid',
    message: expect.not.stringContaining('a few'),
  })
  await expect(chooseNewPassphrase('k', { ...source, ...person('short', 'short') })).rejects.toMatchObject({
    code: 'passphrase_invalid',
  })
  await expect(chooseNewPassphrase('k', source)).rejects.toMatchObject({ code: 'key_locked' })
})

test('the old passphrase in the environment is not taken for the new one', async () => {
  const env = { WARREN_PASSPHRASE: 'the old one' }
  expect(await chooseNewPassphrase('k', { env, cwd: folder })).toBe('the old one')
  const change = { isChange: true }
  await expect(chooseNewPassphrase('k', { env, cwd: folder }, change)).rejects.toMatchObject({ code: 'key_locked' })
  const both = { ...env, WARREN_NEW_PASSPHRASE: 'the new one' }
  expect(await chooseNewPassphrase('k', { env: both, cwd: folder }, change)).toBe('the new one')
})

test('a command that is not about a passphrase waits for a terminal only', async () => {
  const context = (isTTY: boolean, failure?: Error) => ({
    env: {},
    cwd: folder,
    stdin: Object.assign(Readable.from([]), { isTTY }),
    readSecret: async (prompt: string) => {
      if (failure !== undefined) throw failure
      return `for ${prompt}`
    },
  })
  expect(await passphrasesOf(context(true)).ask?.('k')).toBe('for k')
  expect(await passphrasesOf(context(false)).ask?.('k')).toBeUndefined()
  expect(await passphrasesOf(context(false), { piped: true }).ask?.('k')).toBe('for k')
  const missing = Object.assign(new Error('nothing'), { code: 'secret_missing' })
  expect(await passphrasesOf(context(true, missing)).ask?.('k')).toBeUndefined()
  await expect(passphrasesOf(context(true, new Error('stopped'))).ask?.('k')).rejects.toThrow('stopped')
})
