import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type ApiClient, type Caller, createClient, createRouter } from '../api/index.ts'
import { ManualClock } from '../base/clock.ts'
import { silentLogger } from '../base/log.ts'
import type { AnyCommand, CommandContext, CommandResult } from '../command/index.ts'
import { parseSelector } from '../member/selector.ts'
import { type Authority, createAuthority } from './authority.ts'
import { addNode, admitAdmin, dismissAdmin } from './changes.ts'
import { identityCommands } from './commands/index.ts'
import { keyContract } from './contract.ts'
import { signerFromSeed } from './ed25519.ts'
import { type Envelope, sealEnvelope } from './envelope.ts'
import { type FoundedNetwork, foundNetwork } from './found-network.ts'
import { createSigner, protectKeyFile } from './key-files.ts'
import { peerIdOf } from './peer-id.ts'
import { formatPublicKey } from './public-key-file.ts'
import { keyRoutes } from './routes.ts'

const cost = { n: 128, r: 8, p: 1 }
const DAY_MS = 86_400_000
const clock = new ManualClock()
let stored: { digest: string; signature: Envelope | undefined }[] = []
let home: string
let network: FoundedNetwork
let authority: Authority
let server: Server
let client: ApiClient
let caller: Caller
let env: Record<string, string>
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'warren-key-routes-'))
  env = {}
  const folders = { keysFolder: join(home, 'keys'), rosterFolder: join(home, 'roster') }
  network = await foundNetwork({ ...folders, name: 'laptop', clock })
  await open()
})
afterEach(async () => {
  await close()
  stored = []
  await rm(home, { recursive: true, force: true })
})

/** Answers the calls of this node on a socket, as its daemon would. */
async function open(nodeId = network.nodeId): Promise<void> {
  const keysFolder = join(home, 'keys')
  authority = await createAuthority({ keysFolder, roster: network.roster, nodeId })
  const routes = keyRoutes({
    roster: network.roster,
    trustedFolder: join(keysFolder, 'trusted'),
    authority,
    packages: async () => stored,
    checkSelector: (selector) => void parseSelector(selector),
  })
  const router = createRouter({ routes, log: silentLogger })
  caller = { door: 'local', id: nodeId, rights: { role: 'admin', grants: [] } }
  server = createServer((request, response) => void router.handle(request, response, caller))
  server.listen(join(home, 'socket'))
  await once(server, 'listening')
  client = createClient({
    open: async () => {
      const socket: Socket = connect(join(home, 'socket'))
      await once(socket, 'connect')
      return socket
    },
  })
}

async function close(): Promise<void> {
  client.close()
  server.close()
  server.closeAllConnections()
  await once(server, 'close')
}

async function run(words: string, args: object = {}, options: object = {}): Promise<CommandResult> {
  const command = (await identityCommands.find(({ name }) => name === words)?.load()) as AnyCommand
  const fallbacks = Object.entries(command.options ?? {}).map(([name, { fallback }]) => [name, fallback])
  const context = {
    home,
    env,
    nodeHome: async () => home,
    cwd: home,
    remote: false,
    signal: new AbortController().signal,
    stdin: Readable.from([]),
    readSecret: async () => {
      throw Object.assign(new Error('nothing'), { code: 'secret_missing' })
    },
    connect: async () => client,
    connectLocal: async () => client,
    say: () => undefined,
  } as unknown as CommandContext
  const input = { args, options: { ...Object.fromEntries(fallbacks), ...options }, context }
  return (await command.run(input as unknown as Parameters<AnyCommand['run']>[0])) as CommandResult
}

const signerOf = (fill: number) => signerFromSeed(new Uint8Array(32).fill(fill))
/** An envelope signed by the keys of these numbers. */
const signedBy = (...fills: number[]) =>
  sealEnvelope({ payloadType: 'x', payload: Buffer.from('x'), signers: fills.map(signerOf) })
