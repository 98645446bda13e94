import { createHash, createPrivateKey, createPublicKey, type KeyObject, sign, verify } from 'node:crypto'

/** Bytes of a public key, and of the seed that is a private key. */
export const KEY_BYTES = 32
/** Bytes of a signature. */
export const SIGNATURE_BYTES = 64
/** DER of a SubjectPublicKeyInfo and of a PKCS#8 key up to the 32 raw bytes (RFC 8410). */
const PUBLIC_PREFIX = Buffer.from('302a300506032b6570032100', 'hex')
const PRIVATE_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex')

/** An Ed25519 key that can sign. The private part never leaves it. */
export interface Signer {
  /** Raw, 32 bytes. */
  readonly publicKey: Uint8Array
  /** 64 hex digits: SHA-256 of the raw public key. */
  readonly keyId: string
  /** A signature of 64 bytes (RFC 8032). */
  sign(data: Uint8Array): Uint8Array
}

/** The id of a public key: SHA-256 of its 32 raw bytes in hex. */
export function keyIdOf(publicKey: Uint8Array): string {
  return createHash('sha256').update(publicKey).digest('hex')
}

/** The start of a key id for people, such as `7f3a…`. */
export function fingerprintOf(keyId: string): string {
  return `${keyId.slice(0, 4)}…`
}

/** A signer over a Node key object, which must be a private Ed25519 key. */
export function signerFromKey(key: KeyObject): Signer {
  const publicKey = new Uint8Array(createPublicKey(key).export({ format: 'der', type: 'spki' }).subarray(-KEY_BYTES))
  return Object.freeze({
    publicKey,
    keyId: keyIdOf(publicKey),
    sign: (data: Uint8Array) => new Uint8Array(sign(null, data, key)),
  })
}

/** A signer whose private key is this seed of 32 bytes. */
export function signerFromSeed(seed: Uint8Array): Signer {
  return signerFromKey(privateKeyOf(seed))
}

/** The Node key object of a private key whose seed is these 32 bytes. */
export function privateKeyOf(seed: Uint8Array): KeyObject {
  return createPrivateKey({ key: Buffer.concat([PRIVATE_PREFIX, seed]), format: 'der', type: 'pkcs8' })
}

/** True where `signature` is `publicKey`'s over `data`. Malformed keys and signatures are simply not valid. */
export function isSignedBy(publicKey: Uint8Array, data: Uint8Array, signature: Uint8Array): boolean {
  if (publicKey.length !== KEY_BYTES || signature.length !== SIGNATURE_BYTES) return false
  try {
    const key = createPublicKey({ key: Buffer.concat([PUBLIC_PREFIX, publicKey]), format: 'der', type: 'spki' })
    return verify(null, data, key, signature)
  } catch {
    return false
  }
}
