import { randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { sealEnvelope } from '../identity/index.ts'
import {
  DOCUMENT_TYPE,
  decodeDocument,
  encodeDocument,
  MAX_DOCUMENT_BYTES,
  type RolloutDocument,
  readDocument,
  signDocument,
  waveOf,
} from './document.ts'
import { testDocument, testNodes } from './fixtures/nodes.ts'

const nodes = testNodes(12)
const [a, b, c] = nodes as [(typeof nodes)[0], (typeof nodes)[0], (typeof nodes)[0]]

const documents: fc.Arbitrary<RolloutDocument> = fc
  .record({
    order: fc.shuffledSubarray(nodes, { minLength: 1 }),
    size: fc.integer({ min: 1, max: 4 }),
    app: fc.stringMatching(/^[a-z0-9](?:[a-z0-9-]{0,20}[a-z0-9])?$/),
    version: fc.string({ minLength: 1, maxLength: 40, unit: 'grapheme' }),
    base: fc.nat(1_000_000),
    maxUnavailable: fc.nat(1000),
    failureBudget: fc.integer({ min: 1, max: 1000 }),
    minHealthyMs: fc.nat(86_400_000),
    progressDeadlineMs: fc.integer({ min: 1000, max: 86_400_000 }),
    rollback: fc.boolean(),
    retries: fc.nat(100),
    retryDelayMs: fc.nat(86_400_000),
    createdMs: fc.integer({ min: 0, max: 4_000_000_000_000 }),
    lastsMs: fc.integer({ min: 1, max: 1_000_000_000 }),
    sources: fc.subarray(nodes).map((some) => some.map(({ id }) => id)),
  })
  .map(({ order, size, version, lastsMs, ...rest }) => {
    const waves: (typeof nodes)[] = []
    for (let start = 0; start < order.length; start += size) waves.push(order.slice(start, start + size))
    return testDocument(waves, {
      ...rest,
      package: { name: rest.app, version, digest: 'cd'.repeat(32) },
      notAfterMs: rest.createdMs + lastsMs,
    })
  })

test('a document survives being written and read', () => {
  fc.assert(
    fc.property(documents, (document) => {
      expect(decodeDocument(encodeDocument(document))).toEqual(document)
    }),
  )
})

test('no bytes whatever make the reader fail with anything but rollout_invalid', () => {
  const whole = encodeDocument(testDocument([[a], [b, c]])).toString()
  const mutated = fc.tuple(fc.nat(whole.length - 1), fc.string({ maxLength: 5 })).map(([at, text]) => {
    return Buffer.from(whole.slice(0, at) + text + whole.slice(at + 1))
  })
  const values = fc.json().map((json) => Buffer.from(json))
  fc.assert(
    fc.property(fc.oneof(mutated, values, fc.uint8Array()), (bytes) => {
      try {
        decodeDocument(bytes)
      } catch (error) {
        expect((error as { code: string }).code).toBe('rollout_invalid')
      }
    }),
    { numRuns: 500 },
  )
})

test('unknown fields of a later release are skipped and keep the id', () => {
  const json = JSON.parse(encodeDocument(testDocument([[a]])).toString())
  const payload = Buffer.from(JSON.stringify({ ...json, canary: 1 }))
  const envelope = sealEnvelope({ payloadType: DOCUMENT_TYPE, payload, signers: [a.signer] })
  const read = readDocument(envelope)
  expect(read.document).toEqual(testDocument([[a]]))
  expect(read.envelope.payload).toEqual(payload)
})

test('a document signed by another than its author is refused', () => {
  const payload = encodeDocument(testDocument([[a, b]]))
  const envelope = sealEnvelope({ payloadType: DOCUMENT_TYPE, payload, signers: [b.signer] })
  expect(() => readDocument(envelope)).toThrow(expect.objectContaining({ code: 'rollout_invalid' }))
})

test('a document that was changed after signing is refused', () => {
  const { envelope, document } = signDocument(testDocument([[a, b]]), a.signer)
  const changed = { ...envelope, payload: encodeDocument({ ...document, rollback: false }) }
  expect(() => readDocument(changed)).toThrow(expect.objectContaining({ code: 'rollout_invalid' }))
})

test.each([
  ['a node twice', { waves: [[a.id], [a.id]] }],
  ['no wave', { waves: [] }],
  ['an empty wave', { waves: [[a.id], []] }],
  ['a node id that is none', { waves: [['x'.repeat(52)]] }],
  ['a path as the app', { app: '../../etc' }],
  ['a budget of zero', { failureBudget: 0 }],
  ['a negative base', { base: -1 }],
  ['an end before its beginning', { notAfterMs: 1 }],
  ['a digest that is none', { package: { name: 'hello', version: '1', digest: 'AB' } }],
])('a document with %s is refused', (_what, change) => {
  const bytes = encodeDocument({ ...testDocument([[a], [b]]), ...change })
  expect(() => decodeDocument(bytes)).toThrow(expect.objectContaining({ code: 'rollout_invalid' }))
})

test('a payload over the limit is refused before it is parsed', () => {
  expect(() => decodeDocument(randomBytes(MAX_DOCUMENT_BYTES + 1))).toThrow(/too long/)
})

test('waveOf gives the wave, and -1 for a stranger', () => {
  const document = testDocument([[a], [b]])
  expect([waveOf(document, a.id), waveOf(document, b.id), waveOf(document, c.id)]).toEqual([0, 1, -1])
})
