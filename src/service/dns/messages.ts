import type { DecodedPacket, Packet, Question, SoaAnswer } from 'dns-packet'
import { type Found, FRESH_MS } from './zone.ts'

/** Of the library, loaded when the resolver is switched on. */
export type Codec = typeof import('dns-packet')

/** RFC 1035, 4.1.1. */
const CODES = { NOERROR: 0, FORMERR: 1, SERVFAIL: 2, NXDOMAIN: 3, NOTIMP: 4, REFUSED: 5 } as const
type Code = keyof typeof CODES

const HEADER_BYTES = 12
/** Longest query taken; real ones have one name and a few options. */
export const MAX_QUERY_BYTES = 4096
/** Bit of the header that marks an answer. */
const ANSWER_BIT = 0x80
/** What this server says that it takes over UDP (DNS flag day 2020). */
const UDP_BYTES = 1232
/** A name that is not there now may be there soon: a service that is just exposed. */
const UNKNOWN_SECONDS = 5

const SOA: SoaAnswer = {
  name: 'warren',
  type: 'SOA',
  ttl: UNKNOWN_SECONDS,
  data: {
    mname: 'localhost',
    rname: 'nobody.invalid',
    serial: 1,
    refresh: 3600,
    retry: 600,
    expire: 86_400,
    minimum: UNKNOWN_SECONDS,
  },
}

/**
 * The answer to a query (RFC 1035; authoritative, for one question of class IN). Undefined where none is due: for bytes
 * without a header, and for answers. Whatever is in the bytes, it never throws.
 */
export async function answerQuery(
  codec: Codec,
  bytes: Buffer,
  find: (labels: readonly string[]) => Promise<Found>,
): Promise<Buffer | undefined> {
  if (bytes.length < HEADER_BYTES || ((bytes[2] as number) & ANSWER_BIT) !== 0) return undefined
  let query: DecodedPacket
  try {
    query = codec.decode(bytes)
  } catch {
    return codec.encode({ id: bytes.readUInt16BE(0), type: 'response', flags: CODES.FORMERR })
  }
  const make = (code: Code, more: Packet = {}): Buffer =>
    codec.encode({
      id: query.id ?? 0,
      type: 'response',
      flags: CODES[code] | codec.AUTHORITATIVE_ANSWER | ((query.flags ?? 0) & codec.RECURSION_DESIRED),
      questions: query.questions ?? [],
      additionals: hasOptions(query)
        ? [
            {
              type: 'OPT',
              name: '.',
              udpPayloadSize: UDP_BYTES,
              flags: 0,
              options: [],
              extendedRcode: 0,
              ednsVersion: 0,
              flag_do: false,
            },
          ]
        : [],
      ...more,
    })
  try {
    const [question] = query.questions ?? []
    if ((query as { opcode?: string }).opcode !== 'QUERY') return make('NOTIMP')
    if (question === undefined || query.questions?.length !== 1) return make('FORMERR', { questions: [] })
    const labels = question.name.toLowerCase().replace(/\.$/, '').split('.')
    if (labels.pop() !== 'warren' || (question.class ?? 'IN') !== 'IN') return make('REFUSED')
    if (labels.length === 0) return make('NOERROR', { authorities: [SOA] })
    const found = await find(labels)
    if (found === 'failed') return make('SERVFAIL')
    if (found === 'unknown') return make('NXDOMAIN', { authorities: [SOA] })
    return make('NOERROR', recordsFor(question, found.address))
  } catch {
    // A name that can be read but not written, or a question of a type that the library does not know.
    return codec.encode({ id: bytes.readUInt16BE(0), type: 'response', flags: CODES.SERVFAIL })
  }
}

function recordsFor({ name, type }: Question, address: string): Packet {
  if (!['A', 'ANY'].includes(type)) return { authorities: [SOA] }
  return { answers: [{ type: 'A', name, ttl: FRESH_MS / 1000, data: address }] }
}

function hasOptions({ additionals }: DecodedPacket): boolean {
  return (additionals ?? []).some(({ type }) => type === 'OPT')
}
