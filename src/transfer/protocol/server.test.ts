import { rm } from 'node:fs/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Network, readMessage, type Stream, sendMessage } from '../../net/index.ts'
import {
  addPackage,
  introduce,
  makePackage,
  startNode,
  type TestNode,
  temporaryFolder,
  testNetwork,
} from '../fixtures/nodes.ts'
import type { Run } from '../layout.ts'
import { MAX_ASK_CHUNKS, TRANSFER_PROTOCOL } from './constants.ts'
import { type Answer, decodeAnswer, encodeAsk } from './messages.ts'

let folder: string
let node: TestNode
let stranger: Network
let digest: string

beforeAll(async () => {
  folder = await temporaryFolder()
  node = await startNode()
  stranger = testNetwork()
  await stranger.start()
  await introduce(stranger, node.network)
  digest = await addPackage(node.transfer, await makePackage(folder, '1.0.0', { 'a.txt': 'hello '.repeat(100) }))
})
afterAll(async () => {
  await stranger.stop()
  await node.stop()
  await rm(folder, { recursive: true })
})

async function withStream<T>(work: (stream: Stream) => Promise<T>): Promise<T> {
  const stream = await stranger.open(node.id, TRANSFER_PROTOCOL)
  stream.on('error', () => undefined)
  try {
    return await work(stream)
  } finally {
    stream.destroy()
  }
}

async function nextAnswer(stream: Stream): Promise<Answer> {
  return decodeAnswer((await readMessage(stream)) as Buffer)
}

const askRuns = (runs: Run[]): Promise<Answer> =>
  withStream(async (stream) => {
    await sendMessage(stream, encodeAsk({ kind: 'chunks', id: 7, digest, runs }))
    return nextAnswer(stream)
  })

test('chunks are answered in the order in which they were asked for', async () => {
  const answer = await askRuns([{ first: 0, count: 1 }])
  expect(answer).toMatchObject({ kind: 'chunks', id: 7, run: { first: 0, count: 1 }, encoding: 'zstd' })
})

test('chunks that the package does not have, and more than a request may ask for, are refused', async () => {
  const refusal = { kind: 'refused', id: 7, reason: 'invalid' }
  expect(await askRuns([{ first: 1_000_000, count: 1 }])).toEqual(refusal)
  expect(await askRuns([{ first: 0xffff_ffff, count: 0xffff_ffff }])).toEqual(refusal)
  expect(await askRuns(Array.from({ length: 1024 }, () => ({ first: 0, count: 3 })))).toMatchObject({ kind: 'chunks' })
  const often = Array.from({ length: 1024 }, () => ({ first: 0, count: 3 }))
  expect(often.length * 3).toBeLessThan(MAX_ASK_CHUNKS)
})

test('an unknown package and an unknown question are answered as such, and the stream goes on', async () => {
  await withStream(async (stream) => {
    await sendMessage(stream, encodeAsk({ kind: 'header', id: 1, digest: '00'.repeat(32) }))
    expect(await nextAnswer(stream)).toEqual({ kind: 'refused', id: 1, reason: 'not_found' })
    await sendMessage(stream, Buffer.from([0x40, 0, 0, 0, 2]))
    expect(await nextAnswer(stream)).toEqual({ kind: 'refused', id: 2, reason: 'unsupported' })
    await sendMessage(stream, encodeAsk({ kind: 'header', id: 3, digest }))
    expect(await nextAnswer(stream)).toMatchObject({ kind: 'header', id: 3 })
  })
})

test('a malformed question and one that is too long reset the stream, and the node serves on', async () => {
  for (const bytes of [Buffer.of(1), Buffer.alloc(600_000, 2)]) {
    await withStream(async (stream) => {
      await sendMessage(stream, bytes).catch(() => undefined)
      await expect(readMessage(stream)).rejects.toThrow()
    })
  }
  expect(await askRuns([{ first: 1, count: 1 }])).toMatchObject({ kind: 'chunks' })
})

test('a peer that loses its right in the middle of a stream gets nothing more over it', async () => {
  const allowed = new Set([stranger.id])
  const guarded = await startNode({ mayServe: (peer) => allowed.has(peer) })
  try {
    await introduce(stranger, guarded.network)
    const own = await addPackage(guarded.transfer, await makePackage(folder, '2.0.0', { 'a.txt': 'hello' }))
    const stream = await stranger.open(guarded.id, TRANSFER_PROTOCOL)
    stream.on('error', () => undefined)
    const ask = encodeAsk({ kind: 'chunks', id: 1, digest: own, runs: [{ first: 0, count: 1 }] })
    await sendMessage(stream, ask)
    expect(await nextAnswer(stream)).toMatchObject({ kind: 'chunks' })
    allowed.clear()
    await sendMessage(stream, ask)
    expect(await nextAnswer(stream)).toEqual({ kind: 'refused', id: 1, reason: 'not_allowed' })
    stream.destroy()
  } finally {
    await guarded.stop()
  }
})
