import { ByteReader } from '../../base/byte-reader.ts'
import { transferErrors } from '../errors.ts'
import type { Run } from '../layout.ts'
import { MAX_ASK_RUNS } from './constants.ts'

/** How bytes are sent: as they are, or compressed with Zstandard (RFC 8878) where that is shorter. */
export type Encoding = 'raw' | 'zstd'

/** What a node asks. `id` is the asker's own number for the request, unique on its stream. */
export type Ask =
  | { readonly kind: 'header'; readonly id: number; readonly digest: string }
  | { readonly kind: 'chunks'; readonly id: number; readonly digest: string; readonly runs: readonly Run[] }
  /** A question of a later release. */
  | { readonly kind: 'unknown'; readonly id: number }

export type RefusalReason = 'not_found' | 'not_allowed' | 'busy' | 'invalid' | 'unsupported'

/** What it is answered. */
export type Answer =
  | {
      readonly kind: 'header'
      readonly id: number
      readonly record: Uint8Array
      readonly manifest: Uint8Array
      /** Empty: unsigned. */
      readonly signature: Uint8Array
      readonly encoding: Encoding
      /** Bytes of the index, and bytes as it follows in `index` messages. */
      readonly indexBytes: number
      readonly encodedBytes: number
    }
  | { readonly kind: 'index'; readonly id: number; readonly bytes: Uint8Array }
  | {
      readonly kind: 'chunks'
      readonly id: number
      readonly run: Run
      readonly encoding: Encoding
      readonly bytes: Uint8Array
    }
  | { readonly kind: 'absent'; readonly id: number; readonly run: Run }
  | { readonly kind: 'refused'; readonly id: number; readonly reason: RefusalReason }

const ASK_HEADER = 0x01
const ASK_CHUNKS = 0x02
const ANSWER_HEADER = 0x81
const ANSWER_INDEX = 0x82
const ANSWER_CHUNKS = 0x83
const ANSWER_ABSENT = 0x84
const ANSWER_REFUSED = 0x85

const ENCODINGS: readonly Encoding[] = ['raw', 'zstd']
const REASONS: readonly RefusalReason[] = ['not_found', 'not_allowed', 'busy', 'invalid', 'unsupported']

/** The bytes of a question. */
export function encodeAsk(ask: Exclude<Ask, { kind: 'unknown' }>): Buffer {
  const digest = Buffer.from(ask.digest, 'hex')
  if (ask.kind === 'header') return Buffer.concat([head(ASK_HEADER, ask.id), digest])
  return Buffer.concat([head(ASK_CHUNKS, ask.id), digest, ...ask.runs.map(encodeRun)])
}

/** Reads a question from anyone. Fails with `transfer_malformed`. */
export function decodeAsk(bytes: Uint8Array): Ask {
  const reader = new Reader(bytes)
  const type = reader.byte()
  const id = reader.number()
  if (type !== ASK_HEADER && type !== ASK_CHUNKS) return { kind: 'unknown', id }
  const digest = reader.take(32).toString('hex')
  if (type === ASK_HEADER) {
    reader.end()
    return { kind: 'header', id, digest }
  }
  const runs: Run[] = []
  while (reader.left > 0 && runs.length < MAX_ASK_RUNS) runs.push(reader.run())
  reader.end()
  if (runs.length === 0) throw broken('a question for no chunks')
  return { kind: 'chunks', id, digest, runs }
}

/** The bytes of an answer, in pieces, so that content is not copied. */
export function encodeAnswer(answer: Answer): Uint8Array[] {
  switch (answer.kind) {
    case 'header':
      return [
        head(ANSWER_HEADER, answer.id),
        Buffer.of(ENCODINGS.indexOf(answer.encoding)),
        number(answer.indexBytes),
        number(answer.encodedBytes),
        ...[answer.record, answer.manifest, answer.signature].flatMap((part) => [number(part.length), part]),
      ]
    case 'index':
      return [head(ANSWER_INDEX, answer.id), answer.bytes]
    case 'chunks':
      return [
        head(ANSWER_CHUNKS, answer.id),
        encodeRun(answer.run),
        Buffer.of(ENCODINGS.indexOf(answer.encoding)),
        answer.bytes,
      ]
    case 'absent':
      return [head(ANSWER_ABSENT, answer.id), encodeRun(answer.run)]
    case 'refused':
      return [head(ANSWER_REFUSED, answer.id), Buffer.of(REASONS.indexOf(answer.reason))]
  }
}

/** Reads an answer from anyone. Fails with `transfer_malformed`. */
export function decodeAnswer(bytes: Uint8Array): Answer {
  const reader = new Reader(bytes)
  const type = reader.byte()
  const id = reader.number()
  switch (type) {
    case ANSWER_HEADER: {
      const encoding = reader.oneOf(ENCODINGS)
      const indexBytes = reader.number()
      const encodedBytes = reader.number()
      const [record, manifest, signature] = [reader.part(), reader.part(), reader.part()]
      reader.end()
      return { kind: 'header', id, encoding, indexBytes, encodedBytes, record, manifest, signature }
    }
    case ANSWER_INDEX:
      return { kind: 'index', id, bytes: reader.rest() }
    case ANSWER_CHUNKS:
      return { kind: 'chunks', id, run: reader.run(), encoding: reader.oneOf(ENCODINGS), bytes: reader.rest() }
    case ANSWER_ABSENT: {
      const run = reader.run()
      reader.end()
      return { kind: 'absent', id, run }
    }
    case ANSWER_REFUSED: {
      const reason = reader.oneOf(REASONS)
      reader.end()
      return { kind: 'refused', id, reason }
    }
    default:
      throw broken(`an answer of the unknown type ${type}`)
  }
}

function head(type: number, id: number): Buffer {
  const bytes = Buffer.alloc(5)
  bytes.writeUInt8(type)
  bytes.writeUInt32BE(id, 1)
  return bytes
}

function number(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}

function encodeRun({ first, count }: Run): Buffer {
  return Buffer.concat([number(first), number(count)])
}

class Reader extends ByteReader {
  constructor(bytes: Uint8Array) {
    super(bytes, () => broken('a message that is cut short'))
  }
  rest(): Buffer {
    return this.take(this.left)
  }
  byte(): number {
    return this.unsigned(1)
  }
  number(): number {
    return this.unsigned(4)
  }
  part(): Buffer {
    return this.take(this.number())
  }
  run(): Run {
    const run = { first: this.number(), count: this.number() }
    if (run.count === 0) throw broken('a run of no chunks')
    return run
  }
  oneOf<T>(values: readonly T[]): T {
    const value = values[this.byte()]
    if (value === undefined) throw broken('a message with an unknown value')
    return value
  }
  end(): void {
    if (this.left > 0) throw broken(`a message with ${this.left} bytes too many`)
  }
}

function broken(what: string): Error {
  return transferErrors.transfer_malformed(`the other node sent ${what}`)
}
