/** The datagrams by which two sides find a way for UDP: short, and of nobody else. */
import { createHmac, timingSafeEqual } from 'node:crypto'

/** No STUN, DTLS nor QUIC datagram begins with it. */
const MAGIC = Buffer.from([0xd7, 0x57, 0x50, 0x31])
const CODE_BYTES = 16
const PACKET_BYTES = MAGIC.length + 1 + CODE_BYTES

/** `probe`: is there a way? `echo`: your probe came. `take`: let it be this one. */
export type ProbeKind = 'probe' | 'echo' | 'take'
const KINDS: readonly ProbeKind[] = ['probe', 'echo', 'take']

/** Which side of the attempt sends: the one that began it, or the other. */
export type Side = 'first' | 'second'

/** The key of an attempt's datagrams, from the nonces that the sides told each other in secret. */
export function probeKey(firstNonce: string, secondNonce: string): Buffer {
  return createHmac('sha256', 'warren punch 1').update(`${firstNonce} ${secondNonce}`).digest()
}

export function encodeProbe(kind: ProbeKind, side: Side, key: Buffer): Buffer {
  return Buffer.concat([MAGIC, Buffer.from([KINDS.indexOf(kind)]), codeOf(kind, side, key)])
}

/** What the other side sent; undefined for everything that is not a datagram of this attempt from `side`. */
export function decodeProbe(bytes: Uint8Array, side: Side, key: Buffer): ProbeKind | undefined {
  if (bytes.length !== PACKET_BYTES || !MAGIC.equals(bytes.subarray(0, MAGIC.length))) return undefined
  const kind = KINDS[bytes[MAGIC.length] as number]
  if (kind === undefined) return undefined
  return timingSafeEqual(bytes.subarray(MAGIC.length + 1), codeOf(kind, side, key)) ? kind : undefined
}

function codeOf(kind: ProbeKind, side: Side, key: Buffer): Buffer {
  return createHmac('sha256', key).update(`${side} ${kind}`).digest().subarray(0, CODE_BYTES)
}
