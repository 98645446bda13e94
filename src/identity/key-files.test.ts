import { execFileSync } from 'node:child_process'
import { chmod, lstat, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { isSignedBy, signerFromSeed } from './ed25519.ts'
import { createSigner, loadSigner, protectKeyFile, rawPrivateKey, readKeyFile, unprotectKeyFile } from './key-files.ts'
import { openKeyring } from './keyring.ts'
import { createNetworkKey, generateNetworkKey, parseNetworkKey, readNetworkKey } from './network-key.ts'
import { peerIdOf } from './peer-id.ts'
import { formatPublicKey, parsePublicKey, readPublicKeyFile } from './public-key-file.ts'
import { readTrustedFolder } from './trusted-folder.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'warren-keys-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

test('a created key loads again, is its owner’s alone, and gives the seed it is made of', async () => {
  const path = join(folder, 'keys', 'a.key')
  const created = await createSigner(path)
  const loaded = await loadSigner(path)
  expect(loaded.keyId).toBe(created.keyId)
  expect((await stat(path)).mode & 0o777).toBe(0o600)
  expect((await stat(join(folder, 'keys'))).mode & 0o777).toBe(0o700)
  expect(signerFromSeed(await rawPrivateKey(path)).keyId).toBe(created.keyId)
  expect(isSignedBy(created.publicKey, Buffer.from('x'), loaded.sign(Buffer.from('x')))).toBe(true)
  expect(isSignedBy(created.publicKey, Buffer.from('y'), loaded.sign(Buffer.from('x')))).toBe(false)
})

test('a key file is the PKCS#8 that openssl reads', async () => {
  const path = join(folder, 'a.key')
  await createSigner(path)
  expect(execFileSync('openssl', ['pkey', '-in', path, '-text', '-noout']).toString()).toContain('ED25519')
})

test('a key is never overwritten, and a refused one leaves nothing beside it', async () => {
  const path = join(folder, 'a.key')
  await createSigner(path)
  const before = await readFile(path)
  await expect(createSigner(path)).rejects.toMatchObject({ code: 'key_exists' })
  expect(await readFile(path)).toEqual(before)
  expect(await readdir(folder)).toEqual(['a.key'])
})

test('a key that others can read, or replace, is refused with the command that mends it', async () => {
  const path = join(folder, 'keys', 'a.key')
  await createSigner(path)
  await chmod(path, 0o640)
  await expect(loadSigner(path)).rejects.toMatchObject({ code: 'key_permissions', hint: `chmod 600 ${path}` })
  await chmod(path, 0o600)
  await chmod(join(folder, 'keys'), 0o770)
  await expect(loadSigner(path)).rejects.toMatchObject({
    code: 'key_permissions',
    hint: `chmod go-w ${join(folder, 'keys')}`,
  })
})

test('a passphrase is put on a key, changed and taken off, and the key stays the same', async () => {
  const path = join(folder, 'a.key')
  const cost = { n: 128, r: 8, p: 1 }
  const { keyId } = await createSigner(path)
  const plain = await readFile(path)
  await protectKeyFile(path, { next: 'first passphrase', cost })
  expect((await stat(path)).mode & 0o777).toBe(0o600)
  expect(await readdir(folder)).toEqual(['a.key'])
  expect((await readKeyFile(path)).keyId).toBe(keyId)
  await expect(loadSigner(path)).rejects.toMatchObject({ code: 'key_locked' })
  await expect(rawPrivateKey(path)).rejects.toMatchObject({ code: 'key_locked' })
  await expect(protectKeyFile(path, { next: 'another passphrase', cost })).rejects.toMatchObject({ code: 'key_locked' })
  const wrong = { now: 'wrong passphrase', next: 'another passphrase', cost }
  await expect(protectKeyFile(path, wrong)).rejects.toMatchObject({ code: 'passphrase_wrong' })
  await protectKeyFile(path, { now: 'first passphrase', next: 'another passphrase', cost })
  expect((await loadSigner(path, { passphrase: 'another passphrase' })).keyId).toBe(keyId)
  await expect(unprotectKeyFile(path, { now: 'first passphrase' })).rejects.toMatchObject({ code: 'passphrase_wrong' })
  await unprotectKeyFile(path, { now: 'another passphrase' })
  expect(await readFile(path)).toEqual(plain)
  await unprotectKeyFile(path, {})
})

test('a passphrase too short changes nothing, and a link to a key stays a link', async () => {
  const path = join(folder, 'a.key')
  await createSigner(path)
  await symlink(path, join(folder, 'link.key'))
  await expect(protectKeyFile(join(folder, 'link.key'), { next: 'short' })).rejects.toMatchObject({
    code: 'passphrase_invalid',
  })
  expect((await readKeyFile(path)).isProtected).toBe(false)
  await protectKeyFile(join(folder, 'link.key'), { next: 'long enough', cost: { n: 128, r: 8, p: 1 } })
  expect((await readKeyFile(path)).isProtected).toBe(true)
  expect((await lstat(join(folder, 'link.key'))).isSymbolicLink()).toBe(true)
})

test('a key is made with a passphrase, at full cost', async () => {
  const path = join(folder, 'a.key')
  const { keyId } = await createSigner(path, { passphrase: 'a few random words' })
  expect(await readFile(path, 'utf8')).toMatch(/^warren protected key 1\n\{.*"n":131072,"r":8,"p":1,/)
  await expect(loadSigner(path)).rejects.toMatchObject({ code: 'key_locked' })
  expect((await loadSigner(path, { passphrase: 'a few random words' })).keyId).toBe(keyId)
  await expect(createSigner(join(folder, 'b.key'), { passphrase: '' })).rejects.toMatchObject({
    code: 'passphrase_invalid',
  })
  expect(await readdir(folder)).toEqual(['a.key'])
})

test('what is no Ed25519 key is refused without quoting it', async () => {
  const path = join(folder, 'a.key')
  await expect(loadSigner(path)).rejects.toMatchObject({ code: 'key_not_found' })
  await writeFile(path, 'hunter2', { mode: 0o600 })
  const error = await loadSigner(path).catch((thrown: Error) => thrown)
  expect(error).toMatchObject({ code: 'key_invalid' })
  expect(String((error as Error).message)).not.toContain('hunter2')
  await writeFile(path, execFileSync('openssl', ['genpkey', '-algorithm', 'X25519']))
  await expect(loadSigner(path)).rejects.toMatchObject({ code: 'key_invalid' })
})

test('a public key file is one line that reads back, with the file’s name where it names nobody', () => {
  const { publicKey, keyId } = signerFromSeed(new Uint8Array(32).fill(3))
  expect(parsePublicKey(formatPublicKey(publicKey, 'ci@build 2'), 'x.pub')).toEqual({
    publicKey,
    keyId,
    name: 'ci@build 2',
  })
  const bare = `ed25519 ${Buffer.from(publicKey).toString('base64')}\r\n`
  expect(parsePublicKey(bare, '/some/where/alice.pub').name).toBe('alice')
})

test.each([
  ['another type', 'ssh-ed25519 AAAA x'],
  ['a short key', 'ed25519 AAAA x'],
  ['two lines', `ed25519 ${'A'.repeat(43)}= a\ned25519 ${'A'.repeat(43)}= b`],
  ['control letters in the name', `ed25519 ${'A'.repeat(43)}= a\u001b[31m`],
  ['an empty file', ''],
])('a public key file with %s is refused', (_what, text) => {
  expect(() => parsePublicKey(text, 'x.pub')).toThrow(expect.objectContaining({ code: 'key_invalid' }))
})

test('a trusted folder gives its good keys and names the bad files; a change counts at the next reading', async () => {
  expect(await readTrustedFolder(join(folder, 'none'))).toEqual({ keys: [], warnings: [] })
  const { publicKey } = signerFromSeed(new Uint8Array(32).fill(4))
  await writeFile(join(folder, 'b.pub'), 'nonsense')
  await writeFile(join(folder, 'notes.txt'), 'nonsense')
  await mkdir(join(folder, 'c.pub'))
  expect((await readTrustedFolder(folder)).keys).toEqual([])
  await writeFile(join(folder, 'a.pub'), formatPublicKey(publicKey, 'alice'))
  const { keys, warnings } = await readTrustedFolder(folder)
  expect(keys.map(({ name }) => name)).toEqual(['alice'])
  expect(warnings).toHaveLength(2)
  expect(warnings[0]).toContain('b.pub')
  await writeFile(join(folder, 'b.pub'), 'x'.repeat(5000))
  await expect(readPublicKeyFile(join(folder, 'b.pub'))).rejects.toMatchObject({ code: 'invalid_value' })
})

test('a network key reads back; a malformed one is named and never quoted', async () => {
  const path = join(folder, 'network.key')
  await expect(readNetworkKey(path)).rejects.toMatchObject({ code: 'network_key_missing' })
  const key = await createNetworkKey(path)
  expect(await readNetworkKey(path)).toEqual(key)
  expect((await readFile(path, 'utf8')).trim()).toMatch(/^[0-9a-f]{64}$/)
  await expect(createNetworkKey(path)).rejects.toMatchObject({ code: 'key_exists' })
  const secret = generateNetworkKey().slice(1)
  await writeFile(path, secret)
  const error = (await readNetworkKey(path).catch((thrown: Error) => thrown)) as Error
  expect(error).toMatchObject({ code: 'network_key_invalid' })
  expect(error.message).not.toContain(secret)
  await writeFile(path, 'ab'.repeat(500))
  await expect(readNetworkKey(path)).rejects.toMatchObject({ code: 'network_key_invalid' })
  expect(() => parseNetworkKey('zz'.repeat(32))).toThrow(expect.objectContaining({ code: 'network_key_invalid' }))
  await chmod(path, 0o644)
  await expect(readNetworkKey(path)).rejects.toMatchObject({ code: 'key_permissions' })
})

test('a keyring holds what the folder holds, and refuses a folder that is open to others', async () => {
  const keys = join(folder, 'keys')
  await expect(openKeyring(keys)).rejects.toMatchObject({ code: 'key_not_found' })
  const node = await createSigner(join(keys, 'node.key'))
  await expect(openKeyring(keys)).rejects.toMatchObject({
    code: 'network_key_missing',
    hint: expect.stringContaining('from another node'),
  })
  await createNetworkKey(join(keys, 'network.key'))
  const keyring = await openKeyring(keys)
  expect(keyring).toMatchObject({ nodeId: peerIdOf(node.publicKey) })
  expect(keyring.networkKey).toHaveLength(32)
  await chmod(keys, 0o755)
  await expect(openKeyring(keys)).rejects.toMatchObject({ code: 'key_permissions' })
  await chmod(keys, 0o700)
  await protectKeyFile(join(keys, 'node.key'), { next: 'long enough', cost: { n: 128, r: 8, p: 1 } })
  await expect(openKeyring(keys)).rejects.toMatchObject({
    code: 'key_locked',
    hint: expect.stringContaining('key unprotect'),
  })
})
