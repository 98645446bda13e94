import { createHmac, hkdfSync, timingSafeEqual } from 'node:crypto'
import { MAX_NETWORK_KEYS } from './constants.ts'

const PROOF_VERSION = 1
export const NONCE_BYTES = 32
const MAC_BYTES = 32
const LABEL = 'warren membership proof 1'

/** What both sides know and the proof is bound to. */
export interface ProofContext {
  readonly networkId: string
  /** Peer id of the side that dialled. */
  readonly dialler: string
  readonly listener: string
  /** Protocol id of the secured channel, such as `/noise`. */
  readonly channel: string
  /** Keying material exported from the channel; empty where it has none. */
  readonly binding: Uint8Array
  readonly diallerNonce: Uint8Array
  readonly listenerNonce: Uint8Array
}

/** The listener's decision about a peer that has proved the key. */
type Admission = 'admitted' | 'refused'
const ADMISSION_BYTES = { admitted: 0, refused: 1 } as const

/** First message of each side: version and nonce. */
export function encodeHello(nonce: Uint8Array): Buffer {
  return Buffer.concat([Buffer.of(PROOF_VERSION), nonce])
}

/** The nonce of a hello; undefined where it is none, or of another version. */
export function decodeHello(body: Uint8Array): Uint8Array | undefined {
  return body.length === 1 + NONCE_BYTES && body[0] === PROOF_VERSION ? body.subarray(1) : undefined
}

/** The dialler's proof: one code under each of its network keys, so that one of them may be on its way out. */
export function encodeDiallerProof(networkKeys: readonly Uint8Array[], context: ProofContext): Buffer {
  return Buffer.concat(networkKeys.map((key) => code(key, context, 'dialler')))
}

/** The first of `networkKeys` under which a dialler's proof is valid. Takes the same time whichever it is. */
export function checkDiallerProof(
  body: Uint8Array,
  networkKeys: readonly Uint8Array[],
  context: ProofContext,
): Uint8Array | undefined {
  if (body.length === 0 || body.length % MAC_BYTES !== 0 || body.length > MAX_NETWORK_KEYS * MAC_BYTES) return undefined
  let found: Uint8Array | undefined
  for (const key of networkKeys) {
    const expected = code(key, context, 'dialler')
    let valid = false
    for (let at = 0; at < body.length; at += MAC_BYTES) {
      valid = timingSafeEqual(expected, body.subarray(at, at + MAC_BYTES)) || valid
    }
    if (valid && found === undefined) found = key
  }
  return found
}

/** The listener's answer, under the key that the dialler has proved. */
export function encodeListenerAnswer(networkKey: Uint8Array, context: ProofContext, admission: Admission): Buffer {
  return Buffer.concat([Buffer.of(ADMISSION_BYTES[admission]), code(networkKey, context, `listener ${admission}`)])
}

/** The listener's decision; undefined where it does not prove the key. */
export function checkListenerAnswer(
  body: Uint8Array,
  networkKeys: readonly Uint8Array[],
  context: ProofContext,
): Admission | undefined {
  if (body.length !== 1 + MAC_BYTES) return undefined
  const admission = body[0] === ADMISSION_BYTES.admitted ? 'admitted' : body[0] === 1 ? 'refused' : undefined
  if (admission === undefined) return undefined
  let valid = false
  for (const key of networkKeys) {
    valid = timingSafeEqual(code(key, context, `listener ${admission}`), body.subarray(1)) || valid
  }
  return valid ? admission : undefined
}

function code(networkKey: Uint8Array, context: ProofContext, side: string): Buffer {
  const proofKey = Buffer.from(hkdfSync('sha256', networkKey, new Uint8Array(0), LABEL, MAC_BYTES))
  const mac = createHmac('sha256', proofKey)
  for (const field of [
    LABEL,
    side,
    context.networkId,
    context.dialler,
    context.listener,
    context.channel,
    context.binding,
    context.diallerNonce,
    context.listenerNonce,
  ]) {
    const bytes = Buffer.from(field as string)
    const length = Buffer.alloc(4)
    length.writeUInt32BE(bytes.length)
    mac.update(length).update(bytes)
  }
  return mac.digest()
}
