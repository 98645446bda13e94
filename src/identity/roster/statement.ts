import { createHash } from 'node:crypto'
import { WarrenError } from '../../base/errors.ts'
import { decodeEnvelope, type Envelope } from '../envelope.ts'
import { publicKeyOfPeer } from '../peer-id.ts'
import { type KnownBody, parseBody } from './bodies.ts'
import {
  MAX_STATEMENT_BYTES,
  MAX_STATEMENT_ENVELOPE_BYTES,
  MAX_TIME_MS,
  ROOT_AUTHOR,
  ROSTER_PAYLOAD_TYPE,
} from './constants.ts'

const HASH = /^[0-9a-f]{64}$/
const TYPE = /^[a-z][a-z0-9-]{0,31}$/

/** One entry of an admin's log: the header, and the body where this release understands it. */
export interface Statement {
  /** SHA-256 of the payload bytes in hex; what the next entry of the log names. */
  readonly hash: string
  readonly network: string
  /** Node id of the admin, or `root`. */
  readonly author: string
  /** Id of the key that signs it for its author. In the payload, so that nobody can pass it on as signed by another one. */
  readonly key: string
  /** Place in the author's log, from 1. */
  readonly seq: number
  /** Hash of the entry before; for the first one the network id. */
  readonly prev: string
  /** Milliseconds since 1970 by the author's clock. */
  readonly timeMs: number
  readonly type: string
  /** Undefined: kept and forwarded, not applied. */
  readonly known: KnownBody | undefined
  readonly envelope: Envelope
}

/** Why a statement was not taken. */
export type Rejection =
  | 'malformed'
  | 'too_large'
  | 'wrong_network'
  | 'bad_signature'
  | 'broken_chain'
  | 'author_void'
  | 'roster_full'

/** Thrown inside the roster where a statement is refused; merging turns it into a rejection. */
export class Refusal extends Error {
  readonly reason: Rejection
  constructor(reason: Rejection, message: string) {
    super(message)
    this.reason = reason
  }
}

/** The hash of a payload, as statements and the genesis are known by. */
export function hashOfPayload(payload: Uint8Array): string {
  return createHash('sha256').update(payload).digest('hex')
}

/** Decodes the JSON form of a statement's envelope. Throws a Refusal. */
export function decodeStatementEnvelope(bytes: Uint8Array): Envelope {
  if (bytes.length > MAX_STATEMENT_ENVELOPE_BYTES)
    throw new Refusal('too_large', `an envelope of ${bytes.length} bytes`)
  try {
    return decodeEnvelope(bytes, { payloadType: ROSTER_PAYLOAD_TYPE, maxBytes: MAX_STATEMENT_ENVELOPE_BYTES })
  } catch (error) {
    throw new Refusal('malformed', error instanceof WarrenError ? error.message : String(error))
  }
}

/** The payload of a roster envelope as JSON. Throws a Refusal. */
export function parsePayload(envelope: Envelope): Record<string, unknown> {
  if (envelope.payload.length > MAX_STATEMENT_BYTES) {
    throw new Refusal('too_large', `a payload of ${envelope.payload.length} bytes`)
  }
  let value: unknown
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(envelope.payload))
  } catch {
    throw new Refusal('malformed', 'the payload is not JSON')
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new Refusal('malformed', 'the payload is not a JSON object')
  }
  return value as Record<string, unknown>
}

/** Reads the header strictly and the body as far as this release knows it. Verifies no signature. Throws a Refusal. */
export function parseStatement(envelope: Envelope): Statement {
  if (envelope.payloadType !== ROSTER_PAYLOAD_TYPE) throw new Refusal('malformed', 'not a roster envelope')
  const { network, author, key, seq, prev, time, type, body } = parsePayload(envelope)
  if (typeof network !== 'string' || !HASH.test(network)) throw new Refusal('malformed', 'network is not a hash')
  if (typeof author !== 'string' || (author !== ROOT_AUTHOR && publicKeyOfPeer(author) === undefined)) {
    throw new Refusal('malformed', 'author is neither a peer ID nor "root"')
  }
  if (typeof key !== 'string' || !HASH.test(key)) throw new Refusal('malformed', 'key is not the id of a key')
  if (!isWhole(seq) || seq < 1) throw new Refusal('malformed', 'seq is not a whole number from 1')
  if (typeof prev !== 'string' || !HASH.test(prev)) throw new Refusal('malformed', 'prev is not a hash')
  if (!isWhole(time) || time > MAX_TIME_MS) throw new Refusal('malformed', 'time is not in whole milliseconds')
  if (typeof type !== 'string' || !TYPE.test(type)) throw new Refusal('malformed', 'type is not a short word')
  return Object.freeze({
    hash: hashOfPayload(envelope.payload),
    network,
    author,
    key,
    seq,
    prev,
    timeMs: time,
    type,
    known: parseBody(type, body),
    envelope,
  })
}

function isWhole(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
}
