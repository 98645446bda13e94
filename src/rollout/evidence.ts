import { z } from 'zod'
import { type Envelope, type Signer, sealEnvelope } from '../identity/index.ts'
import { parsePayload, requireSignature, sha256Hex } from './document.ts'
import { rolloutErrors } from './errors.ts'

/** Payload type of evidence in its DSSE envelope. */
export const EVIDENCE_TYPE = 'application/vnd.warren.rollout-evidence.v1+json'
/** Longest payload: a reason of 500 characters and ids, with room for later fields. */
export const MAX_EVIDENCE_BYTES = 8 * 1024
/** A reason holds an exit code and a last line; more belongs in the app's log. */
const MAX_REASON = 500

/**
 * What became of a node's turn, from best to worst. `healthy`: runs the version. `reverted`: was healthy, went back
 * because others failed or a person said so. `refused`: never started it. `failed`: started it and it did not hold.
 */
export const OUTCOMES = ['healthy', 'reverted', 'refused', 'failed'] as const
export type Outcome = (typeof OUTCOMES)[number]

/** A node's word about itself, and about nobody else. */
export interface Evidence {
  /** Id of the rollout document. */
  readonly document: string
  /** The node that signed it. */
  readonly node: string
  /** Which try of the document this was, from 1. */
  readonly attempt: number
  readonly outcome: Outcome
  /** Version that runs there now; null where none does. */
  readonly version: string | null
  readonly reason: string | null
  readonly timeMs: number
}

export interface SignedEvidence {
  readonly evidence: Evidence
  readonly envelope: Envelope
  /** SHA-256 of the payload bytes. */
  readonly hash: string
}

const schema = z.object({
  format: z.literal(1),
  document: z.string().regex(/^[0-9a-f]{64}$/),
  node: z.string().min(40).max(64),
  attempt: z.int().min(1).max(1000),
  outcome: z.enum(OUTCOMES),
  version: z.string().max(128).nullable(),
  reason: z.string().max(MAX_REASON).nullable(),
  time: z.iso.datetime().transform((text) => Date.parse(text)),
})

/** The payload bytes of evidence; a reason that is too long is cut. */
export function encodeEvidence(evidence: Evidence): Buffer {
  return Buffer.from(
    JSON.stringify({
      format: 1,
      document: evidence.document,
      node: evidence.node,
      attempt: evidence.attempt,
      outcome: evidence.outcome,
      version: evidence.version,
      reason: evidence.reason === null ? null : evidence.reason.slice(0, MAX_REASON).toWellFormed(),
      time: new Date(evidence.timeMs).toISOString(),
    }),
  )
}

/** Reads payload bytes from anywhere. Fails with `rollout_invalid`. */
export function decodeEvidence(payload: Uint8Array): Evidence {
  const fields = parsePayload(schema, payload, { what: 'rollout evidence', maxBytes: MAX_EVIDENCE_BYTES })
  return {
    document: fields.document,
    node: fields.node,
    attempt: fields.attempt,
    outcome: fields.outcome,
    version: fields.version,
    reason: fields.reason,
    timeMs: fields.time,
  }
}

/** Signs evidence with the node's own key. */
export function signEvidence(evidence: Evidence, signer: Signer): SignedEvidence {
  const payload = encodeEvidence(evidence)
  return readEvidence(sealEnvelope({ payloadType: EVIDENCE_TYPE, payload, signers: [signer] }))
}

/** Checks an envelope: type, size, form, and that the node it speaks of signed it. Fails with `rollout_invalid`. */
export function readEvidence(envelope: Envelope): SignedEvidence {
  if (envelope.payloadType !== EVIDENCE_TYPE) {
    throw rolloutErrors.rollout_invalid(`"${envelope.payloadType}" is not rollout evidence`)
  }
  const evidence = decodeEvidence(envelope.payload)
  requireSignature(envelope, evidence.node, 'rollout evidence')
  return { evidence, envelope, hash: sha256Hex(envelope.payload) }
}

/**
 * Of two pieces of evidence by one node about one document, the one that counts: the worse outcome, then the later
 * attempt, then the lower hash. So every node that has seen both keeps the same one, in whatever order they came.
 */
export function worseEvidence(a: SignedEvidence, b: SignedEvidence): SignedEvidence {
  const byOutcome = OUTCOMES.indexOf(b.evidence.outcome) - OUTCOMES.indexOf(a.evidence.outcome)
  const byAttempt = b.evidence.attempt - a.evidence.attempt
  const order = byOutcome || byAttempt || (b.hash < a.hash ? 1 : -1)
  return order > 0 ? b : a
}
