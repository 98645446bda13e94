import { generateKeyPair, type KeyObject, randomBytes, sign, X509Certificate } from 'node:crypto'
import { promisify } from 'node:util'
import { isSignedBy, peerIdOf } from '../../identity/index.ts'
import { type DerElement, der, derElements, derInside, TAG } from './der.ts'
import { HandshakeError } from './handshake-error.ts'

/** 1.3.6.1.4.1.53594.1.1, the extension that carries a peer's key (libp2p's TLS specification). */
const PEER_KEY_EXTENSION = Buffer.from('2b0601040183a25a0101', 'hex')
/** 1.2.840.10045.4.3.2, ecdsa-with-SHA256. */
const ECDSA_SHA256 = Buffer.from('2a8648ce3d040302', 'hex')
/** What the peer's key signs is this, and the certificate's own key after it. */
const SIGNED_PREFIX = 'libp2p-tls-handshake:'
/** Protobuf of an Ed25519 key up to its 32 bytes. */
const ED25519_KEY = Buffer.from('08011220', 'hex')
/** The longest certificate that is read; one of ours has some 400 bytes. */
const MAX_CERTIFICATE_BYTES = 4 * 1024
/** A certificate is valid from so long before it was made, for clocks that are late, … */
const VALID_BEFORE_MS = 3_600_000
/** … and for a hundred years: it ends with the process that made it. */
const VALID_FOR_MS = 100 * 365 * 24 * 3_600_000

/** Who vouches with a certificate: the raw Ed25519 key, and what signs with it. */
export interface CertifiedKey {
  readonly publicKey: Uint8Array
  sign(bytes: Uint8Array): Uint8Array | Promise<Uint8Array>
}

/**
 * A certificate of a new P-256 key, and that key, both PEM. Its extension names the peer, as libp2p's TLS specification
 * says; no other program's certificate is needed to believe it.
 */
export async function makePeerCertificate(peer: CertifiedKey): Promise<{ cert: string; key: string }> {
  const { publicKey, privateKey } = await promisify(generateKeyPair)('ec', { namedCurve: 'P-256' })
  const spki = publicKey.export({ type: 'spki', format: 'der' })
  const signature = await peer.sign(Buffer.concat([Buffer.from(SIGNED_PREFIX), spki]))
  const signedKey = der(TAG.sequence, der(TAG.octets, ED25519_KEY, peer.publicKey), der(TAG.octets, signature))
  const extension = der(
    TAG.sequence,
    der(TAG.oid, PEER_KEY_EXTENSION),
    der(TAG.boolean, Buffer.of(0xff)),
    der(TAG.octets, signedKey),
  )
  const algorithm = der(TAG.sequence, der(TAG.oid, ECDSA_SHA256))
  const noName = der(TAG.sequence)
  const nowMs = Date.now()
  const toBeSigned = der(
    TAG.sequence,
    der(TAG.version, der(TAG.integer, Buffer.of(2))),
    // Positive, and its first byte not zero, whatever is drawn.
    der(TAG.integer, Buffer.of(0x40), randomBytes(8)),
    algorithm,
    noName,
    der(TAG.sequence, timeOf(nowMs - VALID_BEFORE_MS), timeOf(nowMs + VALID_FOR_MS)),
    noName,
    spki,
    der(TAG.extensions, der(TAG.sequence, extension)),
  )
  const ownSignature = der(TAG.bits, Buffer.of(0), sign('sha256', toBeSigned, privateKey))
  const bytes = der(TAG.sequence, toBeSigned, algorithm, ownSignature)
  return { cert: pemOf(bytes), key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString() }
}

/**
 * The id of the peer that a certificate in DER belongs to. Fails with `HandshakeError` where it is not valid now, is not
 * signed by its own key, or where its key is not signed by that of an Ed25519 peer.
 */
export function peerOfCertificate(raw: Buffer): string {
  if (raw.length > MAX_CERTIFICATE_BYTES) throw invalid('is too long')
  const { certificate, ownKey, isOwn } = parsed(raw)
  const nowMs = Date.now()
  if (certificate.validFromDate.getTime() > nowMs) throw invalid('is not valid yet')
  if (certificate.validToDate.getTime() < nowMs) throw invalid('has expired')
  if (!isOwn) throw invalid('is not signed by its own key')
  const [key, signature, ...rest] = signedKeyIn(raw)
  const isEd25519 = key?.body.length === ED25519_KEY.length + 32 && key.body.indexOf(ED25519_KEY) === 0
  if (!isEd25519 || signature === undefined || rest.length > 0) throw invalid('names no peer of a kind that is known')
  const publicKey = key.body.subarray(ED25519_KEY.length)
  // The key that TLS itself works with, however these bytes could be read otherwise.
  const spki = ownKey.export({ type: 'spki', format: 'der' })
  if (!isSignedBy(publicKey, Buffer.concat([Buffer.from(SIGNED_PREFIX), spki]), signature.body)) {
    throw invalid('is not signed by the peer that it names')
  }
  return peerIdOf(publicKey)
}

function parsed(raw: Buffer): { certificate: X509Certificate; ownKey: KeyObject; isOwn: boolean } {
  try {
    const certificate = new X509Certificate(raw)
    const ownKey = certificate.publicKey
    return { certificate, ownKey, isOwn: certificate.issuer === certificate.subject && certificate.verify(ownKey) }
  } catch (cause) {
    throw new HandshakeError('TLS: what the other side shows is no certificate', { cause })
  }
}

/** What the one extension with a peer's key is made of. */
function signedKeyIn(raw: Buffer): DerElement[] {
  const [certificate] = derElements(raw) ?? []
  const [toBeSigned] = derInside(certificate, TAG.sequence) ?? []
  const fields = derInside(toBeSigned, TAG.sequence) ?? []
  const [list] = derInside(fields.at(-1), TAG.extensions) ?? []
  const named = (derInside(list, TAG.sequence) ?? [])
    .map((extension) => derInside(extension, TAG.sequence) ?? [])
    .filter(([oid]) => oid?.tag === TAG.oid && oid.body.equals(PEER_KEY_EXTENSION))
  const octets = named[0]?.at(-1)
  const [content] = octets?.tag === TAG.octets ? (derElements(octets.body) ?? []) : []
  const signedKey = derInside(content, TAG.sequence)
  if (named.length !== 1 || signedKey?.some(({ tag }) => tag !== TAG.octets) !== false) {
    throw invalid('does not say which peer it belongs to')
  }
  return signedKey
}

/** Until 2049 in two digits of the year, as RFC 5280 says. */
function timeOf(ms: number): Buffer {
  const text = new Date(ms).toISOString().replace(/[-:T]|\.\d+/g, '')
  return Number(text.slice(0, 4)) < 2050
    ? der(TAG.utcTime, Buffer.from(text.slice(2)))
    : der(TAG.time, Buffer.from(text))
}

function pemOf(bytes: Buffer): string {
  const lines = bytes.toString('base64').match(/.{1,64}/g) ?? []
  return ['-----BEGIN CERTIFICATE-----', ...lines, '-----END CERTIFICATE-----', ''].join('\n')
}

function invalid(why: string): HandshakeError {
  return new HandshakeError(`TLS: the certificate of the other side ${why}`)
}
