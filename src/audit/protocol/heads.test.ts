import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { ManualClock } from '../../base/clock.ts'
import { silentLogger } from '../../base/log.ts'
import { addressOf, testNetwork } from '../../net/fixtures/networks.ts'
import type { Network } from '../../net/index.ts'
import { readMessage, sendMessage } from '../../net/index.ts'
import { type Audit, openAudit } from '../audit.ts'
import { auditContract } from '../contract.ts'
import { auditOptions, decision, entriesOf, linesOf, rechain, tempFolder, testNode, writeLines } from '../fixtures.ts'
import { encodeHead, signHead } from '../head.ts'
import { auditRoutes } from '../routes.ts'
import { AUDIT_PROTOCOL, startAuditHeads } from './heads.ts'

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

interface TestNode {
  readonly folder: string
  readonly id: string
  readonly network: Network
  readonly audit: Audit
  readonly heads: ReturnType<typeof startAuditHeads>
  readonly clock: ManualClock
  stop(): Promise<void>
}

async function startNode(
  seed: number,
  { folder, isMember = () => true }: { folder?: string; isMember?: (peer: string) => boolean } = {},
): Promise<TestNode> {
  const own = folder ?? (await makeFolder())
  const { seed: privateKey, signer, nodeId } = testNode(Buffer.alloc(32, seed))
  const network = testNetwork({ privateKey })
  await network.start()
  const clock = new ManualClock(Date.now())
  const audit = await openAudit({ ...auditOptions(own), signer, nodeId })
  const heads = startAuditHeads({
    network,
    audit,
    folder: join(own, 'audit', 'heads'),
    isMember,
    clock,
    log: silentLogger,
  })
  const stop = async (): Promise<void> => {
    await heads.stop()
    await audit.stop()
    await network.stop()
  }
  cleanups.push(stop)
  return { folder: own, id: nodeId, network, audit, heads, clock, stop }
}

async function makeFolder(): Promise<string> {
  const { folder, remove } = await tempFolder()
  cleanups.push(remove)
  return folder
}

/** Resolves once `keeper` keeps the newest head of `node`. */
async function keptBy(keeper: TestNode, node: TestNode): Promise<void> {
  await expect.poll(async () => (await keeper.heads.headsOf(node.id)).heads.at(-1)?.seq).toBe(node.audit.head()?.seq)
}

const fileOf = ({ folder }: TestNode): string => join(folder, 'audit.log')

test('connected members keep each other’s heads: told on connecting, and after new entries', async () => {
  const [a, b] = [await startNode(1), await startNode(2)]
  for (const number of [1, 2, 3]) a.audit.tell(decision(number))
  await a.audit.flush()
  await a.network.connect(addressOf(b.network))
  await keptBy(b, a)
  await keptBy(a, b)
  a.audit.tell(decision(4))
  await a.audit.flush()
  expect(a.audit.head()?.seq).toBe(5)
  a.clock.advance(10_000)
  await keptBy(b, a)
  const peers = await a.heads.ask()
  expect(await a.audit.verify({ peers })).toMatchObject({
    ok: true,
    peers: [{ node: b.id, heads: 2, newest: 5, ok: true, problem: null }],
  })
})

test('a log cut or rewritten with recomputed hashes, own head and all, is found by what a peer keeps', async () => {
  const [a, b] = [await startNode(1), await startNode(2)]
  for (const number of [1, 2, 3, 4, 5]) a.audit.tell(decision(number))
  await a.audit.flush()
  await a.network.connect(addressOf(b.network))
  await keptBy(b, a)
  await a.stop()
  const entries = entriesOf(await linesOf(fileOf(a)))
  const subjects = entries.map((entry) => (entry.seq === 3 ? { ...entry, subject: 'harmless' } : entry))
  await writeLines(fileOf(a), rechain(subjects))
  await rm(join(a.folder, 'audit.head'))
  const again = await startNode(1, { folder: a.folder })
  await again.network.connect(addressOf(b.network))
  expect(await again.audit.verify()).toMatchObject({ ok: true, problems: [] })
  expect(await again.audit.verify({ peers: await again.heads.ask() })).toMatchObject({
    ok: false,
    peers: [{ node: b.id, ok: false, problem: expect.stringMatching(/entry 6 is not the one/) }],
  })
})

