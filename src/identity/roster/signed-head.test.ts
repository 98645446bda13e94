import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { ManualClock } from '../../base/clock.ts'
import type { Signer } from '../ed25519.ts'
import { encodeEnvelope, sealEnvelope } from '../envelope.ts'
import { adminsBody, alice, bob, carol, createForge, makeGenesis, nodeBody, START_MS } from './fixtures.ts'
import { Roster } from './roster.ts'
import { HEAD_PAYLOAD_TYPE } from './signed-head.ts'

let folder: string
let clock: ManualClock
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'warren-heads-'))
  clock = new ManualClock(START_MS)
})
afterEach(() => rm(folder, { recursive: true, force: true }))

const byAlice = { signer: alice.authority, authorId: alice.id }
const byBob = { signer: bob.authority, authorId: bob.id }

/** Rosters of nodes that know two admins, alice and bob. */
async function rostersOf(...names: string[]) {
  const genesis = makeGenesis()
  const forge = createForge(genesis)
  const second = forge.write(alice, 'admins', adminsBody([alice, bob], { version: 2, previous: genesis.networkId }))
  const rosters = []
  for (const name of names) {
    const roster = await Roster.create({ folder: join(folder, name), clock, genesis })
    await roster.merge([second.envelope])
    rosters.push(roster)
  }
  return { genesis, forge, second, rosters: rosters as [Roster, ...Roster[]] }
}

test('a signed head is taken by others, kept on disk, and says the time and what is missing', async () => {
  const { rosters } = await rostersOf('a', 'b')
  const [a, b] = rosters as [Roster, Roster]
  const { hash } = await a.append(byAlice, { type: 'node', body: nodeBody(carol) }).catch(() => ({ hash: '' }))
  expect(hash).toBe('')
  await a.confirmOwnLog()
  const made = await a.append(byAlice, { type: 'node', body: nodeBody(carol) })
  clock.advance(60_000)
  const signed = await a.signedHeads.sign(byAlice)
  expect(signed).toMatchObject({ author: alice.id, timeMs: START_MS + 60_000, digest: a.digest(), heads: a.heads() })
  clock.advance(-3_600_000)
  expect((await b.signedHeads.take([encodeEnvelope(signed.envelope)])).added).toMatchObject([{ author: alice.id }])
  expect(b.latestTimeMs()).toBe(START_MS + 60_000)
  expect(b.signedHeads.missing()).toEqual([{ author: alice.id, seq: 2, hash: made.hash }])
  const again = await Roster.open({ folder: join(folder, 'b'), clock })
  expect(again.signedHeads.list()).toEqual(b.signedHeads.list())
  expect((await stat(join(folder, 'b', 'heads'))).mode & 0o777).toBe(0o600)
  await b.merge([made.envelope])
  expect(b.signedHeads.missing()).toEqual([])
})

test('a node that has expired by a signed head has no rights, though the local clock is an hour behind', async () => {
  const { rosters, forge } = await rostersOf('a')
  const [a] = rosters
  const limited = forge.write(bob, 'node', nodeBody(carol, { expires: START_MS + 60_000 }))
  await a.merge([limited.envelope])
  expect(a.roleOf(carol.id)).toBe('member')
  clock.advance(120_000)
  await a.signedHeads.sign(byBob)
  clock.advance(-3_600_000)
  expect(a.roleOf(carol.id)).toBeUndefined()
})

function forged(fields: object, { signer = bob.authority }: { signer?: Signer } = {}) {
  const body = { author: bob.id, time: START_MS, digest: 'a'.repeat(64), heads: [], ...fields }
  return sealEnvelope({ payloadType: HEAD_PAYLOAD_TYPE, payload: Buffer.from(JSON.stringify(body)), signers: [signer] })
}

