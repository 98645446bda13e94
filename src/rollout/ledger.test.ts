import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterEach, expect, test } from 'vitest'
import { ManualClock } from '../base/clock.ts'
import { silentLogger } from '../base/log.ts'
import { signDocument } from './document.ts'
import { OUTCOMES, signEvidence } from './evidence.ts'
import { NETWORK, type TestNode, testDocument, testNodes } from './fixtures/nodes.ts'
import { signHalt } from './halt.ts'
import { Ledger, type Statement } from './ledger.ts'

const [a, b, c] = testNodes(3) as [TestNode, TestNode, TestNode]
const folders: string[] = []
afterEach(async () => {
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true, force: true })
})

async function newLedger(
  changes: {
    clock?: ManualClock
    folder?: string
    forbidden?: string[]
    blind?: (peer: string, app: string) => boolean
    ageMs?: () => number
    unknown?: (node: string) => boolean
  } = {},
) {
  const folder = changes.folder ?? (await mkdtemp(join(tmpdir(), 'warren-ledger-')))
  folders.push(folder)
  const ledger = new Ledger({
    folder,
    self: a.id,
    network: () => NETWORK,
    rights: {
      mayDeploy: (node) => changes.forbidden?.includes(node) !== true,
      maySee: (peer, app) => changes.blind?.(peer, app) !== true,
      isKnown: (node) => changes.unknown?.(node) !== true,
      admins: () => ['alpha'],
      networkAgeMs: () => changes.ageMs?.() ?? 0,
    },
    clock: changes.clock ?? new ManualClock(),
    log: silentLogger,
  })
  await ledger.load()
  return { ledger, folder }
}

const document = (base: number, changes = {}) =>
  signDocument(testDocument([[a], [b, c]], { base, ...changes }), a.signer)
const evidence = (id: string, node: TestNode, outcome: (typeof OUTCOMES)[number]) =>
  signEvidence(
    { document: id, node: node.id, attempt: 1, outcome, version: null, reason: null, timeMs: 1_700_000_000_000 },
    node.signer,
  ).envelope
const halt = (id: string, node: TestNode, revert = false) =>
  signHalt({ document: id, by: node.id, revert, reason: null, timeMs: 1 }, node.signer).envelope

test('statements in any order and number make the same set, also after a restart', async () => {
  const one = document(0)
  const two = document(1)
  const all: Omit<Statement, 'id'>[] = [
    { kind: 'document', envelope: one.envelope },
    { kind: 'document', envelope: two.envelope },
    { kind: 'halt', envelope: halt(one.id, b) },
    { kind: 'halt', envelope: halt(one.id, b, true) },
    ...[a, b, c].flatMap((node) =>
      OUTCOMES.map((outcome) => ({ kind: 'evidence' as const, envelope: evidence(one.id, node, outcome) })),
    ),
  ]
  const digests = (ledger: Ledger) =>
    Object.fromEntries(ledger.exchanged(b.id).map(({ rollout, digest }) => [rollout.id, digest]))
  const { ledger: whole } = await newLedger()
  await whole.addAll(all, () => undefined)
  const orders = fc.shuffledSubarray([...all, ...all], { minLength: 2 * all.length })
  await fc.assert(
    fc.asyncProperty(orders, fc.nat(20), async (order, cut) => {
      const { ledger, folder } = await newLedger()
      await ledger.addAll(order.slice(0, cut), () => undefined)
      await ledger.addAll(order, () => undefined)
      expect(digests(ledger)).toEqual(digests(whole))
      const { ledger: again } = await newLedger({ folder })
      expect(digests(again)).toEqual(digests(whole))
    }),
    { numRuns: 8 },
  )
})

test('nobody is told of an exchange before all of it is in', async () => {
  const { ledger } = await newLedger()
  const { id, envelope } = document(0)
  const seen: number[] = []
  ledger.events.on('changed', () => seen.push(ledger.get(id)?.halts.size ?? -1))
  await ledger.addAll(
    [
      { kind: 'halt', envelope: halt(id, a) },
      { kind: 'document', envelope },
    ],
    () => undefined,
  )
  expect(seen).toEqual([1, 1])
})

