import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Decision } from '../base/decisions.ts'
import { decodeLine, draftOf, encodeLine, MAX_LINE_BYTES, ZERO_HASH } from './entry.ts'

const anyText = fc.oneof(fc.string({ unit: 'binary', maxLength: 600 }), fc.string({ unit: 'grapheme', maxLength: 600 }))
const anyDecision: fc.Arbitrary<Decision> = fc.record(
  {
    what: fc.constantFrom('call', 'connection', 'audit'),
    outcome: fc.constantFrom('allowed', 'refused', 'done', 'failed'),
    by: fc.option(anyText),
    subject: anyText,
    reason: anyText,
    detail: fc.dictionary(
      fc.string({ maxLength: 60 }),
      fc.oneof(anyText, fc.double(), fc.boolean(), fc.constant(null)),
      { maxKeys: 60 },
    ),
  },
  { requiredKeys: ['what', 'outcome', 'by', 'subject'] },
)

test('any decision comes back from its line as it was cleaned, within the limits', () => {
  fc.assert(
    fc.property(anyDecision, fc.integer({ min: 1, max: 2 ** 48 }), (decision, seq) => {
      const draft = draftOf(decision, 1_700_000_000_000)
      const { line, hash } = encodeLine(draft, { seq, prev: ZERO_HASH })
      expect(line).not.toContain('\n')
      expect(Buffer.byteLength(line)).toBeLessThan(MAX_LINE_BYTES)
      const { timeMs, ...rest } = draft
      const { detail } = rest
      const expected = { ...rest, ...(detail === undefined ? {} : { detail: JSON.parse(JSON.stringify(detail)) }) }
      expect(decodeLine(Buffer.from(line))).toEqual({
        seq,
        time: new Date(timeMs).toISOString(),
        prev: ZERO_HASH,
        ...expected,
        hash,
      })
      expect(Buffer.byteLength(JSON.stringify(detail ?? {}))).toBeLessThanOrEqual(2048)
    }),
    { numRuns: 300 },
  )
})

test('a line in which any byte was changed is refused', () => {
  const { line } = encodeLine(draftOf({ what: 'call', outcome: 'refused', by: null, subject: 'x' }, 0), {
    seq: 1,
    prev: ZERO_HASH,
  })
  fc.assert(
    fc.property(fc.nat(line.length - 1), fc.integer({ min: 1, max: 255 }), (at, change) => {
      const bytes = Buffer.from(line)
      bytes[at] = (bytes[at] as number) ^ change
      expect(decodeLine(bytes)).toHaveProperty('fault')
    }),
    { numRuns: 500 },
  )
})

test('arbitrary bytes are no entry, and never throw', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
      expect(decodeLine(bytes)).toHaveProperty('fault')
    }),
  )
})

test('what acts on a terminal, line ends and half characters are taken out of texts', () => {
  const draft = draftOf(
    { what: 'call', outcome: 'refused', by: null, subject: 'a\nb\u001b[31mc\u202ed\ud800e', reason: 'x'.repeat(900) },
    0,
  )
  expect(draft.subject).toBe('a b\ufffd[31mc\ufffdd\ufffde')
  expect(draft.reason).toHaveLength(500)
  expect(draft.reason?.endsWith('…')).toBe(true)
})
