import fc from 'fast-check'
import { expect, test } from 'vitest'
import { sealEnvelope } from '../identity/index.ts'
import {
  decodeEvidence,
  EVIDENCE_TYPE,
  type Evidence,
  encodeEvidence,
  OUTCOMES,
  readEvidence,
  signEvidence,
  worseEvidence,
} from './evidence.ts'
import { testNodes } from './fixtures/nodes.ts'
import { decodeHalt, encodeHalt, readHalt, signHalt, strongerHalt } from './halt.ts'

const [a, b] = testNodes(2) as [ReturnType<typeof testNodes>[0], ReturnType<typeof testNodes>[0]]
const text = fc.option(fc.string({ maxLength: 120, unit: 'grapheme' }))
const timeMs = fc.integer({ min: 0, max: 4_000_000_000_000 })
const evidences: fc.Arbitrary<Evidence> = fc.record({
  document: fc.constant('12'.repeat(32)),
  node: fc.constant(a.id),
  attempt: fc.integer({ min: 1, max: 5 }),
  outcome: fc.constantFrom(...OUTCOMES),
  version: text,
  reason: text,
  timeMs,
})

test('evidence survives being written and read', () => {
  fc.assert(
    fc.property(evidences, (evidence) => {
      expect(decodeEvidence(encodeEvidence(evidence))).toEqual(evidence)
    }),
  )
})

test('a halt survives being written and read', () => {
  const halts = fc.record({
    document: fc.constant('12'.repeat(32)),
    by: fc.constant(a.id),
    revert: fc.boolean(),
    reason: text,
    timeMs,
  })
  fc.assert(
    fc.property(halts, (halt) => {
      expect(decodeHalt(encodeHalt(halt))).toEqual(halt)
    }),
  )
})

test('a node cannot speak for another', () => {
  const evidence: Evidence = {
    document: '12'.repeat(32),
    node: a.id,
    attempt: 1,
    outcome: 'failed',
    version: null,
    reason: null,
    timeMs: 1,
  }
  const envelope = sealEnvelope({ payloadType: EVIDENCE_TYPE, payload: encodeEvidence(evidence), signers: [b.signer] })
  expect(() => readEvidence(envelope)).toThrow(expect.objectContaining({ code: 'rollout_invalid' }))
  const halt = signHalt({ document: '12'.repeat(32), by: b.id, revert: false, reason: null, timeMs: 1 }, b.signer)
  const changed = encodeHalt({ ...halt.halt, revert: true })
  expect(() => readHalt({ ...halt.envelope, payload: changed })).toThrow(
    expect.objectContaining({ code: 'rollout_invalid' }),
  )
})

test('of several pieces the same one counts in whatever order they came', () => {
  fc.assert(
    fc.property(fc.array(evidences, { minLength: 1, maxLength: 6 }), fc.func(fc.integer()), (all, random) => {
      const signed = all.map((one) => signEvidence(one, a.signer))
      const shuffled = [...signed].sort((x, y) => random(x.hash, y.hash))
      const merge = (list: typeof signed) => list.reduce(worseEvidence).hash
      expect(merge(shuffled)).toBe(merge(signed))
      expect(merge([...signed, ...shuffled])).toBe(merge(signed))
    }),
    { numRuns: 60 },
  )
})

test('a failure is never taken back by a later word of the same node', () => {
  const base = { document: '12'.repeat(32), node: a.id, version: null, reason: null, timeMs: 1 }
  const failed = signEvidence({ ...base, attempt: 1, outcome: 'failed' }, a.signer)
  const healthy = signEvidence({ ...base, attempt: 9, outcome: 'healthy' }, a.signer)
  expect(worseEvidence(failed, healthy)).toBe(failed)
  expect(worseEvidence(healthy, failed)).toBe(failed)
})

test('a halt with revert outranks one without', () => {
  const base = { document: '12'.repeat(32), by: a.id, reason: null, timeMs: 1 }
  const soft = signHalt({ ...base, revert: false }, a.signer)
  const hard = signHalt({ ...base, revert: true }, a.signer)
  expect(strongerHalt(soft, hard)).toBe(hard)
  expect(strongerHalt(hard, soft)).toBe(hard)
})

test('a reason is cut to its limit and stays readable', () => {
  const long = {
    document: '12'.repeat(32),
    node: a.id,
    attempt: 1,
    outcome: 'failed' as const,
    version: null,
    timeMs: 1,
  }
  const cut = decodeEvidence(encodeEvidence({ ...long, reason: '😀'.repeat(400) }))
  expect(cut.reason?.length).toBe(500)
})
