/** Whose packages run where: trusted and revoked keys, policies, and nodes that no admin has spoken to for long. */
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { endOf, errorOf, type Row } from './fleet-of.ts'
import { createHomes, type Home, type Homes, until, untilAgree, untilSees } from './homes.ts'

interface KeyRow {
  readonly name: string
  readonly state: string
  readonly keep: number
}

let homes: Homes
let alice: Home
let bob: Home
const keyFile = (name: string) => join(homes.folder, `${name}.key`)
beforeAll(async () => {
  homes = await createHomes()
  alice = await homes.add('alice')
  await homes.found(alice)
  bob = await homes.join(alice, 'bob', '--label', 'tier=prod')
  for (const name of ['build', 'release', 'next']) await alice.must('keygen', join(homes.folder, name))
  await untilSees(alice, ['alice', 'bob'])
})
afterAll(() => homes?.cleanup(), 60_000)

const change = async (...words: string[]) => {
  const result = await alice.must(...words, '--json')
  await untilAgree(alice, bob)
  return result
}
const packBy = (key: string, app: string, version: string) =>
  homes.pack(alice, `${app} ${version}`, '--key', keyFile(key))
const deploy = (file: string, on: string, ...words: string[]) =>
  alice.run('deploy', file, '--on', on, ...words, '--json')
const runs = async (home: Home, app: string) =>
  (await home.ask<Row[]>('list', '--on', home.name, '--json')).find((row) => row.app === app)
/** Why a deploy did not come to be: the code of the command, or the reason of the node. */
async function why(file: string, on: string): Promise<string> {
  const result = await deploy(file, on)
  expect(result.code).not.toBe(0)
  const last = result.lines<{ error?: { code: string } }>().at(-1)
  return (
    last?.error?.code ??
    endOf(result)
      .results.map(({ reason }) => reason)
      .join()
  )
}
/** What a node itself says, whatever this one would. */
async function whyThere(home: Home, file: string): Promise<string> {
  return errorOf(await home.run('deploy', file, '--on', home.name, '--json')).code
}

test('a key counts in the whole network once an admin trusts it', async () => {
  const api = await packBy('build', 'api', '1.0.0')
  expect(await why(api, 'bob')).toBe('untrusted_key')
  expect(await whyThere(bob, api)).toBe('untrusted_key')
  await change('key', 'trust', join(homes.folder, 'build.pub'))
  expect((await deploy(api, 'bob')).code).toBe(0)
  expect(await runs(bob, 'api')).toMatchObject({ version: '1.0.0', status: 'running' })
})

test('a policy asks for two signatures and a lowest version where its labels fit', async () => {
  await change('key', 'trust', join(homes.folder, 'release.pub'))
  const both = ['--key', 'build', '--key', 'release', '--threshold', '2']
  await change('policy', 'set', 'prod', '--package', 'api', '--on', 'tier=prod', ...both, '--min-version', '1.1.0')
  const api = await packBy('build', 'api', '1.1.0')
  expect(await whyThere(bob, api)).toBe('policy_refused')
  expect((await deploy(api, 'alice')).code).toBe(0)
  await alice.must('sign', api, '--key', keyFile('release'))
  expect((await deploy(api, 'bob')).code).toBe(0)
  const old = await packBy('build', 'api', '1.0.9')
  await alice.must('sign', old, '--key', keyFile('release'))
  expect(await whyThere(bob, old)).toBe('version_too_old')
  expect(await runs(bob, 'api')).toMatchObject({ version: '1.1.0' })
  await change('policy', 'remove', 'prod')
})

test('after a revocation nothing new of that key is installed; what runs goes on and can go back', async () => {
  const kept = await packBy('build', 'kept', '1.0.0')
  const unseen = await packBy('build', 'unseen', '1.0.0')
  await alice.must('deploy', kept, '--on', 'alice', '--json')
  const before = await runs(bob, 'api')
  await change('key', 'revoke', 'build', '--keep-known')
  expect(await runs(bob, 'api')).toEqual({ ...before, seen: expect.anything() })
  expect(await why(unseen, 'bob')).toBe('untrusted_key')
  for (const home of [alice, bob]) expect(await whyThere(home, unseen)).toBe('untrusted_key')
  // The only signature of 1.0.0 is by the revoked key.
  await alice.must('app', 'rollback', 'api', '--on', 'bob', '--json')
  expect(await runs(bob, 'api')).toMatchObject({ version: '1.0.0', status: 'running' })
  expect((await deploy(kept, 'bob')).code).toBe(0)
  expect(await runs(bob, 'kept')).toMatchObject({ version: '1.0.0', status: 'running' })
  const keys = await bob.ask<KeyRow[]>('key', 'list', '--json')
  expect(keys.find(({ name }) => name === 'build')).toMatchObject({ state: 'revoked' })
  expect(await alice.refusal('key', 'trust', join(homes.folder, 'build.pub'))).toBe('key_revoked')
})

test('a key that follows another counts at once, and the old one until the overlap is over', async () => {
  const [old, next] = [await packBy('release', 'turn', '1.0.0'), await packBy('next', 'turn', '1.0.1')]
  const late = await packBy('release', 'turn', '1.0.2')
  await change('key', 'rotate', 'release', join(homes.folder, 'next.pub'), '--overlap', '10s')
  expect((await deploy(old, 'bob')).code).toBe(0)
  expect((await deploy(next, 'bob')).code).toBe(0)
  const state = async () =>
    (await bob.ask<KeyRow[]>('key', 'list', '--json')).find(({ name }) => name === 'release')?.state
  await until(async () => expect(await state()).toBe('expired'))
  expect(await whyThere(bob, late)).toBe('untrusted_key')
  expect(await runs(bob, 'turn')).toMatchObject({ version: '1.0.1', status: 'running' })
})

test('a node that no admin has spoken to for long installs nothing new, unless it is told to', async () => {
  const next = await homes.pack(alice, 'turn 2.0.0')
  await bob.must('config', 'set', 'trust.max_stale', '2s')
  await bob.kill()
  await bob.must('daemon', 'start')
  await until(async () => expect((await bob.status()).standing.current).toBe(true))
  await alice.kill()
  await until(async () => expect((await bob.status()).stale).toBe(true))
  expect(await runs(bob, 'turn')).toMatchObject({ version: '1.0.1', status: 'running' })
  const refused = await bob.run('deploy', next, '--on', 'bob', '--json')
  expect(refused.code).not.toBe(0)
  expect(refused.out).toContain('roster_stale')
  await bob.must('app', 'rollback', 'turn', '--json')
  expect(await runs(bob, 'turn')).toMatchObject({ version: '1.0.0', status: 'running' })
  await bob.must('deploy', next, '--on', 'bob', '--accept-stale', '--json')
  expect(await runs(bob, 'turn')).toMatchObject({ version: '2.0.0', status: 'running' })
})
