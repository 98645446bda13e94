import { createHash, randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  checkDiallerProof,
  checkListenerAnswer,
  decodeHello,
  encodeDiallerProof,
  encodeHello,
  encodeListenerAnswer,
  type ProofContext,
  requestTranscript,
} from './proof.ts'

const KEY = Buffer.alloc(32, 1)
const OTHER_KEY = Buffer.alloc(32, 2)
const CONTEXT: ProofContext = {
  networkId: 'net',
  dialler: 'A',
  listener: 'B',
  channel: '/tls/1.0.0',
  binding: Buffer.alloc(32, 9),
  diallerNonce: Buffer.alloc(32, 3),
  listenerNonce: Buffer.alloc(32, 4),
}

test('both sides prove the same key to each other', () => {
  const proof = encodeDiallerProof([KEY], CONTEXT)
  expect(checkDiallerProof(proof, [KEY], CONTEXT)).toBe(KEY)
  expect(checkListenerAnswer(encodeListenerAnswer(KEY, CONTEXT, 'admitted'), [KEY], CONTEXT)).toBe('admitted')
  expect(checkListenerAnswer(encodeListenerAnswer(KEY, CONTEXT, 'refused'), [KEY], CONTEXT)).toBe('refused')
})

test('another key proves nothing', () => {
  expect(checkDiallerProof(encodeDiallerProof([OTHER_KEY], CONTEXT), [KEY], CONTEXT)).toBeUndefined()
  expect(checkListenerAnswer(encodeListenerAnswer(OTHER_KEY, CONTEXT, 'admitted'), [KEY], CONTEXT)).toBeUndefined()
})

test('during a rotation nodes with the old, the new and both keys understand each other', () => {
  const holdings = [[KEY], [OTHER_KEY], [OTHER_KEY, KEY], [KEY, OTHER_KEY]]
  for (const dialler of holdings) {
    for (const listener of holdings) {
      const key = checkDiallerProof(encodeDiallerProof(dialler, CONTEXT), listener, CONTEXT)
      expect(key !== undefined).toBe(dialler.some((held) => listener.includes(held)))
      if (key === undefined) continue
      expect(checkListenerAnswer(encodeListenerAnswer(key, CONTEXT, 'admitted'), dialler, CONTEXT)).toBe('admitted')
    }
  }
})

test('a proof is good for its own connection, side and network only', () => {
  const proof = encodeDiallerProof([KEY], CONTEXT)
  const answer = encodeListenerAnswer(KEY, CONTEXT, 'admitted')
  const changes: Partial<ProofContext>[] = [
    { networkId: 'other' },
    { dialler: 'C' },
    { listener: 'C' },
    { dialler: 'B', listener: 'A' },
    { channel: '/noise' },
    { binding: Buffer.alloc(32, 8) },
    { binding: Buffer.alloc(0) },
    { diallerNonce: randomBytes(32) },
    { listenerNonce: randomBytes(32) },
    { networkId: 'netA', dialler: '' },
  ]
  for (const change of changes) {
    expect(checkDiallerProof(proof, [KEY], { ...CONTEXT, ...change })).toBeUndefined()
    expect(checkListenerAnswer(answer, [KEY], { ...CONTEXT, ...change })).toBeUndefined()
  }
  expect(checkDiallerProof(answer.subarray(1), [KEY], CONTEXT)).toBeUndefined()
  expect(checkListenerAnswer(Buffer.concat([Buffer.of(0), proof]), [KEY], CONTEXT)).toBeUndefined()
})

test('a yes of the listener cannot be turned into a no, nor a no into a yes', () => {
  const answer = encodeListenerAnswer(KEY, CONTEXT, 'refused')
  answer[0] = 0
  expect(checkListenerAnswer(answer, [KEY], CONTEXT)).toBeUndefined()
})

test('no bytes make a parser throw, and none that were not made with the key are taken', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 600 }), (bytes) => {
      expect(checkDiallerProof(bytes, [KEY], CONTEXT)).toBeUndefined()
      expect(checkListenerAnswer(bytes, [KEY], CONTEXT)).toBeUndefined()
      const hello = decodeHello(bytes)
      expect(hello === undefined || hello.nonce.length === 32).toBe(true)
    }),
  )
})

test('a hello gives its nonce back, and one bit changed in a proof is noticed', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), fc.nat(32 * 8 - 1), (nonce, bit) => {
      for (const purpose of ['proof', 'admission'] as const) {
        expect(decodeHello(encodeHello({ purpose, nonce }))).toEqual({ purpose, nonce: Buffer.from(nonce) })
      }
      const context = { ...CONTEXT, diallerNonce: nonce }
      const proof = encodeDiallerProof([KEY], context)
      proof.writeUInt8(proof.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3)
      expect(checkDiallerProof(proof, [KEY], context)).toBeUndefined()
    }),
  )
})

test('more proofs than keys may be held are refused', () => {
  const keys = Array.from({ length: 9 }, (_, index) => Buffer.alloc(32, index))
  expect(checkDiallerProof(encodeDiallerProof(keys, CONTEXT), keys, CONTEXT)).toBeUndefined()
  expect(checkDiallerProof(encodeDiallerProof(keys.slice(1), CONTEXT), keys, CONTEXT)).toEqual(keys[1])
})

test('the transcript of an admission is of one channel between two peers, and nothing else', () => {
  const changes: Partial<ProofContext>[] = [
    {},
    { dialler: 'C' },
    { listener: 'C' },
    { dialler: 'B', listener: 'A' },
    { channel: '/noise' },
    { binding: Buffer.alloc(32, 8) },
    { binding: Buffer.alloc(0) },
    { diallerNonce: Buffer.alloc(32, 9) },
    { listenerNonce: Buffer.alloc(32, 9) },
    { dialler: 'AB', listener: '' },
  ]
  const transcripts = changes.map((change) => requestTranscript('admission', { ...CONTEXT, ...change }).toString('hex'))
  expect(new Set(transcripts).size).toBe(changes.length)
  expect(transcripts.every((transcript) => transcript.length === 64)).toBe(true)
  expect(requestTranscript('admission', { ...CONTEXT }).toString('hex')).toBe(transcripts[0])
})

test('the transcript is that of the protocol page, byte by byte', () => {
  const field = (value: string | Uint8Array): Buffer => {
    const length = Buffer.alloc(4)
    length.writeUInt32BE(value.length)
    return Buffer.concat([length, Buffer.from(value as string)])
  }
  const { dialler, listener, channel, binding, diallerNonce, listenerNonce } = CONTEXT
  const said = ['warren admission 1', dialler, listener, channel, binding, diallerNonce, listenerNonce].map(field)
  expect(requestTranscript('admission', CONTEXT)).toEqual(createHash('sha256').update(Buffer.concat(said)).digest())
})
