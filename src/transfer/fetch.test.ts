import { chmod, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { decodeIndex } from '../bundle/index.ts'
import { type Network, readMessages, type Stream, sendMessage, sendParts } from '../net/index.ts'
import {
  addPackage,
  introduce,
  makePackage,
  noise,
  startNode,
  type TestNode,
  temporaryFolder,
  testNetwork,
} from './fixtures/nodes.ts'
import { type BadSource, type FetchProgress, type TransferInit, transferErrors } from './index.ts'
import { TRANSFER_PROTOCOL } from './protocol/constants.ts'
import { type Answer, decodeAnswer, decodeAsk, encodeAnswer } from './protocol/messages.ts'

let folder: string
let source: TestNode
/** By which impostors ask the real source. */
let uplink: Network
const cleanups: (() => Promise<void>)[] = []

beforeAll(async () => {
  source = await startNode()
  uplink = testNetwork()
  await uplink.start()
  await introduce(uplink, source.network)
})
afterAll(async () => {
  await uplink.stop()
  await source.stop()
})
beforeEach(async () => {
  folder = await temporaryFolder()
})
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
  await rm(folder, { recursive: true, force: true })
})

async function node(init: Partial<TransferInit> = {}): Promise<TestNode> {
  const started = await startNode(init)
  cleanups.push(() => started.stop())
  await introduce(started.network, source.network)
  return started
}

/** Chunk sizes of a stored package by hash. */
async function chunksOf(home: string, digest: string): Promise<Map<string, number>> {
  const index = decodeIndex(await readFile(join(home, 'packages', digest, 'index')))
  return new Map(index.files.flatMap((file) => file.chunks.map(({ hash, size }) => [hash, size] as const)))
}

test('what an installed folder has lost is noticed as a whole, and one fetch brings all of it back', async () => {
  const packed = await makePackage(folder, '1.0.0', { 'big.bin': noise('lost', 1024 * 1024) })
  await addPackage(source.transfer, packed)
  const { transfer } = await node()
  await transfer.fetch(packed.digest, { sources: [source.id] })
  const tree = join(folder, 'tree')
  await transfer.materialize(packed.digest, tree)
  await transfer.adoptTree(packed.digest, tree)
  await chmod(tree, 0o700)
  await rm(tree, { recursive: true })
  const copy = join(folder, 'copy')
  await expect(transfer.materialize(packed.digest, copy)).rejects.toMatchObject({ code: 'package_damaged' })
  await transfer.fetch(packed.digest, { sources: [source.id] })
  await transfer.materialize(packed.digest, copy)
})

const addressesOf = new Map<string, string[]>()

/** Tells a node the address of an impostor. */
async function connectTo(from: TestNode, peer: string): Promise<void> {
  await from.network.addAddress(peer, addressesOf.get(peer) ?? [])
}

/** A peer that answers the transfer protocol as `answer` says. */
async function impostor(answer: (stream: Stream, message: Buffer) => Promise<void>): Promise<string> {
  const network = testNetwork()
  network.handle(TRANSFER_PROTOCOL, async (stream) => {
    stream.on('error', () => undefined)
    for await (const message of readMessages(stream)) await answer(stream, message)
    stream.end()
  })
  await network.start()
  cleanups.push(() => network.stop())
  addressesOf.set(network.id, network.addresses())
  return network.id
}

/** Answers as the real source does, with each answer changed on its way. */
function relay(change: (answer: Answer) => Answer | undefined) {
  return async (stream: Stream, message: Buffer): Promise<void> => {
    const upstream = await uplink.open(source.id, TRANSFER_PROTOCOL)
    upstream.on('error', () => undefined)
    await sendMessage(upstream, message)
    upstream.end()
    for await (const bytes of readMessages(upstream)) {
      const changed = change(decodeAnswer(bytes))
      if (changed !== undefined) await sendParts(stream, encodeAnswer(changed))
    }
  }
}
test('a package comes over whole, is written out as packed, and can be had from the node that fetched it', async () => {
  const big = noise('whole', 3_000_000)
  const packed = await makePackage(folder, '1.0.0', { 'big.bin': big, 'text.txt': 'hello '.repeat(10_000), none: '' })
  await addPackage(source.transfer, packed)
  const [two, three] = [await node(), await node()]
  const progress: FetchProgress[] = []
  const fetched = await two.transfer.fetch(packed.digest, {
    sources: [source.id],
    onProgress: (step) => progress.push(step),
  })
  expect(fetched).toMatchObject({
    digest: packed.digest,
    complete: true,
    movedBytes: packed.record.bytes,
    copiedBytes: 0,
  })
  expect(fetched.signature?.signatures).toHaveLength(1)
  expect(progress.at(-1)).toMatchObject({ bytes: packed.record.bytes, total: packed.record.bytes })
  expect(progress.map(({ bytes }) => bytes)).toEqual(progress.map(({ bytes }) => bytes).sort((a, b) => a - b))
  await two.transfer.materialize(packed.digest, join(folder, 'tree'))
  expect((await readFile(join(folder, 'tree/big.bin'))).equals(big)).toBe(true)

  await introduce(two.network, three.network)
  await three.transfer.fetch(packed.digest, { sources: [two.id] })
  expect(three.counters.get('transfer_received_bytes')).toBe(packed.record.bytes)
  expect(two.counters.get('transfer_sent_bytes')).toBe(packed.record.bytes)
})

