import { createHash, createHmac, hkdfSync, timingSafeEqual } from 'node:crypto'
import { MAX_NETWORK_KEYS } from './constants.ts'

/** The version byte of a hello says what its sender wants. */
const HELLO_VERSIONS = { proof: 1, admission: 2, passage: 3 } as const
export const NONCE_BYTES = 32
const MAC_BYTES = 32
const LABEL = 'warren membership proof 1'
const TRANSCRIPT_LABELS = { admission: 'warren admission 1', passage: 'warren passage 1' } as const

/** What both sides know of their channel. */
export interface ChannelContext {
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

/** What the proof is bound to. */
export interface ProofContext extends ChannelContext {
  readonly networkId: string
}

/** The listener's decision about a peer that has proved the key. */
type Verdict = 'admitted' | 'refused'
const VERDICT_BYTES = { admitted: 0, refused: 1 } as const

/**
 * What a dialler wants: to prove the network key and go on; to ask for admission and leave; or, of a relay, to be let
 * through to an admin, to ask that one for admission.
 */
export type Purpose = keyof typeof HELLO_VERSIONS
/** What somebody can ask for who does not prove the network key. */
export type Request = Exclude<Purpose, 'proof'>

/** First message of each side. */
export interface Hello {
  readonly purpose: Purpose
  readonly nonce: Uint8Array
}

/** A hello as its bytes: version and nonce. A listener's is always one for the proof. */
export function encodeHello({ purpose, nonce }: Hello): Buffer {
  return Buffer.concat([Buffer.of(HELLO_VERSIONS[purpose]), nonce])
}

/** What a hello says; undefined where it is none, or of another version. */
export function decodeHello(body: Uint8Array): Hello | undefined {
  if (body.length !== 1 + NONCE_BYTES) return undefined
  const nonce = body.subarray(1)
  for (const purpose of ['proof', 'admission', 'passage'] as const) {
    if (body[0] === HELLO_VERSIONS[purpose]) return { purpose, nonce }
  }
  return undefined
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
export function encodeListenerAnswer(networkKey: Uint8Array, context: ProofContext, verdict: Verdict): Buffer {
  return Buffer.concat([Buffer.of(VERDICT_BYTES[verdict]), code(networkKey, context, `listener ${verdict}`)])
}

/** The listener's decision; undefined where it does not prove the key. */
export function checkListenerAnswer(
  body: Uint8Array,
  networkKeys: readonly Uint8Array[],
  context: ProofContext,
): Verdict | undefined {
  if (body.length !== 1 + MAC_BYTES) return undefined
  const verdict = body[0] === VERDICT_BYTES.admitted ? 'admitted' : body[0] === 1 ? 'refused' : undefined
  if (verdict === undefined) return undefined
  let valid = false
  for (const key of networkKeys) {
    valid = timingSafeEqual(code(key, context, `listener ${verdict}`), body.subarray(1)) || valid
  }
  return valid ? verdict : undefined
}

/** 32 bytes that stand for one channel between two peers and what is asked on it, for a request to be bound to. */
export function requestTranscript(request: Request, context: ChannelContext): Buffer {
  return createHash('sha256')
    .update(fields([TRANSCRIPT_LABELS[request], ...channelFields(context)]))
    .digest()
}

function code(networkKey: Uint8Array, context: ProofContext, side: string): Buffer {
  const proofKey = Buffer.from(hkdfSync('sha256', networkKey, new Uint8Array(0), LABEL, MAC_BYTES))
  const said = fields([LABEL, side, context.networkId, ...channelFields(context)])
  return createHmac('sha256', proofKey).update(said).digest()
}

function channelFields(context: ChannelContext): (string | Uint8Array)[] {
  const { dialler, listener, channel, binding, diallerNonce, listenerNonce } = context
  return [dialler, listener, channel, binding, diallerNonce, listenerNonce]
}

/** Each value with its length before it, so that no two lists of values give the same bytes. */
function fields(values: readonly (string | Uint8Array)[]): Buffer {
  return Buffer.concat(
    values.flatMap((value) => {
      const bytes = Buffer.from(value as string)
      const length = Buffer.alloc(4)
      length.writeUInt32BE(bytes.length)
      return [length, bytes]
    }),
  )
}
