import { generateKeyPairSync, randomBytes, sign, X509Certificate } from 'node:crypto'
import { generateKeyPair } from '@libp2p/crypto/keys'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { generateCertificate, verifyPeerCertificate } from '@libp2p/tls/utils'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { peerIdOf, signerFromSeed } from '../../identity/index.ts'
import { der, derElements } from './der.ts'
import { makePeerCertificate, peerOfCertificate } from './peer-certificate.ts'

const signer = signerFromSeed(randomBytes(32))
const rawOf = (cert: string): Buffer => new X509Certificate(cert).raw

test('a certificate names the peer that made it, to this program and to libp2p', async () => {
  const { cert } = await makePeerCertificate(signer)
  expect(peerOfCertificate(rawOf(cert))).toBe(peerIdOf(signer.publicKey))
  const verified = await verifyPeerCertificate(rawOf(cert))
  expect(verified.toString()).toBe(peerIdOf(signer.publicKey))
})

test('a certificate that libp2p has made is believed', async () => {
  const privateKey = await generateKeyPair('Ed25519')
  const { cert } = await generateCertificate(privateKey)
  expect(peerOfCertificate(rawOf(cert))).toBe(peerIdFromPrivateKey(privateKey).toString())
})

test('a peer of another kind of key is refused', async () => {
  const { cert } = await generateCertificate(await generateKeyPair('secp256k1'))
  expect(() => peerOfCertificate(rawOf(cert))).toThrow('names no peer of a kind that is known')
})

test('a key that another peer has vouched for is refused', async () => {
  const other = signerFromSeed(randomBytes(32))
  const { cert } = await makePeerCertificate({ publicKey: signer.publicKey, sign: (bytes) => other.sign(bytes) })
  expect(() => peerOfCertificate(rawOf(cert))).toThrow('not signed by the peer that it names')
})

test('the extension of another certificate is worth nothing', async () => {
  const [stolen] = [rawOf((await makePeerCertificate(signer)).cert)]
  const thief = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const [whole] = derElements(stolen) ?? []
  const [toBeSigned, algorithm] = derElements(whole?.body as Buffer) ?? []
  const fields = derElements(toBeSigned?.body as Buffer) ?? []
  const spki = thief.publicKey.export({ type: 'spki', format: 'der' })
  const forged = der(0x30, ...fields.map(({ whole: field }, at) => (at === 6 ? spki : field)))
  const signature = der(0x03, Buffer.of(0), sign('sha256', forged, thief.privateKey))
  const raw = der(0x30, forged, algorithm?.whole as Buffer, signature)
  expect(new X509Certificate(raw).verify(thief.publicKey)).toBe(true)
  expect(() => peerOfCertificate(raw)).toThrow('not signed by the peer that it names')
})

test('a certificate without the extension is refused', async () => {
  const raw = rawOf((await makePeerCertificate(signer)).cert)
  const other = Buffer.from(raw)
  other[raw.indexOf(Buffer.from('2b0601040183a25a0101', 'hex')) + 9] = 2
  expect(() => peerOfCertificate(other)).toThrow('not signed by its own key')
})

test('no changed byte, no missing byte and no text is believed, and each is refused as a failed handshake', async () => {
  const raw = rawOf((await makePeerCertificate(signer)).cert)
  const changed = fc.tuple(fc.nat(raw.length - 1), fc.integer({ min: 1, max: 255 })).map(([at, by]) => {
    const bytes = Buffer.from(raw)
    bytes[at] = (bytes[at] as number) ^ by
    return bytes
  })
  const cut = fc.nat(raw.length - 1).map((length) => raw.subarray(0, length))
  const noise = fc.uint8Array({ maxLength: 600 }).map((bytes) => Buffer.from(bytes))
  fc.assert(
    fc.property(fc.oneof(changed, cut, noise), (bytes) => {
      expect(() => peerOfCertificate(bytes)).toThrow(expect.objectContaining({ name: 'HandshakeError' }))
    }),
    { numRuns: 500 },
  )
})

test('elements of every length are read as they were written', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 4 }), fc.nat(70_000), (bodies, long) => {
      const all = [...bodies, new Uint8Array(Math.min(long, 65_535))]
      const read = derElements(Buffer.concat(all.map((body) => der(0x04, body))))
      expect(read?.map(({ body }) => body.length)).toEqual(all.map((body) => body.length))
    }),
  )
})
