/** How machines come into a network, with the real program: codes, how they are refused, and who may be asked. */
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { decodeJoinCode, encodeJoinCode } from '../../src/identity/join-code.ts'
import {
  codeOf,
  createHomes,
  type Home,
  type Homes,
  inviteFrom,
  nodesOf,
  until,
  untilAgree,
  untilSees,
} from './homes.ts'

interface InviteRow {
  readonly id: string
  readonly state: string
  readonly joined: readonly { readonly name: string }[]
}

let homes: Homes
let alice: Home
let bob: Home
let carol: Home
let dave: Home
beforeAll(async () => {
  homes = await createHomes()
  alice = await homes.add('alice')
  await homes.found(alice)
  carol = await homes.add('carol', clockOff(3_600_000))
  dave = await homes.add('dave', clockOff(-3_600_000))
})
afterAll(() => homes?.cleanup(), 60_000)

/** The environment of a machine whose wall clock is wrong by so much. */
function clockOff(ms: number): NodeJS.ProcessEnv {
  const script = `const now = Date.now; Date.now = () => now() + ${ms}`
  return { NODE_OPTIONS: `--import data:text/javascript,${encodeURIComponent(script)}` }
}

const invites = () => alice.ask<InviteRow[]>('invites', '--json')

/** Everything in a home, in the order of names. */
async function contents(home: Home): Promise<string[]> {
  return (await readdir(home.folder, { recursive: true }).catch(() => [])).sort()
}

/** A join in a home with nothing in it, which must leave nothing. */
async function refusedJoin(name: string, code: string): Promise<string> {
  const home = await homes.add(name)
  const result = await home.runWith({ input: `${code}\n` }, 'join', '-', '--json')
  expect(result.code).not.toBe(0)
  expect(await contents(home)).toEqual([])
  return codeOf(result)
}

test('a machine joins by a code as argument, on standard input and in the environment, and all see each other', async () => {
  bob = await homes.add('bob')
  const [first, second] = [await inviteFrom(alice, '--name', 'bob', '--label', 'site=home'), await inviteFrom(alice)]
  const third = await inviteFrom(alice, '--uses', '2')
  const [joined] = await Promise.all([
    dave.runWith({ env: { WARREN_INVITE: third } }, 'join', '--name', 'dave', '--json'),
    homes.joinBy(carol, second, '--name', 'carol'),
    bob.must('join', first, '--json'),
  ])
  expect({ code: joined.code, out: joined.json() }).toMatchObject({ code: 0, out: { name: 'dave', role: 'member' } })
  await untilSees(alice, ['alice', 'bob', 'carol', 'dave'])
  // Nobody has told them where the others are but the network itself.
  for (const home of [bob, carol, dave]) await untilSees(home, ['alice', 'bob', 'carol', 'dave'])
  await untilAgree(alice, bob, carol, dave)
  expect((await alice.ask<{ labels: unknown }>('node', 'info', 'bob', '--json')).labels).toEqual({ site: 'home' })
  expect((await invites()).map(({ state, joined: who }) => [state, who.map(({ name }) => name)])).toEqual([
    ['open', ['dave']],
    ['used', ['carol']],
    ['used', ['bob']],
  ])
  // A daemon lives on: who reads its environment must not find the code.
  const { pid } = await dave.ask<{ pid: number }>('status', '--json')
  expect(await readFile(`/proc/${pid}/environ`, 'latin1')).not.toContain('WARREN_INVITE')
})