test('what is replayed is left aside, and what is hostile is refused with its reason', async () => {
  const { rosters, genesis } = await rostersOf('a')
  const [a] = rosters
  const network = genesis.networkId
  const good = forged({ network, time: START_MS + 5 })
  expect((await a.signedHeads.take([good])).added).toHaveLength(1)
  const older = forged({ network, time: START_MS + 4 }, { signer: carol.authority })
  expect(await a.signedHeads.take([good, older])).toEqual({ added: [], rejected: [] })
  const many = Array.from({ length: 300 }, () => ({ author: alice.id, seq: 1, hash: 'a'.repeat(64) }))
  const bad = [
    ['malformed', Buffer.from('nonsense')],
    ['too_large', Buffer.alloc(70_000, 0x20)],
    ['too_large', forged({ network, time: START_MS + 9, filler: 'x'.repeat(50_000) })],
    ['malformed', forged({ network, time: START_MS + 9, heads: many })],
    ['malformed', forged({ network, time: -1 })],
    ['malformed', { ...good, payloadType: 'application/vnd.warren.roster.v1+json' }],
    ['wrong_network', forged({ network: 'b'.repeat(64), time: START_MS + 9 })],
    ['author_void', forged({ network, author: carol.id, time: START_MS + 9 }, { signer: carol.authority })],
    ['bad_signature', forged({ network, time: START_MS + 9 }, { signer: carol.authority })],
  ] as const
  const { added, rejected } = await a.signedHeads.take(bad.map(([, envelope]) => envelope))
  expect(added).toEqual([])
  expect(rejected.map(({ reason }) => reason)).toEqual(bad.map(([reason]) => reason))
  await expect(a.signedHeads.sign({ signer: carol.authority, authorId: carol.id })).rejects.toMatchObject({
    code: 'not_admin',
  })
})

test('the head of who is no admin any more counts no more, nor what it says is missing', async () => {
  const { rosters, genesis, second, forge } = await rostersOf('a')
  const [a] = rosters
  const network = genesis.networkId
  const ahead = [{ author: bob.id, seq: 9, hash: 'b'.repeat(64) }]
  await a.signedHeads.take([forged({ network, time: START_MS + 1e9, heads: ahead })])
  expect(a.signedHeads.missing()).toEqual(ahead)
  const removal = forge.write(alice, 'node-remove', { id: bob.id, last: { seq: 0, hash: network } }, { after: second })
  await a.merge([removal.envelope])
  expect(a.signedHeads.list()).toEqual([])
  expect(a.signedHeads.missing()).toEqual([])
  expect(a.latestTimeMs()).toBe(START_MS + 1)
})

test('two signed heads in one go count by the newer, and a damaged file is as none', async () => {
  const { rosters, genesis } = await rostersOf('a')
  const [a] = rosters
  const network = genesis.networkId
  const heads = [2, 3, 1].map((ms) => forged({ network, time: START_MS + ms }))
  await a.signedHeads.take(heads)
  expect(a.signedHeads.newestMs()).toBe(START_MS + 3)
  expect((await readFile(join(folder, 'a', 'heads'), 'utf8')).trimEnd().split('\n')).toHaveLength(1)
  const whole = await readFile(join(folder, 'a', 'heads'), 'utf8')
  await writeFile(join(folder, 'a', 'heads'), `{"payloadType":\n${whole}`)
  expect((await Roster.open({ folder: join(folder, 'a'), clock })).signedHeads.newestMs()).toBe(START_MS + 3)
  await writeFile(join(folder, 'a', 'heads'), whole.slice(0, -20))
  expect((await Roster.open({ folder: join(folder, 'a'), clock })).signedHeads.list()).toEqual([])
})

test('random payloads, well signed by an admin, never throw', async () => {
  const { rosters, genesis } = await rostersOf('a')
  await fc.assert(
    fc.asyncProperty(fc.jsonValue(), fc.jsonValue(), async (time, heads) => {
      const fields = { network: genesis.networkId, time, heads }
      await rosters[0].signedHeads.take([forged(fields)])
    }),
    { numRuns: 50 },
  )
})