test('each refused statement is named and the others stay', async () => {
  const { ledger } = await newLedger()
  const { id, envelope } = document(0)
  const stranger = testNodes(9)[8] as TestNode
  const refused: string[] = []
  await ledger.addAll(
    [
      { kind: 'evidence', envelope: evidence(id, stranger, 'failed') },
      { kind: 'document', envelope: document(0, { network: 'other' }).envelope },
      { kind: 'document', envelope },
    ],
    ({ kind }, error) => refused.push(`${kind} ${(error as { code: string }).code}`),
  )
  expect(refused.sort()).toEqual(['document rollout_invalid', 'evidence rollout_invalid'])
  expect(ledger.all().map((rollout) => rollout.id)).toEqual([id])
})

test('an author or halter without the right is refused; the author may always halt', async () => {
  const { ledger } = await newLedger({ forbidden: [b.id] })
  const foreign = signDocument(testDocument([[a]], { author: b.id }), b.signer)
  await expect(ledger.addDocument(foreign.envelope)).rejects.toMatchObject({ code: 'rollout_forbidden' })
  const { id, envelope } = document(0)
  await ledger.addDocument(envelope)
  await expect(ledger.addHalt(halt(id, b))).rejects.toMatchObject({ code: 'rollout_forbidden' })
  expect((await ledger.addHalt(halt(id, a))).result).toBe('new')
})

test('what a node without the right deploys to itself is told to nobody, since all others would refuse it', async () => {
  const { ledger } = await newLedger({ forbidden: [a.id] })
  const told: Statement[] = []
  ledger.events.on('news', (statement) => void told.push(statement))
  const { id, envelope } = signDocument(testDocument([[a]], { author: a.id }), a.signer)
  await ledger.addDocument(envelope)
  await ledger.addEvidence(evidence(id, a, 'healthy'))
  expect(ledger.get(id)?.evidence.size).toBe(1)
  expect(told).toEqual([])
  expect(ledger.exchanged(b.id)).toEqual([])
})

test('evidence for a document that is not held is unknown, so that it can be asked for', async () => {
  const { ledger } = await newLedger()
  expect(await ledger.addEvidence(evidence('ab'.repeat(32), a, 'healthy'))).toMatchObject({ result: 'unknown' })
})

test('every accepted document, halt and way back raises the generation', async () => {
  const { ledger } = await newLedger()
  expect(ledger.generationOf('hello')).toBe(0)
  const { id, envelope } = document(4)
  await ledger.addDocument(envelope)
  expect(ledger.generationOf('hello')).toBe(5)
  await ledger.addHalt(halt(id, a, true))
  expect(ledger.generationOf('hello')).toBe(6)
  await ledger.addEvidence(evidence(id, b, 'reverted'))
  expect(ledger.generationOf('hello')).toBe(7)
  expect(ledger.generationOf('other')).toBe(0)
})

test('rollouts are dropped a day after their time, but the newest of an app stays and so does its generation', async () => {
  const clock = new ManualClock()
  const { ledger, folder } = await newLedger({ clock })
  for (const base of [0, 1]) await ledger.addDocument(document(base).envelope)
  clock.advance(3 * 24 * 3_600_000)
  const { ledger: later } = await newLedger({ clock, folder })
  expect(later.all().map((rollout) => rollout.document.base)).toEqual([1])
  expect(later.generationOf('hello')).toBe(2)
  expect(await readdir(folder)).toHaveLength(1)
  await expect(later.addDocument(document(0, { nonce: '1' }).envelope)).rejects.toMatchObject({
    code: 'rollout_expired',
  })
})

test('of many rollouts of one app only the newest fifty are kept', async () => {
  const { ledger } = await newLedger()
  for (let base = 0; base < 60; base++) await ledger.addDocument(document(base).envelope)
  expect(ledger.exchanged(b.id)).toHaveLength(50)
  expect(Math.min(...ledger.exchanged(b.id).map(({ rollout }) => rollout.document.base))).toBe(10)
})

test('a generation that no app can have reached is refused, and one that it can is taken by nodes of any history', async () => {
  let ageMs = 0
  const { ledger } = await newLedger({ ageMs: () => ageMs })
  const far = document(1_000_000_000).envelope
  await expect(ledger.addDocument(far)).rejects.toMatchObject({ code: 'rollout_invalid' })
  expect(ledger.generationOf('hello')).toBe(0)
  const near = document(1001)
  await expect(ledger.addDocument(near.envelope)).rejects.toMatchObject({ code: 'rollout_invalid' })
  ageMs = 1000
  expect(await ledger.addDocument(near.envelope)).toMatchObject({ result: 'new' })
  const { ledger: other } = await newLedger({ ageMs: () => ageMs })
  expect(await other.addDocument(document(0).envelope)).toMatchObject({ result: 'new' })
  expect(await other.addDocument(near.envelope)).toMatchObject({ result: 'new' })
})

