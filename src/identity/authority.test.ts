import { mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { Logger } from '../base/log.ts'
import { silentLogger } from '../base/log.ts'
import { createAuthority } from './authority.ts'
import { trustKey } from './changes.ts'
import { keyIdOf, signerFromSeed } from './ed25519.ts'
import { type FoundedNetwork, foundNetwork } from './found-network.ts'
import { createSigner, loadSigner, protectKeyFile } from './key-files.ts'
import { peerIdOf } from './peer-id.ts'

const cost = { n: 128, r: 8, p: 1 }
let home: string
let network: FoundedNetwork
const keysFolder = () => join(home, 'keys')
const path = () => join(keysFolder(), 'authority.key')
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'warren-authority-'))
  network = await foundNetwork({ keysFolder: keysFolder(), rosterFolder: join(home, 'roster'), name: 'laptop' })
})
afterEach(() => rm(home, { recursive: true, force: true }))

const open = (more: { keysFolder?: string; nodeId?: string; passphrase?: string; log?: Logger } = {}) =>
  createAuthority({ keysFolder: keysFolder(), roster: network.roster, nodeId: network.nodeId, ...more })
const codeOf = (work: () => unknown): unknown => {
  try {
    return work()
  } catch (error) {
    return (error as { code?: unknown }).code
  }
}

test('an admin signs with its authority key, whose public key is known', async () => {
  const authority = await open()
  expect(authority.isLocked()).toBe(false)
  const publicKey = signerFromSeed(new Uint8Array(32).fill(5)).publicKey
  await trustKey(authority.author(), { publicKey, name: 'ci' })
  expect(network.roster.state.keys.get(keyIdOf(publicKey))?.name).toBe('ci')
  expect(keyIdOf(await authority.publicKey())).toBe((await loadSigner(path())).keyId)
})

test('a protected key is locked until its passphrase is given, and a wrong one leaves it locked', async () => {
  await protectKeyFile(path(), { next: 'a few words', cost })
  const authority = await open()
  expect(authority.isLocked()).toBe(true)
  expect(codeOf(() => authority.author())).toBe('key_locked')
  expect(authority.authorOrUndefined()).toBeUndefined()
  expect(keyIdOf(await authority.publicKey())).toBe(network.authority.keyId)
  await expect(authority.unlock('wrong words')).rejects.toMatchObject({ code: 'passphrase_wrong' })
  expect(authority.isLocked()).toBe(true)
  await authority.unlock('a few words')
  expect(authority.author().authority.keyId).toBe(network.authority.keyId)
  // It is told again where it is wrong, and stays open.
  await expect(authority.unlock('wrong words')).rejects.toMatchObject({ code: 'passphrase_wrong' })
  expect(authority.isLocked()).toBe(false)
})

test('a passphrase at the start opens it; a wrong one is logged without being quoted, and the start goes on', async () => {
  await protectKeyFile(path(), { next: 'a few words', cost })
  expect((await open({ passphrase: 'a few words' })).isLocked()).toBe(false)
  const lines: unknown[] = []
  const log = { ...silentLogger, warn: (...words: unknown[]) => lines.push(words) } as unknown as Logger
  expect((await open({ passphrase: 'wrong words', log })).isLocked()).toBe(true)
  expect(lines).toHaveLength(1)
  expect(JSON.stringify(lines)).not.toContain('wrong words')
})

test('a node that is no admin, or has another key than the network knows, is told who is', async () => {
  const stranger = peerIdOf(signerFromSeed(new Uint8Array(32).fill(9)).publicKey)
  const other = await open({ nodeId: stranger })
  expect(() => other.author()).toThrow(
    expect.objectContaining({ code: 'not_admin', hint: expect.stringContaining('laptop') }),
  )
  expect(other.authorOrUndefined()).toBeUndefined()
  await rm(path())
  await createSigner(path())
  expect(codeOf(() => undefined)).toBeUndefined()
  const replaced = await open()
  expect(codeOf(() => replaced.author())).toBe('not_admin')
  expect(replaced.authorOrUndefined()).toBeUndefined()
})

test('a node without an authority key gets one when its public key is asked for, once', async () => {
  const folder = join(home, 'other', 'keys')
  const authority = await open({ keysFolder: folder })
  expect(codeOf(() => authority.author())).toBe('not_admin')
  await expect(authority.unlock('x')).rejects.toMatchObject({ code: 'key_not_found' })
  const [first, second] = await Promise.all([authority.publicKey(), authority.publicKey()])
  expect(first).toEqual(second)
  expect((await stat(join(folder, 'authority.key'))).mode & 0o777).toBe(0o600)
  expect((await loadSigner(join(folder, 'authority.key'))).publicKey).toEqual(first)
})