test('a log that was put back is told by the peer in its own log, with both heads as evidence', async () => {
  const [a, b] = [await startNode(1), await startNode(2)]
  for (const number of [1, 2]) a.audit.tell(decision(number))
  await a.audit.flush()
  const backup = await readFile(fileOf(a))
  for (const number of [3, 4, 5, 6, 7]) a.audit.tell(decision(number))
  await a.audit.flush()
  await a.network.connect(addressOf(b.network))
  await keptBy(b, a)
  await a.stop()
  await writeFile(fileOf(a), backup)
  const again = await startNode(1, { folder: a.folder })
  await again.network.connect(addressOf(b.network))
  await keptBy(b, again)
  const { rewinds, superseded } = await b.heads.headsOf(a.id)
  expect(rewinds).toMatchObject([{ before: { seq: 8 }, after: { seq: 4 } }])
  expect(superseded.map(({ seq }) => seq)).toEqual([8])
  await b.audit.flush()
  expect(entriesOf(await linesOf(fileOf(b))).at(-1)).toMatchObject({
    what: 'audit',
    subject: 'rewound',
    by: a.id,
    detail: { seq_before: 8, seq_after: 4 },
  })
  expect(b.heads.rewound()).toEqual([a.id])
  const stored = JSON.parse(await readFile(join(b.folder, 'audit', 'heads', `${a.id}.json`), 'utf8'))
  expect(stored.rewinds).toHaveLength(1)
  const routes = auditRoutes({ audit: b.audit, heads: b.heads, nameOf: () => 'office' })
  const answer = async (call: (typeof auditContract)['heads' | 'verify'], query: object) => {
    const signal = new AbortController().signal
    const output = await routes.find((route) => route.call === call)?.handle({ query, signal } as never)
    return call.response.parse(output)
  }
  expect(await answer(auditContract.heads, {})).toMatchObject([{ node: a.id, name: 'office', newest: { seq: 4 } }])
  expect(await answer(auditContract.verify, { peers: true })).toMatchObject({
    ok: true,
    witnessed: [{ node: a.id, name: 'office', before: { seq: 8 }, after: { seq: 4 } }],
    peers: [{ node: a.id, name: 'office', ok: true }],
  })
})

test('a peer that is no member is neither told nor heard', async () => {
  const [a, b] = [await startNode(1), await startNode(2, { isMember: () => false })]
  await a.network.connect(addressOf(b.network))
  const [answer] = await a.heads.ask()
  expect(answer).toMatchObject({ node: b.id, failure: expect.any(String) })
  expect((await a.heads.headsOf(b.id)).heads).toEqual([])
  expect(await b.heads.list()).toEqual([])
  // What does not answer is no fault of the log.
  expect(await a.audit.verify({ peers: await a.heads.ask() })).toMatchObject({ ok: true, peers: [{ heads: 0 }] })
})

async function say(network: Network, peer: string, message: Uint8Array | object): Promise<Buffer | undefined> {
  const stream = await network.open(peer, AUDIT_PROTOCOL)
  stream.on('error', () => undefined)
  await sendMessage(stream, message)
  stream.end()
  return await readMessage(stream)
}

test('a head of another node, a forged one and nonsense are refused; a lying peer’s heads count for nothing', async () => {
  const node = await startNode(1)
  const hostile = testNetwork({ privateKey: Buffer.alloc(32, 9) })
  await hostile.start()
  cleanups.push(() => hostile.stop())
  const [victim, liar] = [testNode(), testNode(Buffer.alloc(32, 9))]
  const lie = signHead({ node: node.id, seq: 99, hash: 'a'.repeat(64), timeMs: 1 }, liar.signer)
  hostile.handle(AUDIT_PROTOCOL, async (stream) => {
    const request = JSON.parse(((await readMessage(stream)) as Buffer).toString('utf8'))
    await sendMessage(stream, request.type === 'list' ? { heads: [encodeHead(lie), 7, null] } : { type: 'kept' })
    stream.end()
  })
  await hostile.connect(addressOf(node.network))
  const ofVictim = signHead({ node: victim.nodeId, seq: 5, hash: 'b'.repeat(64), timeMs: 1 }, victim.signer)
  const forged = signHead({ node: liar.nodeId, seq: 5, hash: 'b'.repeat(64), timeMs: 1 }, victim.signer)
  for (const message of [
    { type: 'head', head: encodeHead(ofVictim) },
    { type: 'head', head: encodeHead(forged) },
    { type: 'head' },
    { type: 'other' },
    Buffer.from('no json'),
    Buffer.from('null'),
    Buffer.alloc(100_000),
  ]) {
    await expect(say(hostile, node.id, message)).rejects.toThrow()
  }
  expect((await node.heads.list()).filter(({ heads }) => heads.length > 0)).toEqual([])
  await expect.poll(async () => (await node.heads.ask()).length).toBe(1)
  expect(await node.audit.verify({ peers: await node.heads.ask() })).toMatchObject({
    ok: true,
    peers: [{ node: liar.nodeId, heads: 0, ok: true }],
  })
})