/** Writes NAME.pub of a key that follows from a number. */
async function writeKey(name: string, fill: number): Promise<string> {
  const { publicKey, keyId } = signerOf(fill)
  await writeFile(join(home, `${name}.pub`), formatPublicKey(publicKey, name))
  return keyId
}
const listed = async () => (await run('key list')).json as { name: string; state: string; key_id: string }[]

test('a key that is trusted counts in the whole network, under a name of its own', async () => {
  const ci = await writeKey('ci', 1)
  await writeKey('other', 2)
  const { human } = await run('key trust', { file: 'ci.pub' })
  expect(human).toContain('is trusted in the whole network')
  expect(network.roster.state.keys.get(ci)).toMatchObject({ name: 'ci', expires: null })
  const { size } = network.roster
  await run('key trust', { file: 'ci.pub' })
  expect(network.roster.size).toBe(size)
  await expect(run('key trust', { file: 'other.pub' }, { name: 'ci' })).rejects.toMatchObject({
    code: 'key_name_taken',
  })
  await run('key trust', { file: 'ci.pub' }, { name: 'build' })
  await run('key trust', { file: 'other.pub' }, { name: 'ci' })
  expect((await listed()).map(({ name }) => name)).toEqual(['build', 'ci', 'laptop'])
  const body = { public_key: 'AAAA', name: 'x' }
  await expect(client.call(keyContract.trust, { body })).rejects.toMatchObject({ code: 'key_invalid' })
})

test('only the local door of an admin signs; others are told who can, and of --local', async () => {
  await writeKey('ci', 1)
  caller = { ...caller, door: 'peer' }
  await expect(run('key trust', { file: 'ci.pub' })).rejects.toMatchObject({ code: 'local_only' })
  await close()
  await open(peerIdOf(signerOf(9).publicKey))
  const refused = expect.stringMatching(/Run it on an admin: laptop[\s\S]*warren key trust ci\.pub --local/)
  await expect(run('key trust', { file: 'ci.pub' })).rejects.toMatchObject({ code: 'not_admin', hint: refused })
  await expect(run('key revoke', { key: 'laptop' })).rejects.toMatchObject({ code: 'not_admin' })
  await expect(run('policy set', { name: 'p' }, { package: ['*'] })).rejects.toMatchObject({ code: 'not_admin' })
})

test('a revoked key is gone for good, by name, id or start of an id, and keeps what is named or known here', async () => {
  const ci = await writeKey('ci', 1)
  await run('key trust', { file: 'ci.pub' })
  await expect(run('key revoke', { key: 'nobody' })).rejects.toMatchObject({ code: 'key_not_found' })
  stored = [
    { digest: 'a'.repeat(64), signature: signedBy(1) },
    { digest: 'b'.repeat(64), signature: signedBy(2, 1) },
    { digest: 'd'.repeat(64), signature: signedBy(2) },
    { digest: 'e'.repeat(64), signature: undefined },
    // Only says that it is ci's.
    { digest: 'f'.repeat(64), signature: { ...signedBy(2), signatures: [{ keyid: ci, sig: new Uint8Array(64) }] } },
  ]
  const options = { 'keep-known': true, keep: ['c'.repeat(64), 'a'.repeat(64)] }
  const { json, human } = await run('key revoke', { key: ci.slice(0, 8) }, options)
  expect(json).toMatchObject({ name: 'ci', state: 'revoked', keep: 3 })
  expect(human).toContain('3 packages of it still accepted')
  expect(network.roster.state.revokedKeys.get(ci)?.keep).toEqual(new Set(['a', 'b', 'c'].map((one) => one.repeat(64))))
  await expect(run('key trust', { file: 'ci.pub' })).rejects.toMatchObject({ code: 'key_revoked' })
  await expect(run('key trust', { file: 'ci.pub' }, { local: true })).rejects.toMatchObject({ code: 'key_revoked' })
  await expect(run('key revoke', { key: 'ci' })).rejects.toMatchObject({ code: 'key_revoked' })
  const strange = 'd'.repeat(64)
  expect((await run('key revoke', { key: strange })).json).toMatchObject({ key_id: strange, state: 'revoked', keep: 0 })
})

