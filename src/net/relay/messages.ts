import { isIP } from 'node:net'
import type { Duplex } from 'node:stream'
import { z } from 'zod'
import { publicKeyOfPeer } from '../../identity/index.ts'
import { netErrors } from '../errors.ts'
import { readMessage } from '../frames.ts'
import { HEAD_BYTES, MAX_BEAT_MS, MAX_RESERVATION_MS, MAX_SEEN, MIN_BEAT_MS } from './constants.ts'

const peer = z
  .string()
  .max(128)
  .refine((text) => publicKeyOfPeer(text) !== undefined, 'must be a peer id')
const number = z.number().min(0).max(Number.MAX_SAFE_INTEGER)
/** A time that no relay means, and no calendar has, is none. */
const expires = z.number().min(0).max(MAX_RESERVATION_MS)
const code = z.string().regex(/^[a-z_]{1,64}$/)
/** Shown to people: no longer than a line or two, and nothing that moves a cursor. */
const message = z
  .string()
  .max(512)
  .transform((text) => text.replaceAll(/[^\x20-\x7e]/g, ' '))
const beat = z.int().min(MIN_BEAT_MS).max(MAX_BEAT_MS)
const refusal = z.object({ ok: z.literal(false), code, message })
const circuit = z.string().regex(/^[0-9a-f]{16}$/)
/** The IP addresses at which the relay sees the other end; a relay of an earlier release says none. */
const seen = z
  .array(
    z
      .string()
      .max(45)
      .refine((host) => isIP(host) !== 0, 'must be an IP address'),
  )
  .max(MAX_SEEN)
  .default([])

/** What a circuit may carry: bytes both ways together, and milliseconds; 0 is no limit. */
const circuitLimits = z.object({ bytes: number, ms: number })
export type CircuitLimits = z.output<typeof circuitLimits>

/** First message on a stream to a relay. */
export const requestHead = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('reserve'), beat_ms: beat }),
  z.object({ kind: z.literal('connect'), peer }),
])
export type RequestHead = z.output<typeof requestHead>

/** The answer to `reserve`. */
export const reserveAnswer = z.discriminatedUnion('ok', [
  z.object({
    ok: z.literal(true),
    expires_ms: expires,
    /** Multiaddr from which the relay sees the client. */
    address: z.string().max(512).nullable(),
    limits: circuitLimits,
  }),
  refusal,
])
export type Reservation = Extract<z.output<typeof reserveAnswer>, { ok: true }>

/** What a client says on its reservation. */
export const clientWord = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('beat'), seq: z.int().min(0), beat_ms: beat, renew: z.boolean() }),
  z.object({ kind: z.literal('end'), code, message }),
])
export type ClientWord = z.output<typeof clientWord>

/** What a relay says on a reservation. */
export const relayWord = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('beat'), seq: z.int().min(0), expires_ms: expires }),
  z.object({ kind: z.literal('end'), code, message }),
])
export type RelayWord = z.output<typeof relayWord>

/** The answer to `connect`; after a good one come the bytes of the circuit. */
export const connectAnswer = z.discriminatedUnion('ok', [
  z.object({ ok: z.literal(true), circuit, limits: circuitLimits, seen }),
  refusal,
])

/** First message on a stream of a relay: a circuit, a stranger that asks for admission, or why a circuit ended. */
export const stopHead = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('stop'), peer, circuit, limits: circuitLimits, seen }),
  z.object({ kind: z.literal('passage'), peer }),
  z.object({ kind: z.literal('ended'), circuit, code, message }),
])
export type StopHead = z.output<typeof stopHead>

/** The answer to `stop`; after a good one come the bytes of the circuit. */
export const stopAnswer = z.discriminatedUnion('ok', [z.object({ ok: z.literal(true) }), refusal])

/**
 * The next head of a stream. Fails with `message_too_large`, `message_incomplete` and `message_malformed`; what follows
 * the head stays in the stream.
 */
export async function readHead<S extends z.ZodType>(
  stream: Duplex,
  schema: S,
  signal: AbortSignal | undefined,
): Promise<z.output<S>> {
  const bytes = await readMessage(stream, { maxBytes: HEAD_BYTES, signal })
  if (bytes === undefined) throw netErrors.message_incomplete('the stream ended before a message of the relay protocol')
  return parseHead(bytes, schema)
}

/** Fails with `message_malformed`. */
export function parseHead<S extends z.ZodType>(bytes: Uint8Array, schema: S): z.output<S> {
  try {
    return schema.parse(JSON.parse(Buffer.from(bytes).toString('utf8')))
  } catch (cause) {
    throw netErrors.message_malformed('a message of the relay protocol is not of the form that it must have', { cause })
  }
}
