import { z } from 'zod'
import { type Envelope, type Signer, sealEnvelope } from '../identity/index.ts'
import { parsePayload, requireSignature, sha256Hex } from './document.ts'
import { rolloutErrors } from './errors.ts'

/** Payload type of a halt in its DSSE envelope. */
export const HALT_TYPE = 'application/vnd.warren.rollout-halt.v1+json'
/** Longest payload, as for evidence. */
export const MAX_HALT_BYTES = 8 * 1024
const MAX_REASON = 500

/** A person's order to stop: no node starts any more; with `revert`, nodes that are done go back. */
export interface Halt {
  readonly document: string
  /** Node that signed it: the rollout's author, or one that may deploy the app. */
  readonly by: string
  readonly revert: boolean
  readonly reason: string | null
  readonly timeMs: number
}

export interface SignedHalt {
  readonly halt: Halt
  readonly envelope: Envelope
  readonly hash: string
}

const schema = z.object({
  format: z.literal(1),
  document: z.string().regex(/^[0-9a-f]{64}$/),
  by: z.string().min(40).max(64),
  revert: z.boolean(),
  reason: z.string().max(MAX_REASON).nullable(),
  time: z.iso.datetime().transform((text) => Date.parse(text)),
})

/** The payload bytes of a halt. */
export function encodeHalt(halt: Halt): Buffer {
  return Buffer.from(
    JSON.stringify({
      format: 1,
      document: halt.document,
      by: halt.by,
      revert: halt.revert,
      reason: halt.reason === null ? null : halt.reason.slice(0, MAX_REASON).toWellFormed(),
      time: new Date(halt.timeMs).toISOString(),
    }),
  )
}

/** Reads payload bytes from anywhere. Fails with `rollout_invalid`. */
export function decodeHalt(payload: Uint8Array): Halt {
  const fields = parsePayload(schema, payload, { what: 'rollout halt', maxBytes: MAX_HALT_BYTES })
  return {
    document: fields.document,
    by: fields.by,
    revert: fields.revert,
    reason: fields.reason,
    timeMs: fields.time,
  }
}

/** Signs a halt with the key of the node `halt.by`. */
export function signHalt(halt: Halt, signer: Signer): SignedHalt {
  return readHalt(sealEnvelope({ payloadType: HALT_TYPE, payload: encodeHalt(halt), signers: [signer] }))
}

/** Checks an envelope: type, size, form, signature. Whether `by` may halt is for the ledger. */
export function readHalt(envelope: Envelope): SignedHalt {
  if (envelope.payloadType !== HALT_TYPE) {
    throw rolloutErrors.rollout_invalid(`"${envelope.payloadType}" is not a rollout halt`)
  }
  const halt = decodeHalt(envelope.payload)
  requireSignature(envelope, halt.by, 'rollout halt')
  return { halt, envelope, hash: sha256Hex(envelope.payload) }
}

/** Of two halts by one node, the one that counts: one that reverts over one that does not, then the lower hash. */
export function strongerHalt(a: SignedHalt, b: SignedHalt): SignedHalt {
  if (a.halt.revert !== b.halt.revert) return a.halt.revert ? a : b
  return b.hash < a.hash ? b : a
}
