import fc from 'fast-check'
import { expect, test } from 'vitest'
import { signerFromSeed } from './ed25519.ts'
import { addSignature, decodeEnvelope, encodeEnvelope, preAuthEncoding, sealEnvelope, signersOf } from './envelope.ts'

const payloadType = 'application/vnd.warren.test+json'
const seed = fc.uint8Array({ minLength: 32, maxLength: 32 })
const alice = signerFromSeed(new Uint8Array(32).fill(1))
const bob = signerFromSeed(new Uint8Array(32).fill(2))
const sealed = () => sealEnvelope({ payloadType, payload: Buffer.from('{"a":1}'), signers: [alice, bob] })

test('the pre-authentication encoding is that of the DSSE protocol page', () => {
  expect(preAuthEncoding('http://example.com/HelloWorld', Buffer.from('hello world')).toString()).toBe(
    'DSSEv1 29 http://example.com/HelloWorld 11 hello world',
  )
})

test('an envelope survives encoding, and its signers are found', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 300 }),
      fc.uniqueArray(seed, { minLength: 1, maxLength: 4, selector: String }),
      (payload, seeds) => {
        const signers = seeds.map(signerFromSeed)
        const decoded = decodeEnvelope(encodeEnvelope(sealEnvelope({ payloadType, payload, signers })), { payloadType })
        const keys = signers.map((signer) => signer.publicKey)
        expect(new Uint8Array(decoded.payload)).toEqual(payload)
        expect(signersOf(decoded, keys)).toEqual(keys)
      },
    ),
    { numRuns: 30 },
  )
})

test('one changed bit anywhere in the encoded envelope never leaves the same statement signed by both', () => {
  const bytes = encodeEnvelope(sealed())
  fc.assert(
    fc.property(fc.nat(bytes.length * 8 - 1), (bit) => {
      const changed = Buffer.from(bytes)
      changed[bit >> 3] = (changed[bit >> 3] as number) ^ (1 << (bit & 7))
      let signers: Uint8Array[]
      try {
        signers = signersOf(decodeEnvelope(changed, { payloadType }), [alice.publicKey, bob.publicKey])
      } catch (error) {
        expect(error).toMatchObject({ code: 'envelope_invalid' })
        return
      }
      expect(signers.length).toBeLessThan(2)
    }),
    { numRuns: 500 },
  )
})

test('a signature of one payload type does not count for another', () => {
  expect(signersOf({ ...sealed(), payloadType: 'other' }, [alice.publicKey])).toEqual([])
})

test('random bytes are refused with the one error code', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.uint8Array({ maxLength: 200 }),
        fc.json().map((text) => Buffer.from(text)),
      ),
      (bytes) => {
        expect(() => decodeEnvelope(bytes, { payloadType })).toThrow(
          expect.objectContaining({ code: 'envelope_invalid' }),
        )
      },
    ),
  )
})

test('limits, doubled signers and loose base64 are refused', () => {
  const json = JSON.parse(encodeEnvelope(sealed()).toString())
  const refuse = (value: unknown, options: { maxBytes?: number } = {}) =>
    expect(() => decodeEnvelope(Buffer.from(JSON.stringify(value)), { payloadType, ...options })).toThrow(
      expect.objectContaining({ code: 'envelope_invalid' }),
    )
  refuse(json, { maxBytes: 50 })
  refuse({ ...json, payloadType: 'another' })
  refuse({ ...json, signatures: [] })
  refuse({ ...json, signatures: new Array(17).fill(json.signatures[0]) })
  refuse({ ...json, signatures: [json.signatures[0], json.signatures[0]] })
  refuse({ ...json, signatures: [{ sig: json.signatures[0].sig }] })
  refuse({ ...json, payload: 'e31' })
  refuse({ ...json, payload: 'e31=\n' })
  refuse({ ...json, payload: 'ey==x' })
  refuse(null)
})

test('a signature can be added later, and one key never signs twice', () => {
  const one = sealEnvelope({ payloadType, payload: Buffer.from('x'), signers: [alice] })
  const both = addSignature(addSignature(one, bob), bob)
  expect(both.signatures.map(({ keyid }) => keyid)).toEqual([alice.keyId, bob.keyId])
  expect(signersOf(both, [bob.publicKey, alice.publicKey])).toHaveLength(2)
})