test('fetching what is here already moves nothing, and still asks whether it is trusted', async () => {
  const packed = await makePackage(folder, '1.0.1', { 'a.txt': 'a' })
  await addPackage(source.transfer, packed)
  let trusted = true
  const two = await node({
    checkTrust: () => {
      if (!trusted) throw transferErrors.package_in_use('not any more')
      return { signers: [] }
    },
  })
  await two.transfer.fetch(packed.digest, { sources: [source.id] })
  expect(await two.transfer.fetch(packed.digest, { sources: [] })).toMatchObject({ movedBytes: 0, copiedBytes: 0 })
  trusted = false
  await expect(two.transfer.fetch(packed.digest, { sources: [] })).rejects.toThrow('not any more')
})

test('a new version moves only the chunks that no stored package has', async () => {
  const base = noise('delta', 4_000_000)
  const edited = Buffer.concat([base.subarray(0, 1_500_000), Buffer.from('an insertion'), base.subarray(1_500_000)])
  const one = await makePackage(folder, '2.0.0', { 'app.bin': base, 'same.txt': 'the same in both' })
  const two = await makePackage(folder, '2.1.0', { 'moved/app.bin': edited, 'same.txt': 'the same in both' })
  await addPackage(source.transfer, one)
  await addPackage(source.transfer, two)
  const target = await node()
  await target.transfer.fetch(one.digest, { sources: [source.id] })
  const second = await target.transfer.fetch(two.digest, { sources: [source.id] })
  const [had, needed] = [await chunksOf(source.home, one.digest), await chunksOf(source.home, two.digest)]
  const lacking = [...needed].filter(([hash]) => !had.has(hash)).reduce((sum, [, size]) => sum + size, 0)
  expect(second.movedBytes).toBe(lacking)
  expect(second.copiedBytes).toBe(two.record.bytes - lacking)
  expect(lacking).toBeLessThan(600_000)
  await target.transfer.materialize(two.digest, join(folder, 'tree'))
  expect((await readFile(join(folder, 'tree/moved/app.bin'))).equals(edited)).toBe(true)
})

test('the chunk index is filled again from the packages when the database is lost', async () => {
  const one = await makePackage(folder, '2.2.0', { 'app.bin': noise('refill', 500_000) })
  const two = await makePackage(folder, '2.2.1', { 'app.bin': noise('refill', 500_000), 'more.txt': 'more' })
  await addPackage(source.transfer, one)
  await addPackage(source.transfer, two)
  const home = join(folder, 'home')
  const first = await startNode({ home })
  await introduce(first.network, source.network)
  await first.transfer.fetch(one.digest, { sources: [source.id] })
  await first.stop()
  for (const name of ['state.db', 'state.db-wal', 'state.db-shm']) await rm(join(home, name), { force: true })
  const again = await startNode({ home })
  cleanups.push(() => again.stop())
  await introduce(again.network, source.network)
  const fetched = await again.transfer.fetch(two.digest, { sources: [source.id] })
  expect(fetched.copiedBytes).toBeGreaterThanOrEqual(500_000)
})

test('a source that sends wrong bytes is named, dropped, and nothing of them is kept', async () => {
  const packed = await makePackage(folder, '3.0.0', { 'big.bin': noise('liar', 1_000_000) })
  await addPackage(source.transfer, packed)
  const liar = await impostor(
    relay((answer) => {
      if (answer.kind !== 'chunks' || answer.run.first < 2) return answer
      const bytes = Buffer.from(answer.bytes)
      bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] as number) ^ 1
      return { ...answer, bytes }
    }),
  )
  const bad: BadSource[] = []
  const target = await node({ onBadSource: (found) => bad.push(found) })
  await connectTo(target, liar)
  const fetched = await target.transfer.fetch(packed.digest, { sources: [liar, source.id] })
  expect(fetched.complete).toBe(true)
  expect(bad).toMatchObject([{ peer: liar, digest: packed.digest, code: 'source_dishonest' }])
  await target.transfer.materialize(packed.digest, join(folder, 'tree'))
  expect((await readFile(join(folder, 'tree/big.bin'))).equals(noise('liar', 1_000_000))).toBe(true)
})

