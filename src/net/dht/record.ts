import { createHash } from 'node:crypto'
import {
  decodeEnvelope,
  encodeEnvelope,
  peerIdOf,
  publicKeyOfPeer,
  type Signer,
  sealEnvelope,
  signersOf,
} from '../../identity/index.ts'
import { dhtErrors } from './errors.ts'
import {
  MAX_CLOCK_SKEW_MS,
  MAX_RECORD_BYTES,
  MAX_RECORD_KEY_LETTERS,
  MAX_RECORD_TTL_MS,
  MAX_SEQUENCE_AHEAD_MS,
} from './limits.ts'
import type { DhtRecord } from './types.ts'

const PAYLOAD_TYPE = 'application/vnd.warren.dht-record+json'
const KEY = /^\/warren\/[\x21-\x7e]+$/
/** Keys that belong to the node which they name. */
const NODE_KEY = /^\/warren\/node\/([^/]+)(?:\/|$)/

/** Whose word counts, and when. */
export interface RecordRules {
  readonly isMember: (peer: string) => boolean
  readonly nowMs: number
}

/** The signed bytes of a record. Fails with `dht_record_invalid` where nobody would take it. */
export function sealRecord(record: Omit<DhtRecord, 'author'>, signer: Signer, nowMs: number): Buffer {
  const author = peerIdOf(signer.publicKey)
  const { key, value, sequence, expiresMs } = record
  const payload = Buffer.from(
    JSON.stringify({
      format: 1,
      key,
      author,
      sequence,
      expires_ms: expiresMs,
      value: Buffer.from(value).toString('base64'),
    }),
  )
  const bytes = encodeEnvelope(sealEnvelope({ payloadType: PAYLOAD_TYPE, payload, signers: [signer] }))
  checkRecord(key, bytes, { isMember: (peer) => peer === author, nowMs })
  return bytes
}

/**
 * The record in bytes from anywhere, for the key under which they came. Fails with `dht_record_invalid` unless it is at
 * most 16 KiB long, of its form, of that key, in its time, and signed by a member that may write there.
 */
export function checkRecord(key: string, bytes: Uint8Array, { isMember, nowMs }: RecordRules): DhtRecord {
  const record = parseRecord(bytes)
  if (key.length > MAX_RECORD_KEY_LETTERS || !KEY.test(key)) throw invalid(`${JSON.stringify(key)} is no key`)
  if (record.key !== key) throw invalid(`it is of ${record.key}, not of ${key}`)
  const owner = NODE_KEY.exec(key)?.[1]
  if (owner !== undefined && owner !== record.author) throw invalid(`${key} is for ${owner} alone`)
  if (!isMember(record.author)) throw invalid(`${record.author}, who signed it, is no member`)
  if (record.expiresMs <= nowMs) throw invalid(`it has expired at ${new Date(record.expiresMs).toISOString()}`)
  if (record.expiresMs > nowMs + MAX_RECORD_TTL_MS + MAX_CLOCK_SKEW_MS) throw invalid('it expires too late')
  if (record.sequence > nowMs + MAX_SEQUENCE_AHEAD_MS) throw invalid(`its sequence ${record.sequence} is too high`)
  return record
}

/** As `checkRecord`, but of the record alone: form and signature, whoever its author, whatever the time. */
export function parseRecord(bytes: Uint8Array): DhtRecord {
  const envelope = readEnvelope(bytes)
  const record = parsePayload(envelope.payload)
  const publicKey = publicKeyOfPeer(record.author)
  if (publicKey === undefined) throw invalid(`its author ${JSON.stringify(record.author)} is no peer id`)
  if (envelope.signatures.length !== 1) throw invalid(`it has ${envelope.signatures.length} signatures, not one`)
  if (signersOf(envelope, [publicKey]).length === 0) throw invalid('it is not signed by its author')
  return record
}

/**
 * The place of the best among records: the highest sequence, of these the one that expires last, of these the lowest
 * hash. What does not parse never is; -1 where none does.
 */
export function selectRecord(records: readonly Uint8Array[]): number {
  let best: { at: number; record: DhtRecord; hash: string } | undefined
  for (const [at, bytes] of records.entries()) {
    const record = tryParse(bytes)
    if (record === undefined) continue
    const candidate = { at, record, hash: createHash('sha256').update(bytes).digest('hex') }
    if (best === undefined || isBetter(candidate, best)) best = candidate
  }
  return best?.at ?? -1
}

interface Candidate {
  readonly record: DhtRecord
  readonly hash: string
}

function isBetter(a: Candidate, b: Candidate): boolean {
  if (a.record.sequence !== b.record.sequence) return a.record.sequence > b.record.sequence
  // A record that was renewed is the same record with another end.
  if (a.record.expiresMs !== b.record.expiresMs) return a.record.expiresMs > b.record.expiresMs
  return a.hash < b.hash
}

function tryParse(bytes: Uint8Array): DhtRecord | undefined {
  try {
    return parseRecord(bytes)
  } catch {
    return undefined
  }
}

function readEnvelope(bytes: Uint8Array) {
  try {
    return decodeEnvelope(bytes, { payloadType: PAYLOAD_TYPE, maxBytes: MAX_RECORD_BYTES })
  } catch (cause) {
    throw invalid((cause as Error).message, cause)
  }
}

function parsePayload(payload: Uint8Array): DhtRecord {
  let fields: unknown
  try {
    fields = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(payload))
  } catch (cause) {
    throw invalid('its payload is not JSON', cause)
  }
  const { format, key, author, sequence, expires_ms, value } = (fields ?? {}) as Record<string, unknown>
  if (format !== 1) throw invalid(`its format is ${JSON.stringify(format)}, not 1`)
  if (typeof key !== 'string' || typeof author !== 'string') throw invalid('it names no key or no author')
  if (!isCount(sequence) || !isCount(expires_ms)) throw invalid('its sequence or end is no whole number')
  if (typeof value !== 'string') throw invalid('it has no value')
  const bytes = Buffer.from(value, 'base64')
  if (bytes.toString('base64') !== value) throw invalid('its value is not base64')
  return { key, author, sequence, expiresMs: expires_ms, value: new Uint8Array(bytes) }
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}

function invalid(what: string, cause?: unknown): Error {
  return dhtErrors.dht_record_invalid(`the record is not valid: ${what}`, { cause })
}
