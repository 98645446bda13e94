import { isSignedBy, keyIdOf, SIGNATURE_BYTES, type Signer } from './ed25519.ts'
import { identityErrors } from './errors.ts'

/** Longest envelope unless the caller sets a limit: fits a package record or a rollout over many nodes. */
const DEFAULT_MAX_BYTES = 1024 * 1024
/** More signatures than any threshold needs; each costs a verification. */
const MAX_SIGNATURES = 16
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/
const KEY_ID = /^[0-9a-f]{64}$/

/** A DSSE envelope: payload bytes and who signed them (github.com/secure-systems-lab/dsse, protocol v1.0.2). */
export interface Envelope {
  readonly payloadType: string
  readonly payload: Uint8Array
  readonly signatures: readonly { readonly keyid: string; readonly sig: Uint8Array }[]
}

/** What a DSSE signature covers: "DSSEv1", and type and payload each with its length. */
export function preAuthEncoding(payloadType: string, payload: Uint8Array): Buffer {
  const type = Buffer.from(payloadType, 'utf8')
  return Buffer.concat([Buffer.from(`DSSEv1 ${type.length} `), type, Buffer.from(` ${payload.length} `), payload])
}

/** Signs a payload with every signer, in their order. */
export function sealEnvelope({
  payloadType,
  payload,
  signers,
}: {
  payloadType: string
  payload: Uint8Array
  signers: readonly Signer[]
}): Envelope {
  const message = preAuthEncoding(payloadType, payload)
  const signatures = signers.map((signer) => ({ keyid: signer.keyId, sig: signer.sign(message) }))
  return { payloadType, payload, signatures }
}

/** The envelope with one more signature; one by the same key is replaced. */
export function addSignature(envelope: Envelope, signer: Signer): Envelope {
  const [added] = sealEnvelope({ ...envelope, signers: [signer] }).signatures
  const others = envelope.signatures.filter((signature) => signature.keyid !== signer.keyId)
  return { ...envelope, signatures: [...others, ...(added === undefined ? [] : [added])] }
}

/** The JSON form of DSSE, on one line without a line end. */
export function encodeEnvelope(envelope: Envelope): Buffer {
  return Buffer.from(
    JSON.stringify({
      payloadType: envelope.payloadType,
      payload: Buffer.from(envelope.payload).toString('base64'),
      signatures: envelope.signatures.map(({ keyid, sig }) => ({ keyid, sig: Buffer.from(sig).toString('base64') })),
    }),
  )
}

/**
 * Parses the JSON form from anywhere. Nothing is verified: ask `signersOf`. Fails with `envelope_invalid` where it is
 * longer than `maxBytes` (1 MiB by default), malformed, of another `payloadType`, or has no or too many signatures.
 */
export function decodeEnvelope(
  bytes: Uint8Array,
  { payloadType, maxBytes = DEFAULT_MAX_BYTES }: { payloadType: string; maxBytes?: number },
): Envelope {
  if (bytes.length > maxBytes) throw invalid(`it is ${bytes.length} bytes long, more than ${maxBytes}`)
  const value = parseJson(bytes)
  if (value.payloadType !== payloadType) {
    throw invalid(
      `its payload type is ${JSON.stringify(String(value.payloadType).slice(0, 100))}, not "${payloadType}"`,
    )
  }
  if (!Array.isArray(value.signatures) || value.signatures.length === 0) throw invalid('it has no signatures')
  if (value.signatures.length > MAX_SIGNATURES) throw invalid(`it has more than ${MAX_SIGNATURES} signatures`)
  const signatures = value.signatures.map(parseSignature)
  if (new Set(signatures.map(({ keyid }) => keyid)).size !== signatures.length) throw invalid('one key signed it twice')
  return { payloadType, payload: parseBase64(value.payload, 'payload'), signatures }
}

/** Which of these public keys signed the envelope validly, in the order given. A key counts once. */
export function signersOf(envelope: Envelope, publicKeys: readonly Uint8Array[]): Uint8Array[] {
  const message = preAuthEncoding(envelope.payloadType, envelope.payload)
  const signatures = new Map(envelope.signatures.map(({ keyid, sig }) => [keyid, sig]))
  const signed = new Map<string, Uint8Array>()
  for (const publicKey of publicKeys) {
    const keyId = keyIdOf(publicKey)
    const signature = signatures.get(keyId)
    if (signature !== undefined && isSignedBy(publicKey, message, signature)) signed.set(keyId, publicKey)
  }
  return [...signed.values()]
}

function parseJson(bytes: Uint8Array): Record<string, unknown> {
  let value: unknown
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch {
    throw invalid('it is not JSON')
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw invalid('it is not a JSON object')
  return value as Record<string, unknown>
}

function parseSignature(value: unknown): { keyid: string; sig: Uint8Array } {
  const { keyid, sig } = (value ?? {}) as Record<string, unknown>
  // DSSE leaves keyid optional; here it names the key, so that verifying never means trying all keys there are.
  if (typeof keyid !== 'string' || !KEY_ID.test(keyid)) throw invalid('a signature has no keyid of 64 hex digits')
  const signature = parseBase64(sig, 'sig')
  if (signature.length !== SIGNATURE_BYTES) throw invalid(`a signature is not ${SIGNATURE_BYTES} bytes long`)
  return { keyid, sig: signature }
}

function parseBase64(value: unknown, name: string): Uint8Array {
  if (typeof value !== 'string' || !BASE64.test(value)) throw invalid(`${name} is not base64`)
  const bytes = Buffer.from(value, 'base64')
  if (bytes.toString('base64') !== value) throw invalid(`${name} is not canonical base64`)
  return new Uint8Array(bytes)
}

function invalid(what: string): Error {
  return identityErrors.envelope_invalid(`the signed envelope is not valid: ${what}`)
}
