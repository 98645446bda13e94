import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { ManualClock } from '../../base/clock.ts'
import { type Envelope, encodeEnvelope, sealEnvelope } from '../envelope.ts'
import { draftCheckpoint, sealRoot } from '../root-changes.ts'
import { MAX_FRONTIER, MAX_LIVE_HASHES } from './bodies.ts'
import { MAX_STATEMENT_BYTES, MAX_STATEMENTS } from './constants.ts'
import { draftPayloads } from './draft.ts'
import { evaluate } from './evaluate.ts'
import {
  adminsBody,
  alice,
  bob,
  carol,
  createForge,
  makeGenesis,
  nodeBody,
  root,
  rootSigner,
  START_MS,
  writer,
} from './fixtures.ts'
import { StatementIntake } from './intake.ts'
import { RosterLog } from './log-file.ts'
import { Roster } from './roster.ts'
import { HEAD_PAYLOAD_TYPE } from './signed-head.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'warren-checkpoint-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

const byAlice = { signer: alice.authority, authorId: alice.id }
const options = (name = 'a') => ({ folder: join(folder, name), clock: new ManualClock(START_MS) })

/** A roster in which bob was said anew many times. */
async function rosterOf(revisions: number) {
  const genesis = makeGenesis()
  const forge = createForge(genesis)
  const made = Array.from({ length: revisions }, (_none, at) =>
    forge.write(alice, 'node', nodeBody(bob, { revision: at + 1, name: `n${at + 1}` })),
  )
  const roster = await Roster.create({ ...options(), genesis })
  await roster.merge(made.map(({ envelope }) => envelope))
  await roster.confirmOwnLog()
  return { genesis, forge, roster, made, envelopes: made.map(({ envelope }) => envelope) }
}

const sealed = (roster: Roster): Envelope[] => sealRoot(draftCheckpoint(roster), [rootSigner])

test('after a checkpoint only what matters is held and on disk, and the log of the admin goes on', async () => {
  const { roster } = await rosterOf(30)
  const before = roster.state
  await roster.submitRoot(sealed(roster))
  expect(roster.size).toBe(2)
  expect((await readFile(join(options().folder, 'log'), 'utf8')).trimEnd().split('\n')).toHaveLength(3)
  expect(roster.state).toEqual({ ...before, newestTimeMs: roster.state.newestTimeMs })
  const next = await roster.append(byAlice, { type: 'node', body: nodeBody(carol, { name: 'c' }) })
  expect(next.seq).toBe(31)
  const again = await Roster.open(options())
  expect(again.digest()).toBe(roster.digest())
  expect(again.state).toEqual(roster.state)
  expect(again.ownLogConfirmed(alice.id)).toBe(true)
})

test('what a checkpoint did away with is dropped without a word, however it comes', async () => {
  const { roster, envelopes } = await rosterOf(30)
  await roster.submitRoot(sealed(roster))
  const digest = roster.digest()
  expect(await roster.merge(envelopes)).toEqual({ added: [], rejected: [], waiting: 0 })
  expect(roster.digest()).toBe(digest)
})

test('parts that are not all there change nothing', async () => {
  const genesis = makeGenesis()
  const forge = createForge(genesis)
  const made = Array.from({ length: MAX_LIVE_HASHES + 5 }, (_none, at) =>
    forge.write(alice, 'node', nodeBody(writer(`w${at}`), { name: `w${at}` })),
  )
  const roster = await Roster.create({ ...options(), genesis })
  await roster.merge(made.map(({ envelope }) => envelope))
  const parts = sealed(roster)
  expect(parts).toHaveLength(2)
  const before = roster.state
  await roster.submitRoot(parts.slice(0, 1))
  expect(roster.size).toBe(made.length + 1)
  expect(roster.state).toEqual({ ...before, newestTimeMs: roster.state.newestTimeMs })
  await roster.submitRoot(parts.slice(1))
  expect(roster.state.nodes.size).toBe(made.length)
})

test('a checkpoint by anyone but the root does nothing', async () => {
  const { roster, forge, made } = await rosterOf(3)
  const body = { id: 'a'.repeat(32), part: 1, parts: 1, frontier: [{ author: alice.id, ...place(made[2]!) }], live: [] }
  await roster.merge([forge.write(alice, 'checkpoint', body).envelope])
  expect(roster.state.nodes.get(bob.id)?.name).toBe('n3')
  await expect(
    roster.submitRoot([forge.write(root, 'checkpoint', body, { signer: alice.authority }).envelope]),
  ).rejects.toMatchObject({
    code: 'statement_invalid',
  })
  expect(roster.size).toBe(4)
})

