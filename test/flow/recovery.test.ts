/** What a network gets over, with the real program: a thief among its admins, a long history, a backup put back. */
import { cp, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { keyContract, policyContract } from '../../src/identity/contract.ts'
import { inviteContract } from '../../src/member/contract.ts'
import {
  askDaemon,
  codeOf,
  createHomes,
  type Home,
  type Homes,
  nodesOf,
  until,
  untilAgree,
  untilSees,
} from './homes.ts'

let homes: Homes
let alice: Home
let thief: Home
let carol: Home
let dave: Home
let phrase: string
beforeAll(async () => {
  homes = await createHomes()
  alice = await homes.add('alice')
  phrase = (await homes.found(alice)).recovery_phrase
  ;[thief, carol] = await Promise.all([homes.join(alice, 'thief', '--role', 'admin'), homes.join(alice, 'carol')])
  await untilAgree(alice, thief, carol)
})
afterAll(() => homes?.cleanup(), 60_000)

const addressOf = async (home: Home) =>
  (await home.ask<{ addresses: string[] }>('status', '--json')).addresses[0] as string
const rolesOf = async (home: Home) => Object.fromEntries((await nodesOf(home)).map(({ name, role }) => [name, role]))
const keysOf = async (home: Home) =>
  (await askDaemon(home, (client) => client.call(keyContract.list, {}))).keys.map(({ name, state }) => [name, state])
const statementsOf = async (name: string) =>
  (await alice.status()).admins.find((admin) => admin.name === name)?.statements as number
/** Types a secret in. */
const typing = (home: Home, secret: string, ...command: string[]) =>
  home.runWith({ input: `${secret}\n` }, ...command, '--json')

test('an admin that a thief has put out of office takes it back, and undoes what the thief has signed', async () => {
  await carol.must('connect', await addressOf(thief))
  await thief.must('node', 'label', 'carol', 'site=home', '--json')
  await untilAgree(alice, thief, carol)
  const seq = await statementsOf('thief')
  expect(seq).toBeGreaterThan(0)

  await thief.must('revoke', 'alice', 'admin', '--json')
  const eve = await homes.join(thief, 'eve')
  await thief.must('keygen', join(homes.folder, 'evil'))
  await thief.must('key', 'trust', join(homes.folder, 'evil.pub'), '--json')
  await untilAgree(alice, thief, carol, eve)
  expect(await rolesOf(carol)).toEqual({ alice: 'member', carol: 'member', eve: 'member', thief: 'admin' })
  expect(await alice.refusal('invite')).toBe('not_admin')

  const words = ['trust', 'recover', '--remove', `thief@${seq}`]
  expect(codeOf(await typing(alice, phrase.replace(/^..../, '0000'), ...words))).toBe('recovery_phrase_invalid')
  const recovered = await typing(alice, phrase, ...words)
  expect({ code: recovered.code, out: recovered.out }).toMatchObject({ code: 0 })
  await untilSees(alice, ['alice', 'carol'])
  await untilAgree(alice, carol)
  for (const home of [alice, carol]) {
    expect(await rolesOf(home)).toEqual({ alice: 'admin', carol: 'member' })
    expect(await keysOf(home)).toEqual([['alice', 'trusted']])
  }
  // What was signed before the theft stays.
  expect(await carol.ask('node', 'info', 'carol', '--json')).toMatchObject({ labels: { site: 'home' } })
  for (const home of [thief, eve])
    expect(await home.refusal('connect', await addressOf(carol))).toMatch(/^(peer_refused|network_key_mismatch)$/)
  for (const home of [thief, eve]) await home.must('daemon', 'stop', '--apps')
})

test('where a thief has removed the admin itself, any node that is left is the place to recover', async () => {
  await alice.must('grant', 'carol', 'admin', '--json')
  dave = await homes.join(alice, 'dave')
  await dave.must('connect', await addressOf(carol))
  await untilAgree(alice, carol, dave)
  const seq = await statementsOf('carol')
  await carol.must('node', 'remove', 'alice', '--yes', '--json')
  await until(async () => expect(await rolesOf(dave)).toEqual({ carol: 'admin', dave: 'member' }))
  const recovered = await typing(dave, phrase, 'trust', 'recover', '--remove', `carol@${seq}`)
  expect({ code: recovered.code, out: recovered.out }).toMatchObject({ code: 0 })
  for (const home of [alice, dave]) {
    await untilSees(home, ['alice', 'dave'])
    await until(async () => expect(await rolesOf(home)).toEqual({ alice: 'admin', dave: 'admin' }))
  }
  await untilAgree(alice, dave)
  await carol.must('daemon', 'stop', '--apps')
})

test('after a new phrase the old one is worth nothing', async () => {
  const changed = await typing(alice, phrase, 'trust', 'recover', '--new-phrase')
  expect({ code: changed.code, err: changed.err }).toMatchObject({ code: 0 })
  const next = changed.lines<{ recovery_phrase?: string }>().find((line) => line.recovery_phrase)?.recovery_phrase
  expect(next).toMatch(/^([0-9A-Z]{4} ){12}[0-9A-Z]{4}$/)
  await untilAgree(alice, dave)
  const before = await alice.status()
  expect((await typing(alice, phrase, 'trust', 'checkpoint')).code).not.toBe(0)
  expect((await typing(dave, phrase, 'trust', 'recover')).code).not.toBe(0)
  expect((await alice.status()).digest).toBe(before.digest)
  phrase = next as string
})

test('a checkpoint forgets what no longer counts, and every node believes the same as before', async () => {
  for (const disk of ['hdd', 'ssd']) await alice.must('node', 'label', 'dave', `disk=${disk}`, '--json')
  await alice.must('policy', 'set', 'all', '--package', '*', '--key', 'alice', '--json')
  await untilAgree(alice, dave)
  await dave.kill()
  for (let count = 0; count < 3; count++) await alice.must('invite', '--ttl', '1h', '--json')
  const believed = async (home: Home) => ({
    roles: await rolesOf(home),
    keys: await keysOf(home),
    policies: await askDaemon(home, (client) => client.call(policyContract.list, {})),
    labels: (await nodesOf(home)).map(({ labels }) => labels),
    open: (await askDaemon(home, (client) => client.call(inviteContract.list, {})))
      .filter(({ state }) => state === 'open')
      .map(({ id }) => id),
    key: (await home.status()).network_key,
  })
  const before = await believed(alice)
  const sizeOf = async (home: Home) => (await stat(join(home.folder, 'roster', 'log'))).size
  const sizes = [await sizeOf(alice), await sizeOf(dave)] as const
  await writeFile(join(homes.folder, 'phrase'), `${phrase}\n`, { mode: 0o600 })
  const file = ['--phrase-file', join(homes.folder, 'phrase')]
  const done = await alice.ask<{ dropped: number }>('trust', 'checkpoint', ...file, '--json')
  expect(done.dropped).toBeGreaterThan(3)
  expect(await believed(alice)).toEqual(before)
  await dave.must('daemon', 'start')
  await untilAgree(alice, dave)
  expect(await believed(dave)).toEqual(before)
  expect(await sizeOf(alice)).toBeLessThan(sizes[0])
  expect(await sizeOf(dave)).toBeLessThan(sizes[1])
  expect((await alice.status()).alarms).toEqual([])
})

test('a home put back from a backup signs nothing before a person or a peer has said what it signed since', async () => {
  const backup = `${alice.folder}-backup`
  const putBack = async () => {
    await rm(alice.folder, { recursive: true })
    await cp(backup, alice.folder, { recursive: true })
  }
  await Promise.all([alice.kill(), dave.kill()])
  await cp(alice.folder, backup, { recursive: true, filter: (source) => !source.endsWith('.sock') })
  await putBack()
  await alice.must('daemon', 'start')
  expect(await alice.refusal('invite')).toBe('roster_head_unconfirmed')
  // Nothing was: a person may say so.
  await alice.must('trust', 'accept-head', '--yes', '--json')
  for (const shelf of ['a', 'b', 'c']) await alice.must('node', 'label', 'dave', `shelf=${shelf}`, '--json')
  await dave.must('daemon', 'start')
  const digest = await untilAgree(alice, dave)

  // Something was: the peer tells what, and no number is used twice.
  await Promise.all([alice.kill(), dave.kill()])
  await putBack()
  await alice.must('daemon', 'start')
  expect(await alice.refusal('invite')).toBe('roster_head_unconfirmed')
  expect((await alice.status()).head_confirmed).toBe(false)
  await dave.must('daemon', 'start')
  await until(async () => expect((await alice.status()).head_confirmed).toBe(true))
  expect((await alice.status()).digest).toBe(digest)
  await alice.must('node', 'label', 'dave', 'shelf=d', '--json')
  await untilAgree(alice, dave)
  const log = await dave.ask<{ seq: number }[]>('trust', 'log', '--by', 'alice', '--tail', '1000', '--json')
  expect(new Set(log.map(({ seq }) => seq)).size).toBe(log.length)
  for (const home of [alice, dave]) expect((await home.status()).alarms).toEqual([])
})

test('a protected authority key is opened by its passphrase, and signs nothing before', async () => {
  const secret = 'a long passphrase of alice'
  await alice.runWith({ env: { WARREN_NEW_PASSPHRASE: secret } }, 'key', 'protect', 'authority', '--json')
  await alice.kill()
  await alice.must('daemon', 'start')
  expect(await alice.refusal('invite')).toBe('key_locked')
  expect((await alice.status()).authority).toBe('locked')
  expect(codeOf(await typing(alice, 'another passphrase', 'key', 'unlock'))).toBe('passphrase_wrong')
  expect(await alice.refusal('invite')).toBe('key_locked')
  expect((await typing(alice, secret, 'key', 'unlock')).code).toBe(0)
  await alice.must('invite', '--json')
})
