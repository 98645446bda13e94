import fc from 'fast-check'
import { expect, test } from 'vitest'
import { decodeBase58, encodeBase58 } from './base58.ts'
import { signerFromSeed } from './ed25519.ts'
import { peerIdOf, publicKeyOfPeer } from './peer-id.ts'

const bytes32 = fc.uint8Array({ minLength: 32, maxLength: 32 })

// Made with @libp2p/crypto 5.1 and @libp2p/peer-id 6.0 from seeds of 32 equal bytes.
test.each([
  [0, '12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN'],
  [1, '12D3KooWK99VoVxNE7XzyBwXEzW7xhK7Gpv85r9F3V3fyKSUKPH5'],
  [42, '12D3KooWBXu3uGPMkjjxViK6autSnFH5QaKJgTwW8CaSxYSD6yYL'],
  [255, '12D3KooWHoSyTgntm77sXShoeX9uNkqKNMhHxKtskaHqnA54SrSG'],
])('the key of the seed %i… has the peer id that libp2p gives it', (fill, id) => {
  expect(peerIdOf(signerFromSeed(new Uint8Array(32).fill(fill)).publicKey)).toBe(id)
})

test('a peer id gives back its public key', () => {
  fc.assert(
    fc.property(bytes32, (key) => {
      expect(publicKeyOfPeer(peerIdOf(key))).toEqual(key)
    }),
  )
})

test('texts that are no Ed25519 peer id have no public key', () => {
  const good = peerIdOf(new Uint8Array(32).fill(7))
  for (const bad of [
    '',
    'QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N',
    `${good}1`,
    good.slice(1),
    good.replace('K', '0'),
  ]) {
    expect(publicKeyOfPeer(bad)).toBeUndefined()
  }
})

test('base58 round-trips all bytes, leading zeros included', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
      expect(decodeBase58(encodeBase58(bytes))).toEqual(bytes)
    }),
  )
  expect(encodeBase58(Buffer.from('Hello World!'))).toBe('2NEpo7TZRRrLZSi2U')
  expect(decodeBase58('0OIl')).toBeUndefined()
})
