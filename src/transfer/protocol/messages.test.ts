import fc from 'fast-check'
import { expect, test } from 'vitest'
import { WarrenError } from '../../base/errors.ts'
import { type Answer, type Ask, decodeAnswer, decodeAsk, encodeAnswer, encodeAsk } from './messages.ts'

const number = fc.integer({ min: 0, max: 0xffff_ffff })
const digest = fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => Buffer.from(bytes).toString('hex'))
const run = fc.record({ first: number, count: fc.integer({ min: 1, max: 0xffff_ffff }) })
const bytes = fc.uint8Array({ maxLength: 200 }).map((value) => Buffer.from(value))
const encoding = fc.constantFrom('raw' as const, 'zstd' as const)

const asks: fc.Arbitrary<Exclude<Ask, { kind: 'unknown' }>> = fc.oneof(
  fc.record({ kind: fc.constant('header' as const), id: number, digest }),
  fc.record({
    kind: fc.constant('chunks' as const),
    id: number,
    digest,
    runs: fc.array(run, { minLength: 1, maxLength: 50 }),
  }),
)

const answers: fc.Arbitrary<Answer> = fc.oneof(
  fc.record({
    kind: fc.constant('header' as const),
    id: number,
    record: bytes,
    manifest: bytes,
    signature: bytes,
    encoding,
    indexBytes: number,
    encodedBytes: number,
  }),
  fc.record({ kind: fc.constant('index' as const), id: number, bytes }),
  fc.record({ kind: fc.constant('chunks' as const), id: number, run, encoding, bytes }),
  fc.record({ kind: fc.constant('absent' as const), id: number, run }),
  fc.record({
    kind: fc.constant('refused' as const),
    id: number,
    reason: fc.constantFrom('not_found' as const, 'not_allowed', 'busy', 'invalid', 'unsupported'),
  }),
)

const encodedAnswers = answers.map((answer) => Buffer.concat(encodeAnswer(answer)))

test('questions and answers read back as they were written', () => {
  const inputs = fc.tuple(asks, answers)
  fc.assert(
    fc.property(inputs, ([ask, answer]) => {
      expect(decodeAsk(encodeAsk(ask))).toEqual(ask)
      expect(decodeAnswer(Buffer.concat(encodeAnswer(answer)))).toEqual(answer)
    }),
  )
})

test('any bytes are either a message or refused as malformed', () => {
  const tries = fc.oneof(
    fc.uint8Array({ maxLength: 120 }),
    asks.map(encodeAsk),
    encodedAnswers,
    fc.tuple(encodedAnswers, fc.nat()).map(([whole, at]) => whole.subarray(0, at % whole.length)),
  )
  fc.assert(
    fc.property(tries, (input) => {
      for (const decode of [decodeAsk, decodeAnswer]) {
        try {
          decode(input)
        } catch (error) {
          expect((error as WarrenError).code).toBe('transfer_malformed')
        }
      }
    }),
  )
})

test('a question of a later release is told apart, so that it can be answered', () => {
  expect(decodeAsk(Buffer.from([0x40, 0, 0, 0, 9, 1, 2, 3]))).toEqual({ kind: 'unknown', id: 9 })
})

test('a run of no chunks and a question for no chunks are refused', () => {
  const none = Buffer.concat([Buffer.from([0x02, 0, 0, 0, 1]), Buffer.alloc(32)])
  expect(() => decodeAsk(none)).toThrow(WarrenError)
  expect(() => decodeAsk(Buffer.concat([none, Buffer.alloc(8)]))).toThrow(WarrenError)
})