test('whoever goes to the last generation there may be blocks nobody: a second later there is room again', async () => {
  let ageMs = 3_600_000
  const { ledger } = await newLedger({ ageMs: () => ageMs })
  const most = 3600 + 1000
  const rogue = document(most)
  await ledger.addDocument(rogue.envelope)
  await ledger.addHalt(halt(rogue.id, b))
  ageMs += 2000
  const next = document(ledger.generationOf('hello'))
  expect(next.document.base).toBe(most + 2)
  expect(await ledger.addDocument(next.envelope)).toMatchObject({ result: 'new' })
})

test('with a clock before the network began real generations are still taken', async () => {
  const { ledger } = await newLedger({ ageMs: () => -1e12 })
  expect(await ledger.addDocument(document(1000).envelope)).toMatchObject({ result: 'new' })
})

test('what a peer may not see is not exchanged with it', async () => {
  const { ledger } = await newLedger({ blind: (peer, app) => peer === c.id && app === 'hello' })
  await ledger.addDocument(document(0).envelope)
  expect(ledger.exchanged(b.id)).toHaveLength(1)
  expect(ledger.exchanged(c.id)).toEqual([])
})

test('an author with right to many apps takes no room from others, and none at all once the right is gone', async () => {
  const forbidden: string[] = []
  const { ledger } = await newLedger({ forbidden })
  const thief = testNodes(9)[8] as TestNode
  const flood = (index: number, author = thief) =>
    signDocument(testDocument([[c]], { app: `web-${index}`, author: author.id }), author.signer).envelope
  const codes = new Set<string>()
  for (let index = 0; index < 600; index++) {
    await ledger.addDocument(flood(index)).catch((error: { code: string }) => codes.add(error.code))
  }
  expect([...codes]).toEqual(['rollout_limit'])
  expect(ledger.all()).toHaveLength(500)
  for (let index = 600; index < 1100; index++) await ledger.addDocument(flood(index, b))
  await expect(ledger.addDocument(document(0).envelope)).rejects.toMatchObject({ code: 'rollout_limit' })
  forbidden.push(thief.id)
  await expect(ledger.addDocument(document(0).envelope)).resolves.toMatchObject({ result: 'new' })
  expect(ledger.all()).toHaveLength(1000)
})

test('an author that may deploy no more can stop its rollout, and not take nodes back to an older version', async () => {
  const forbidden: string[] = []
  const { ledger } = await newLedger({ forbidden })
  const { id, envelope } = signDocument(testDocument([[a], [c]], { author: b.id }), b.signer)
  await ledger.addDocument(envelope)
  forbidden.push(b.id)
  await expect(ledger.addHalt(halt(id, b, true))).rejects.toMatchObject({ code: 'rollout_forbidden' })
  await expect(ledger.addHalt(halt(id, b))).resolves.toMatchObject({ result: 'new' })
  expect([...(ledger.get(id)?.halts.values() ?? [])].map((each) => each.halt.revert)).toEqual([false])
})

test('evidence of nodes that the roster does not name fills no disk: keys and targets can be made up without end', async () => {
  const all = testNodes(60)
  const real = all.slice(0, 3)
  const { ledger } = await newLedger({ unknown: (node) => !real.some(({ id }) => id === node) })
  const { id, envelope } = signDocument(testDocument([all]), a.signer)
  await ledger.addDocument(envelope)
  const codes = new Set<string>()
  for (const node of [...all].reverse()) {
    await ledger.addEvidence(evidence(id, node, 'healthy')).catch((error: { code: string }) => codes.add(error.code))
  }
  expect([...codes]).toEqual(['rollout_invalid'])
  const kept = [...(ledger.get(id)?.evidence.keys() ?? [])]
  expect(kept).toHaveLength(16 + 3)
  expect(kept).toEqual(expect.arrayContaining(real.map((node) => node.id)))
})