test('a lying header is dropped, whichever part of it lies', async () => {
  const packed = await makePackage(folder, '3.1.0', { 'a.txt': 'honest' })
  await addPackage(source.transfer, packed)
  const turn = (bytes: Uint8Array): Buffer => Buffer.from(bytes.map((byte, at) => (at === 20 ? byte ^ 1 : byte)))
  for (const change of [
    (answer: Answer) => (answer.kind === 'header' ? { ...answer, record: turn(answer.record) } : answer),
    (answer: Answer) => (answer.kind === 'header' ? { ...answer, manifest: turn(answer.manifest) } : answer),
    (answer: Answer) => (answer.kind === 'index' ? { ...answer, bytes: turn(answer.bytes) } : answer),
  ]) {
    const liar = await impostor(relay(change))
    const bad: BadSource[] = []
    const target = await node({ onBadSource: (found) => bad.push(found) })
    await connectTo(target, liar)
    await expect(target.transfer.fetch(packed.digest, { sources: [liar] })).rejects.toMatchObject({
      code: 'package_unavailable',
    })
    expect(bad).toMatchObject([{ peer: liar, code: 'source_dishonest' }])
    expect(await target.transfer.list()).toEqual([])
  }
})

test('a source that falls silent is dropped after the time limit of a chunk, and another goes on', async () => {
  const packed = await makePackage(folder, '3.2.0', { 'big.bin': noise('silent', 600_000) })
  await addPackage(source.transfer, packed)
  const silent = await impostor(relay((answer) => (answer.kind === 'chunks' ? undefined : answer)))
  const bad: BadSource[] = []
  const target = await node({
    onBadSource: (found) => bad.push(found),
    limits: { chunkTimeoutMs: 1500, maxSources: 1 },
  })
  await connectTo(target, silent)
  const fetched = await target.transfer.fetch(packed.digest, { sources: [silent, source.id] })
  expect(fetched.movedBytes).toBe(packed.record.bytes)
  expect(bad).toMatchObject([{ peer: silent, code: 'source_slow' }])
})

test('a stream that ends before everything has come is not taken for success', async () => {
  const packed = await makePackage(folder, '3.3.0', { 'big.bin': noise('short', 600_000) })
  await addPackage(source.transfer, packed)
  const short = await impostor(async (stream, message) => {
    if (decodeAsk(message).kind === 'header') return relay((answer) => answer)(stream, message)
    stream.end()
  })
  const target = await node({ limits: { retryDelayMs: 1 } })
  await connectTo(target, short)
  await expect(target.transfer.fetch(packed.digest, { sources: [short] })).rejects.toMatchObject({
    code: 'package_unavailable',
    details: { sources: [{ peer: short, code: 'transfer_broken' }] },
  })
  expect((await target.transfer.get(packed.digest))?.complete).toBe(false)
  await target.transfer.fetch(packed.digest, { sources: [source.id] })
})

test('several sources each give a part, and a part that one lacks comes from another', async () => {
  const packed = await makePackage(folder, '3.4.0', { 'big.bin': noise('parts', 8_000_000) })
  await addPackage(source.transfer, packed)
  const half = await impostor(
    relay((answer) =>
      answer.kind === 'chunks' && answer.run.first % 2 === 0
        ? { kind: 'absent', id: answer.id, run: answer.run }
        : answer,
    ),
  )
  const target = await node({ limits: { pieceBytes: 200_000, pipeline: 2 } })
  await connectTo(target, half)
  const sent = source.counters.get('transfer_sent_bytes')
  const fetched = await target.transfer.fetch(packed.digest, { sources: [half, source.id] })
  expect(fetched.movedBytes).toBe(packed.record.bytes)
  expect(source.counters.get('transfer_sent_bytes') - sent).toBeGreaterThanOrEqual(packed.record.bytes)
})

test('callers who want the same package share one transfer; it stops when the last one leaves', async () => {
  const packed = await makePackage(folder, '3.5.0', { 'big.bin': noise('shared', 6_000_000) })
  await addPackage(source.transfer, packed)
  const target = await node({ limits: { flushBytes: 100_000 } })
  const leaver = new AbortController()
  const calls = [
    target.transfer.fetch(packed.digest, { sources: [source.id] }),
    target.transfer.fetch(packed.digest, { sources: [] }),
    target.transfer.fetch(packed.digest, {
      sources: [],
      signal: leaver.signal,
      onProgress: () => leaver.abort(new Error('bored')),
    }),
  ]
  const results = await Promise.allSettled(calls)
  expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'rejected'])
  expect(target.counters.get('transfer_received_bytes')).toBe(packed.record.bytes)
})

