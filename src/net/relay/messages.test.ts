import { randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { ManualClock } from '../../base/clock.ts'
import { peerIdOf } from '../../identity/index.ts'
import { MAX_RESERVATION_MS, MAX_SEEN } from './constants.ts'
import {
  clientWord,
  connectAnswer,
  parseHead,
  relayWord,
  requestHead,
  reserveAnswer,
  stopAnswer,
  stopHead,
} from './messages.ts'
import { Pacer } from './pacer.ts'

const SCHEMAS = [requestHead, reserveAnswer, clientWord, relayWord, connectAnswer, stopHead, stopAnswer]
const peer = peerIdOf(randomBytes(32))
const number = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER })
const expires = fc.integer({ min: 0, max: MAX_RESERVATION_MS })
const beat = fc.integer({ min: 1_000, max: 60_000 })
const circuit = fc.stringMatching(/^[0-9a-f]{16}$/)
const code = fc.stringMatching(/^[a-z_]{1,64}$/)
const message = fc.stringMatching(/^[\x20-\x7e]{0,512}$/)
const seen = fc.array(fc.oneof(fc.ipV4(), fc.ipV6()), { maxLength: MAX_SEEN })
const limits = fc.record({ bytes: number, ms: number })
const refusal = fc.record({ ok: fc.constant(false), code, message })
const MESSAGES = [
  [
    requestHead,
    fc.oneof(fc.record({ kind: fc.constant('reserve'), beat_ms: beat }), fc.constant({ kind: 'connect', peer })),
  ],
  [
    reserveAnswer,
    fc.oneof(refusal, fc.record({ ok: fc.constant(true), expires_ms: expires, address: fc.option(message), limits })),
  ],
  [clientWord, fc.record({ kind: fc.constant('beat'), seq: number, beat_ms: beat, renew: fc.boolean() })],
  [relayWord, fc.record({ kind: fc.constant('end'), code, message })],
  [connectAnswer, fc.oneof(refusal, fc.record({ ok: fc.constant(true), circuit, limits, seen }))],
  [stopHead, fc.record({ kind: fc.constant('stop'), peer: fc.constant(peer), circuit, limits, seen })],
  [stopHead, fc.record({ kind: fc.constant('passage'), peer: fc.constant(peer) })],
  [stopAnswer, refusal],
] as const

test('messages come out as they went in', () => {
  for (const [schema, values] of MESSAGES) {
    fc.assert(
      fc.property(values as fc.Arbitrary<object>, (value) => {
        expect(parseHead(Buffer.from(JSON.stringify(value)), schema)).toEqual({ ...value })
      }),
    )
  }
})

test('whatever a peer sends is a message or message_malformed', () => {
  const anything = fc.oneof(
    fc.uint8Array({ maxLength: 300 }),
    fc.json().map((text) => Buffer.from(text)),
    fc.record({ kind: fc.anything(), ok: fc.anything(), peer: fc.anything(), code: fc.anything() }).map((value) => {
      // A value that is no JSON stays away.
      try {
        return Buffer.from(JSON.stringify(value) ?? '')
      } catch {
        return Buffer.alloc(0)
      }
    }),
  )
  for (const schema of SCHEMAS) {
    fc.assert(
      fc.property(anything, (bytes) => {
        try {
          parseHead(bytes, schema)
        } catch (error) {
          expect(error).toMatchObject({ code: 'message_malformed' })
        }
      }),
    )
  }
})

test('what people are shown of a peer’s words moves no cursor', () => {
  const words = { kind: 'end', code: 'silent', message: 'a\u001b[2Jb\nc' }
  expect(parseHead(Buffer.from(JSON.stringify(words)), relayWord)).toMatchObject({ message: 'a [2Jb c' })
})

test('over time a peer is never ahead of its rate by more than a second of it and the last piece', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 100, max: 1_000_000 }),
      fc.array(fc.integer({ min: 1, max: 100_000 }), { minLength: 1, maxLength: 50 }),
      (bytesPerSecond, pieces) => {
        const clock = new ManualClock()
        const pacer = new Pacer(bytesPerSecond, clock)
        const startMs = clock.now()
        let sent = 0
        for (const bytes of pieces) {
          const allowed = ((clock.now() - startMs) / 1000 + 1) * bytesPerSecond
          expect(sent).toBeLessThanOrEqual(allowed + 1)
          sent += bytes
          clock.advance(pacer.take('peer', bytes))
        }
        expect(pacer.take('another', 1)).toBe(0)
      },
    ),
  )
})
