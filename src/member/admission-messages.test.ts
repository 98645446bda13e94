import { randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  encodeAnswer,
  encodeJoinQuestion,
  encodeRenewQuestion,
  parseAdmitted,
  parseJoined,
  parseQuestion,
} from './admission-messages.ts'

const hex = (length: number) => randomBytes(length).toString('hex')
const question = { invite: hex(32), name: 'kitchen', authority: randomBytes(32), signature: randomBytes(64) }
const admitted = { network: hex(32), genesis: Buffer.from('{}').toString('base64'), network_keys: [hex(32), hex(32)] }

test('requests and answers read back as they were written', () => {
  const bytes = (value: Uint8Array) => new Uint8Array(value)
  const read = { ...question, authority: bytes(question.authority), signature: bytes(question.signature) }
  expect(parseQuestion(encodeJoinQuestion(question))).toEqual({ type: 'join', ...read })
  expect(parseQuestion(encodeRenewQuestion())).toEqual({ type: 'renew' })
  expect(parseAdmitted(encodeAnswer(admitted))).toEqual(admitted)
  const joined = { ...admitted, name: 'kitchen', role: 'member' as const }
  expect(parseJoined(encodeAnswer(joined))).toEqual(joined)
  expect(parseJoined(encodeAnswer({ refused: 'invite_used' }))).toEqual({ refused: 'invite_used' })
})

test('whatever comes instead is refused with one error, which quotes none of it', () => {
  const joinText = encodeJoinQuestion(question).toString()
  const answerText = encodeAnswer(admitted).toString()
  const mutated = fc
    .tuple(fc.constantFrom(joinText, answerText), fc.nat(), fc.nat({ max: 12 }), fc.string())
    .map(([text, at, cut, put]) => text.slice(0, at % text.length) + put + text.slice((at % text.length) + cut))
  const hostile = fc.oneof(fc.uint8Array(), fc.json().map(Buffer.from), mutated.map(Buffer.from))
  fc.assert(
    fc.property(hostile, (bytes) => {
      for (const parse of [parseQuestion, parseJoined, parseAdmitted]) {
        try {
          parse(bytes)
        } catch (error) {
          expect(error).toMatchObject({ code: 'invalid_value', message: expect.stringMatching(/ is not understood$/) })
        }
      }
    }),
  )
})
