import { z } from 'zod'
import { decodeEnvelope, type Envelope, encodeEnvelope } from '../../identity/index.ts'
import { DOCUMENT_TYPE } from '../document.ts'
import { rolloutErrors } from '../errors.ts'
import { EVIDENCE_TYPE } from '../evidence.ts'
import { HALT_TYPE } from '../halt.ts'
import type { Statement } from '../ledger.ts'
import { PHASES } from '../words.ts'
import { MAX_LISTED, MAX_MESSAGE_BYTES } from './constants.ts'

const hash = z.string().regex(/^[0-9a-f]{64}$/)
const held = z.array(z.object({ id: hash, digest: hash })).max(MAX_LISTED)

const messageSchema = z.discriminatedUnion('type', [
  /** Opens an exchange, and answers it: the rollouts held, each with the digest of its statements. */
  z.object({ type: z.literal('have'), rollouts: held }),
  /** All that was missing has been sent; only this makes an exchange complete. */
  z.object({ type: z.literal('end') }),
  z.object({ type: z.enum(['document', 'evidence', 'halt']), envelope: z.record(z.string(), z.unknown()) }),
  z.object({
    type: z.literal('progress'),
    document: hash,
    node: z.string().min(40).max(64),
    phase: z.enum(PHASES),
    bytes: z.number().int().min(0).max(Number.MAX_SAFE_INTEGER),
    total: z.number().int().min(0).max(Number.MAX_SAFE_INTEGER),
    moved: z.number().int().min(0).max(Number.MAX_SAFE_INTEGER).default(0),
  }),
  /** Of a later release; skipped. */
  z.object({ type: z.literal('unknown') }),
])

export type Message = z.output<typeof messageSchema>
const TYPES: ReadonlySet<unknown> = new Set(['have', 'end', 'document', 'evidence', 'halt', 'progress'])

/** Reads one message from a peer; a type that this release does not know is `unknown`. Fails with `rollout_invalid`. */
export function parseMessage(bytes: Uint8Array): Message {
  if (bytes.length > MAX_MESSAGE_BYTES) throw rolloutErrors.rollout_invalid(`message of ${bytes.length} bytes`)
  let json: unknown
  try {
    json = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch (cause) {
    throw rolloutErrors.rollout_invalid('a message is not JSON', { cause })
  }
  const type = typeof json === 'object' && json !== null ? (json as { type?: unknown }).type : undefined
  if (typeof type === 'string' && !TYPES.has(type)) return { type: 'unknown' }
  const parsed = messageSchema.safeParse(json)
  if (parsed.success) return parsed.data
  const issue = parsed.error.issues[0]
  throw rolloutErrors.rollout_invalid(`message: ${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'malformed'}`)
}

/** A statement as a message. */
export function statementMessage(kind: Statement['kind'], envelope: Envelope): Message {
  return { type: kind, envelope: JSON.parse(encodeEnvelope(envelope).toString()) as Record<string, unknown> }
}

/** The envelope in a message. Fails as `decodeEnvelope`. */
export function envelopeOf(message: Extract<Message, { type: Statement['kind'] }>): Envelope {
  const payloadType = { document: DOCUMENT_TYPE, evidence: EVIDENCE_TYPE, halt: HALT_TYPE }[message.type]
  return decodeEnvelope(Buffer.from(JSON.stringify(message.envelope)), { payloadType, maxBytes: MAX_MESSAGE_BYTES })
}