test('a fetch that was given up goes on where it was', async () => {
  const packed = await makePackage(folder, '3.6.0', { 'big.bin': noise('resume', 8_000_000) })
  await addPackage(source.transfer, packed)
  const target = await node()
  const giveUp = new AbortController()
  const first = target.transfer.fetch(packed.digest, {
    sources: [source.id],
    signal: giveUp.signal,
    onProgress: ({ bytes, total }) => bytes > total / 2 && giveUp.abort(new Error('enough')),
  })
  await expect(first).rejects.toThrow('enough')
  const second = await target.transfer.fetch(packed.digest, { sources: [source.id] })
  expect(second.movedBytes).toBeLessThan(packed.record.bytes / 2)
  expect(target.counters.get('transfer_received_bytes')).toBe(packed.record.bytes)
})

test('an untrusted package is refused before any of its content moves', async () => {
  const packed = await makePackage(folder, '3.7.0', { 'a.txt': 'untrusted' })
  await addPackage(source.transfer, packed)
  const target = await node({
    checkTrust: ({ name, version }) => {
      throw transferErrors.source_refused(`${name} ${version} is not for me`)
    },
  })
  const sent = source.counters.get('transfer_sent_bytes')
  await expect(target.transfer.fetch(packed.digest, { sources: [source.id] })).rejects.toThrow(
    'hello 3.7.0 is not for me',
  )
  expect(source.counters.get('transfer_sent_bytes')).toBe(sent)
  expect(await target.transfer.list()).toEqual([])
  const small = await node({ maxPackageBytes: 10 })
  await expect(small.transfer.fetch(packed.digest, { sources: [source.id] })).rejects.toMatchObject({
    code: 'package_over_limit',
  })
})

test('an installed folder serves as source; a file changed in it is not passed on', async () => {
  const packed = await makePackage(folder, '3.8.0', { 'big.bin': noise('tree', 700_000), 'small.txt': 'small' })
  const middle = await node()
  await addPackage(middle.transfer, packed)
  const tree = join(folder, 'tree')
  await middle.transfer.materialize(packed.digest, tree)
  await middle.transfer.adoptTree(packed.digest, tree)
  const [one, two] = [await node(), await node()]
  await introduce(middle.network, one.network)
  await introduce(middle.network, two.network)
  await one.transfer.fetch(packed.digest, { sources: [middle.id] })
  await chmod(join(tree, 'small.txt'), 0o644)
  await writeFile(join(tree, 'small.txt'), 'SMALL')
  await expect(two.transfer.fetch(packed.digest, { sources: [middle.id] })).rejects.toMatchObject({
    code: 'package_unavailable',
  })
  // The node mends itself from another, and then serves again.
  await introduce(middle.network, one.network)
  const mended = await middle.transfer.fetch(packed.digest, { sources: [one.id] })
  expect(mended.movedBytes).toBe(5)
  const rest = await two.transfer.fetch(packed.digest, { sources: [middle.id] })
  expect(rest.movedBytes).toBe(5)
})

test('without a source that has it, the answer names each and why', async () => {
  const target = await node({ limits: { retryDelayMs: 1 } })
  const digest = 'ab'.repeat(32)
  await expect(target.transfer.fetch(digest, { sources: [] })).rejects.toMatchObject({ code: 'package_unavailable' })
  await expect(target.transfer.fetch(digest, { sources: [source.id] })).rejects.toMatchObject({
    code: 'package_unavailable',
    details: { sources: [{ peer: source.id, code: 'source_refused' }] },
  })
  const closed = await node({ mayServe: () => false })
  await introduce(closed.network, target.network)
  await expect(target.transfer.fetch(digest, { sources: [closed.id] })).rejects.toThrow('not_allowed')
})

test('stopping ends a fetch cleanly, and the next start goes on', async () => {
  const packed = await makePackage(folder, '3.9.0', { 'big.bin': noise('stop', 8_000_000) })
  await addPackage(source.transfer, packed)
  const home = join(folder, 'home')
  const first = await startNode({ home })
  await introduce(first.network, source.network)
  let stopping: Promise<void> | undefined
  const fetching = first.transfer.fetch(packed.digest, {
    sources: [source.id],
    onProgress: ({ bytes }) => {
      if (bytes > 3_000_000) stopping ??= first.stop()
    },
  })
  await expect(fetching).rejects.toMatchObject({ code: 'cancelled' })
  await stopping
  const moved = first.counters.get('transfer_received_bytes')
  const again = await startNode({ home })
  cleanups.push(() => again.stop())
  await introduce(again.network, source.network)
  const rest = await again.transfer.fetch(packed.digest, { sources: [source.id] })
  expect(moved + rest.movedBytes).toBe(packed.record.bytes)
})
