import fc from 'fast-check'
import { expect, test } from 'vitest'
import { signDocument } from '../document.ts'
import { testDocument, testNode } from '../fixtures/nodes.ts'
import { PHASES } from '../words.ts'
import { MAX_MESSAGE_BYTES } from './constants.ts'
import { envelopeOf, type Message, parseMessage, statementMessage } from './messages.ts'

const hash = fc.stringMatching(/^[0-9a-f]{64}$/)
const size = fc.nat()
const messages: fc.Arbitrary<Message> = fc.oneof(
  fc.record({ type: fc.constant('have' as const), rollouts: fc.array(fc.record({ id: hash, digest: hash })) }),
  fc.constant<Message>({ type: 'end' }),
  fc.record({
    type: fc.constant('progress' as const),
    document: hash,
    node: fc.constant(testNode(1).id),
    phase: fc.constantFrom(...PHASES),
    bytes: size,
    total: size,
    moved: size,
  }),
)

test('a message survives being written and read', () => {
  fc.assert(
    fc.property(messages, (message) => {
      expect(parseMessage(Buffer.from(JSON.stringify(message)))).toEqual(message)
    }),
  )
})

test('a document keeps its bytes and signatures in a message', () => {
  const { envelope } = signDocument(testDocument([[testNode(1)]]), testNode(1).signer)
  const message = parseMessage(Buffer.from(JSON.stringify(statementMessage('document', envelope))))
  expect(message.type).toBe('document')
  const read = envelopeOf(message as Extract<Message, { type: 'document' }>)
  expect(Buffer.from(read.payload)).toEqual(Buffer.from(envelope.payload))
})

test('whatever a peer sends is a message or rollout_invalid', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.uint8Array(),
        fc.json().map((json) => Buffer.from(json)),
      ),
      (bytes) => {
        try {
          parseMessage(bytes)
        } catch (error) {
          expect((error as { code: string }).code).toBe('rollout_invalid')
        }
      },
    ),
  )
})

test('a type of a later release is skipped, a malformed one of this release is refused', () => {
  expect(parseMessage(Buffer.from('{"type":"canary"}'))).toEqual({ type: 'unknown' })
  expect(() => parseMessage(Buffer.from('{"type":"have","rollouts":[{"id":"x"}]}'))).toThrow(/rollouts/)
})

test('a message over the limit is refused before it is parsed', () => {
  expect(() => parseMessage(Buffer.alloc(MAX_MESSAGE_BYTES + 1))).toThrow(/bytes/)
})