const place = ({ seq, hash }: { seq: number; hash: string }) => ({ seq, hash })

test('a later checkpoint counts alone, and one that would give back what the former covered does not', async () => {
  const { roster, forge } = await rosterOf(10)
  await roster.submitRoot(sealed(roster))
  await roster.append(byAlice, { type: 'node', body: nodeBody(bob, { revision: 11, name: 'n11' }) })
  const before = roster.state
  const digest = roster.digest()
  const less = { id: 'b'.repeat(32), part: 1, parts: 1, frontier: [], live: [] }
  await roster.submitRoot([forge.write(root, 'checkpoint', less, { after: roster.placeOf('root')! }).envelope])
  expect(roster.state).toEqual({ ...before, newestTimeMs: roster.state.newestTimeMs })
  expect(roster.digest()).not.toBe(digest)
  await roster.submitRoot(sealed(roster))
  expect(roster.size).toBe(4)
  expect(roster.state.nodes.get(bob.id)?.name).toBe('n11')
  expect((await Roster.open(options())).digest()).toBe(roster.digest())
})

test('who was removed before a checkpoint stays removed, whatever comes late', async () => {
  const { roster, forge } = await rosterOf(3)
  const removal = forge.write(alice, 'node-remove', { id: bob.id })
  await roster.merge([removal.envelope])
  await roster.submitRoot(sealed(roster))
  const back = forge.write(alice, 'node', nodeBody(bob, { revision: 99 }))
  await roster.merge([back.envelope])
  expect(roster.roleOf(bob.id)).toBeUndefined()
  expect(roster.state.removed.has(bob.id)).toBe(true)
})

test('a fork under a checkpoint is settled, and cannot be made afterwards', async () => {
  const { roster, forge, genesis } = await rosterOf(5)
  await roster.submitRoot(sealed(roster))
  const late = forge.write(alice, 'node', nodeBody(carol), { after: { seq: 0, hash: genesis.networkId } })
  const onTop = forge.write(alice, 'node', nodeBody(carol))
  expect(await roster.merge([late.envelope, onTop.envelope])).toMatchObject({ added: [], rejected: [] })
  const otherRoot = forge.write(root, 'admins', adminsBody([bob], { version: 2, previous: genesis.networkId }))
  expect(await roster.merge([otherRoot.envelope])).toMatchObject({ added: [], rejected: [] })
  const ahead = { network: roster.networkId, author: alice.id, time: START_MS + 1, digest: roster.digest() }
  const heads = [
    { author: 'root', seq: otherRoot.seq, hash: otherRoot.hash },
    { author: alice.id, seq: late.seq, hash: late.hash },
  ]
  const payload = Buffer.from(JSON.stringify({ ...ahead, heads }))
  await roster.signedHeads.take([sealEnvelope({ payloadType: HEAD_PAYLOAD_TYPE, payload, signers: [alice.authority] })])
  expect(roster.signedHeads.list()).toHaveLength(1)
  expect(roster.signedHeads.missing()).toEqual([])
  expect(roster.state.alarms).toEqual([])
})

test('a node that was away catches up with one that dropped what it lacks', async () => {
  const { roster, genesis, envelopes } = await rosterOf(30)
  const away = await Roster.create({ ...options('b'), genesis })
  await away.merge(envelopes.slice(0, 12))
  await roster.submitRoot(sealed(roster))
  await roster.append(byAlice, { type: 'node', body: nodeBody(carol, { name: 'c' }) })
  await away.merge(roster.entriesAfter(away.heads()))
  expect(away.digest()).toBe(roster.digest())
  expect(away.size).toBe(roster.size)
  // What it has is nothing new to the other, and nothing is asked for again.
  expect(roster.entriesAfter(away.heads())).toEqual([])
  expect((await roster.merge(away.entriesAfter(roster.heads()))).added).toEqual([])
})

test('a node that got a checkpoint and not what it names says so, and asks for all', async () => {
  const { roster, genesis } = await rosterOf(30)
  await roster.submitRoot(sealed(roster))
  const other = await Roster.create({ ...options('b'), genesis })
  const [checkpoint, ...rest] = roster.entriesAfter([])
  await other.merge([checkpoint!])
  expect(other.signedHeads.missing()).toHaveLength(1)
  expect(other.heads()).toMatchObject([{ author: 'root' }])
  expect(() => draftCheckpoint(other)).toThrow(expect.objectContaining({ code: 'roster_incomplete' }))
  expect(roster.entriesAfter(other.heads())).toEqual(rest)
  await other.merge(rest)
  expect(other.signedHeads.missing()).toEqual([])
  expect(other.digest()).toBe(roster.digest())
})