test('a revocation that would keep more than a statement holds is refused before it is signed', async () => {
  await writeKey('ci', 1)
  await run('key trust', { file: 'ci.pub' })
  const signature = signedBy(1)
  stored = Array.from({ length: 201 }, (_, index) => ({ digest: index.toString(16).padStart(64, '0'), signature }))
  await expect(run('key revoke', { key: 'ci' }, { 'keep-known': true })).rejects.toMatchObject({
    code: 'statement_too_large',
  })
  expect(network.roster.state.revokedKeys.size).toBe(0)
  stored = stored.slice(1)
  expect((await run('key revoke', { key: 'ci' }, { 'keep-known': true })).json).toMatchObject({ keep: 200 })
})

test('a key follows another: both count during the overlap, then the next one alone', async () => {
  const [ci, next] = [await writeKey('ci', 1), await writeKey('ci2', 2)]
  await run('key trust', { file: 'ci.pub' })
  const options = { name: 'ci', overlap: 2 * DAY_MS }
  const { json } = await run('key rotate', { old: 'ci', file: 'ci2.pub' }, options)
  const end = new Date(clock.now() + 2 * DAY_MS).toISOString()
  expect(json).toMatchObject({
    old: { key_id: ci, expires: end, state: 'trusted' },
    next: { key_id: next, name: 'ci' },
  })
  expect((await listed()).map(({ state }) => state)).toEqual(['trusted', 'trusted', 'trusted'])
  clock.advance(2 * DAY_MS)
  expect((await listed()).find(({ key_id }) => key_id === ci)?.state).toBe('expired')
  // The name means the one that does not end.
  await writeKey('ci3', 3)
  await run('key rotate', { old: 'ci', file: 'ci3.pub' })
  expect(network.roster.state.keys.get(next)?.expires).toBe(clock.now() + 7 * DAY_MS)
  await expect(run('key rotate', { old: 'ci3', file: 'ci3.pub' })).rejects.toMatchObject({ code: 'key_exists' })
})

test('policies go along with a key that follows another, so that nobody counts twice', async () => {
  const [a, b, c, next] = [
    await writeKey('a', 1),
    await writeKey('b', 2),
    await writeKey('c', 3),
    await writeKey('next', 4),
  ]
  for (const name of ['a', 'b', 'c']) await run('key trust', { file: `${name}.pub` })
  await run('policy set', { name: 'one' }, { package: ['api'], key: ['a', 'b'] })
  await run('policy set', { name: 'two' }, { package: ['api'], key: ['a', 'b'], threshold: 2 })
  await run('policy set', { name: 'none' }, { package: ['api'], key: ['c'] })
  const { json, human } = await run('key rotate', { old: 'a', file: 'next.pub' })
  expect(json).toMatchObject({ policies: ['one', 'two'] })
  expect(human).toContain('one, two')
  const { policies } = network.roster.state
  expect(new Set(policies.get('one')?.keys)).toEqual(new Set([a, b, next]))
  expect(new Set(policies.get('two')?.keys)).toEqual(new Set([next, b]))
  expect(policies.get('none')?.keys).toEqual([c])
})

test('a policy is set, shown, replaced and removed', async () => {
  const ci = await writeKey('ci', 1)
  await run('key trust', { file: 'ci.pub' })
  const options = {
    package: ['api', 'web*'],
    on: 'tier=prod',
    key: ['ci', 'laptop'],
    threshold: 2,
    'min-version': '1.4.2',
  }
  const { json, human } = await run('policy set', { name: 'prod' }, options)
  expect(json).toMatchObject({
    name: 'prod',
    packages: ['api', 'web*'],
    labels: 'tier=prod',
    keys: [
      { key_id: ci, name: 'ci' },
      { key_id: network.signingKeyId, name: 'laptop' },
    ],
    threshold: 2,
    min_version: '1.4.2',
  })
  expect(human).toBe('policy prod: api, web* on tier=prod needs 2 signatures of ci, laptop, 1.4.2 or newer')
  await run('policy set', { name: 'prod' }, { package: ['*'] })
  expect((await run('policy list')).json).toMatchObject([{ packages: ['*'], labels: '', keys: [], threshold: 1 }])
  await run('policy remove', { name: 'prod' })
  expect((await run('policy list')).json).toEqual([])
  await expect(run('policy remove', { name: 'prod' })).rejects.toMatchObject({ code: 'policy_unknown' })
})