test('where clocks are an hour ahead and an hour behind, deploys and removals work as elsewhere', async () => {
  await alice.must('deploy', await homes.pack(alice, 'api 1.0.0'), '--all', '--json')
  for (const home of [carol, dave]) {
    expect(await home.status()).toMatchObject({ stale: false, standing: { current: true }, alarms: [] })
  }
  await alice.must('grant', 'carol', 'viewer', '--expires', '2h', '--json')
  await alice.must('grant', 'dave', 'viewer', '--expires', '2h', '--json')
  await untilAgree(alice, bob, carol, dave)
  for (const home of [carol, dave]) await home.must('--node', 'alice', 'status', '--json')
  await alice.must('node', 'remove', 'dave', '--yes', '--json')
  await untilSees(alice, ['alice', 'bob', 'carol'])
  await until(async () => expect(await dave.refusal('--node', 'alice', 'status')).toBe('peer_refused'))
  await untilAgree(alice, bob, carol)
  await Promise.all([carol, dave].map((home) => home.must('daemon', 'stop', '--apps')))
})

test('a code that was used, was closed or has expired is refused by name, and leaves nothing behind', async () => {
  const used = await inviteFrom(alice, '--uses', '1')
  const erin = await homes.add('erin')
  await homes.joinBy(erin, used, '--no-start')
  const before = (await alice.status()).statements
  expect(await refusedJoin('late', used)).toBe('invite_used')
  expect((await alice.status()).statements).toBe(before)

  const closed = await inviteFrom(alice)
  await alice.must('uninvite', (await invites())[0]?.id as string)
  expect(await refusedJoin('closed', closed)).toBe('invite_closed')

  const short = await inviteFrom(alice, '--ttl', '1s')
  const newest = async () => (await invites())[0]?.state
  await expect.poll(newest, { interval: 100 }).toBe('expired')
  expect(await refusedJoin('expired', short)).toBe('invite_expired')
})

test('a mistyped code, none, and one that names another network are refused, and leave nothing behind', async () => {
  const code = await inviteFrom(alice, '--name', 'frank')
  const letter = code.at(-5) === '7' ? '8' : '7'
  expect(await refusedJoin('mistyped', `${code.slice(0, -5)}${letter}${code.slice(-4)}`)).toBe('join_code_invalid')
  expect(await refusedJoin('cut', code.slice(0, 60))).toBe('join_code_invalid')
  const none = await homes.add('none')
  expect(await none.refusal('join')).toBe('invite_missing')
  expect(await contents(none)).toEqual([])
  const decoded = decodeJoinCode(code)
  const networkId = Buffer.from(decoded.networkId, 'hex').map((byte) => byte ^ 1)
  const secret = decoded.secret.map((byte) => byte ^ 1)
  const foreign = encodeJoinCode({ ...decoded, networkId: Buffer.from(networkId).toString('hex'), secret })
  expect(await refusedJoin('foreign', foreign)).toBe('invite_unknown')
  expect(await refusedJoin('guessed', encodeJoinCode({ ...decoded, secret }))).toBe('invite_unknown')
  expect((await invites())[0]).toMatchObject({ state: 'open', joined: [] })
})

test('a home that has a network takes no second one', async () => {
  const before = await readFile(join(bob.folder, 'roster', 'log'))
  const refused = await bob.runWith({ input: `${await inviteFrom(alice)}\n` }, 'join', '-', '--json')
  expect(codeOf(refused)).toBe('home_taken')
  expect(await readFile(join(bob.folder, 'roster', 'log')).then((log) => log.subarray(0, before.length))).toEqual(
    before,
  )
  expect((await invites())[0]).toMatchObject({ state: 'open', joined: [] })
})

test('where the inviter is off, another admin that the code names lets the machine in', async () => {
  await alice.must('grant', 'bob', 'admin', '--json')
  await expect.poll(async () => (await bob.status()).authority, { interval: 100 }).toBe('open')
  const code = await inviteFrom(alice, '--name', 'grace')
  await untilAgree(alice, bob)
  await alice.kill()
  const grace = await homes.add('grace')
  await homes.joinBy(grace, code)
  await untilSees(bob, ['bob', 'grace'])
  await alice.must('daemon', 'start', '--json')
  for (const home of [alice, bob, grace]) await untilSees(home, ['alice', 'bob', 'grace'])
  expect((await nodesOf(alice)).find(({ name }) => name === 'grace')).toMatchObject({ role: 'member', waiting: false })
  await untilAgree(alice, bob, grace)
})