test('a checkpoint that cannot be stored changes nothing', async () => {
  const { roster } = await rosterOf(5)
  const parts = sealed(roster)
  const before = { digest: roster.digest(), size: roster.size }
  await rm(join(options().folder, 'log'))
  await expect(roster.submitRoot(parts)).rejects.toMatchObject({ code: 'ENOENT' })
  expect({ digest: roster.digest(), size: roster.size }).toEqual(before)
  const lines = [roster.genesis.envelope, ...roster.entriesAfter([])]
  expect(lines).toHaveLength(6)
})

test('what a thief wrote beyond its cut-off goes away with a checkpoint', async () => {
  const genesis = makeGenesis()
  const forge = createForge(genesis)
  const second = forge.write(alice, 'admins', adminsBody([alice, bob], { version: 2, previous: genesis.networkId }))
  const good = forge.write(bob, 'node', nodeBody(carol, { name: 'c' }))
  const flood = Array.from({ length: 500 }, (_none, at) => forge.write(bob, 'flood', at))
  const removal = forge.write(alice, 'node-remove', { id: bob.id, last: place(good) })
  const all = [second, good, ...flood, removal].map(({ envelope }) => envelope)
  const roster = await Roster.create({ ...options(), genesis })
  await roster.merge(all)
  expect(roster.size).toBe(503)
  await roster.submitRoot(sealed(roster))
  expect(roster.size).toBe(4)
  expect([...roster.state.nodes.keys()]).toEqual([carol.id])
  expect(roster.state.removed.has(bob.id)).toBe(true)
})

test('a full part fits a statement, of hashes or of logs', () => {
  const hash = 'f'.repeat(64)
  const place = { seq: 999_999_999, hash: 'f'.repeat(64) }
  const fixed = { id: 'a'.repeat(32), part: 128, parts: 128 }
  const frontier = Array.from({ length: MAX_FRONTIER }, () => ({ author: alice.id, ...place }))
  const live = Array.from({ length: MAX_LIVE_HASHES }, () => hash)
  const [logs, hashes] = draftPayloads(
    [
      { type: 'checkpoint', body: { ...fixed, frontier, live: [] } },
      { type: 'checkpoint', body: { ...fixed, frontier: [], live } },
    ],
    { network: hash, author: 'root', key: hash, head: place, timeMs: START_MS },
  )
  expect(logs?.length).toBeLessThan(MAX_STATEMENT_BYTES)
  expect(hashes?.length).toBeLessThan(MAX_STATEMENT_BYTES)
})

test('a full roster takes the root’s statements, and says before that a checkpoint is due', () => {
  const genesis = makeGenesis()
  const forge = createForge(genesis)
  const made = Array.from({ length: MAX_STATEMENTS + 1 }, (_none, at) =>
    forge.write(alice, 'node', nodeBody(bob, { revision: at + 1 })),
  ).map(({ envelope }) => envelope)
  const intake = new StatementIntake(genesis)
  const merge = (envelopes: readonly Envelope[]) => {
    const go = intake.begin(evaluate(genesis, intake.statements))
    for (const envelope of envelopes) {
      go.take(envelope)
      while (go.step());
    }
    return go.finish()
  }
  const { rejected } = merge(made)
  expect(rejected).toMatchObject([{ reason: 'roster_full' }])
  const full = evaluate(genesis, intake.statements)
  expect(full.state.alarms).toMatchObject([{ code: 'roster_large' }])
  const head = full.heads[0]!
  const body = { id: 'a'.repeat(32), part: 1, parts: 1, frontier: [head], live: [head.hash] }
  expect(merge([forge.write(root, 'checkpoint', body).envelope]).rejected).toEqual([])
  const after = evaluate(genesis, intake.statements)
  expect(intake.statements.size).toBe(2)
  expect(after.state.nodes.get(bob.id)?.revision).toBe(MAX_STATEMENTS)
  expect(after.state.alarms).toEqual([])
})

test('an older file with a checkpoint at its end opens to the same', async () => {
  const { roster, genesis, envelopes } = await rosterOf(8)
  await roster.submitRoot(sealed(roster))
  const checkpoint = roster.entriesAfter([])[0]!
  const log = await RosterLog.create(join(folder, 'old'), encodeEnvelope(genesis.envelope))
  await log.append([...envelopes, checkpoint].map(encodeEnvelope))
  const opened = await Roster.open(options('old'))
  expect(opened.digest()).toBe(roster.digest())
  expect(opened.size).toBe(roster.size)
  await writeFile(join(folder, 'old', 'own'), 'damaged')
  expect((await Roster.open(options('old'))).ownLogConfirmed(alice.id)).toBe(false)
})