test.each([
  ['no package', { package: [] }, 'usage'],
  ['a selector that cannot be read', { package: ['*'], on: 'a ~ b' }, 'selector_invalid'],
  ['an unknown key', { package: ['*'], key: ['nobody'] }, 'key_not_found'],
  ['more signatures than keys', { package: ['*'], key: ['laptop'], threshold: 2 }, 'policy_invalid'],
  ['the same key twice', { package: ['*'], key: ['laptop', 'laptop'], threshold: 2 }, 'policy_invalid'],
  ['no signature', { package: ['*'], threshold: 0 }, 'request_invalid'],
  ['a version that is none', { package: ['*'], 'min-version': '1.4' }, 'policy_invalid'],
  ['a pattern that is none', { package: ['a*b'] }, 'statement_invalid'],
])('a policy with %s is refused', async (_what, options, code) => {
  await expect(run('policy set', { name: 'p' }, options)).rejects.toMatchObject({ code })
  expect(network.roster.state.policies.size).toBe(0)
})

test('a key that only this node trusts is named in no policy, and in no rotation', async () => {
  await writeKey('ci', 1)
  await run('key trust', { file: 'ci.pub' }, { local: true })
  await writeKey('next', 2)
  await expect(run('policy set', { name: 'p' }, { package: ['*'], key: ['ci'] })).rejects.toMatchObject({
    code: 'key_not_found',
  })
  await expect(run('key rotate', { old: 'ci', file: 'next.pub' })).rejects.toMatchObject({ code: 'key_not_found' })
})

test('an authority key with a passphrase is opened over the local door, and nothing repeats the passphrase', async () => {
  await protectKeyFile(join(home, 'keys', 'authority.key'), { next: 'a few words', cost })
  await close()
  await open()
  await writeKey('ci', 1)
  await expect(run('key trust', { file: 'ci.pub' })).rejects.toMatchObject({
    code: 'key_locked',
    hint: expect.stringContaining('warren key unlock'),
  })
  env = { WARREN_PASSPHRASE: 'wrong words' }
  await expect(run('key unlock')).rejects.toMatchObject({
    code: 'passphrase_wrong',
    message: expect.not.stringContaining('wrong words'),
  })
  env = {}
  await expect(run('key unlock')).rejects.toMatchObject({ code: 'key_locked' })
  env = { WARREN_PASSPHRASE: 'a few words' }
  caller = { ...caller, door: 'peer' }
  await expect(run('key unlock')).rejects.toMatchObject({ code: 'local_only' })
  caller = { ...caller, door: 'local' }
  const result = await run('key unlock')
  expect(result.json).toEqual({ key_id: network.authority.keyId, locked: false })
  expect(JSON.stringify(result)).not.toContain('a few words')
  await run('key trust', { file: 'ci.pub' })
})

test('an admin that was dismissed signs no more', async () => {
  const other = { authority: await createSigner(join(home, 'other.key')), id: peerIdOf(signerOf(8).publicKey) }
  await addNode(network, { id: other.id, name: 'other', role: 'admin' })
  await admitAdmin(network, { id: other.id, authority: other.authority.publicKey })
  await dismissAdmin({ roster: network.roster, authority: other.authority, authorId: other.id }, network.nodeId)
  await writeKey('ci', 1)
  await expect(run('key trust', { file: 'ci.pub' })).rejects.toMatchObject({
    code: 'not_admin',
    hint: expect.stringContaining('other'),
  })
})
