import { hash } from 'node:crypto'
import type { Decision } from '../base/decisions.ts'

/** The `prev` of the very first entry. */
export const ZERO_HASH = '0'.repeat(64)
/** What follows the hashed bytes of a line: `,"hash":"`, 64 hex digits, `"}`. */
const TAIL_BYTES = ',"hash":"'.length + 64 + '"}'.length
/** Longer than any entry within the limits below can be. */
export const MAX_LINE_BYTES = 16 * 1024
/** A name, an address or a path with room to spare; the rest of a subject or reason tells a reader nothing. */
const MAX_TEXT = 500
/** Peer ids have 52 letters. */
const MAX_BY = 100
const MAX_WORD = 40
const MAX_DETAIL_BYTES = 2048
const MAX_DETAIL_KEYS = 32

/** An entry before it has its place in the chain. */
export interface Draft {
  readonly timeMs: number
  readonly what: string
  readonly outcome: string
  readonly by: string | null
  readonly subject: string
  readonly reason?: string
  readonly detail?: Readonly<Record<string, string | number | boolean | null>>
  /** So many equal decisions that this line stands for. */
  readonly count?: number
}

/** A line of the audit log. */
export interface AuditEntry extends Omit<Draft, 'timeMs'> {
  /** Counts from 1, without a gap. */
  readonly seq: number
  /** ISO 8601. */
  readonly time: string
  /** Hash of the entry before; zeros for the first. */
  readonly prev: string
  /** SHA-256, in hex, of the line's bytes before `,"hash"`. */
  readonly hash: string
}

/** The draft of a decision: its texts cut to their limits, and freed of what acts on a terminal. Never throws. */
export function draftOf(decision: Decision & { readonly count?: number }, timeMs: number): Draft {
  const { what, outcome, by, subject, reason, detail, count } = decision
  return {
    timeMs,
    what: cleanText(what, MAX_WORD),
    outcome: cleanText(outcome, MAX_WORD),
    by: by === null ? null : cleanText(by, MAX_BY),
    subject: cleanText(subject, MAX_TEXT),
    ...(reason === undefined ? {} : { reason: cleanText(reason, MAX_TEXT) }),
    ...(detail === undefined ? {} : { detail: cleanDetail(detail) }),
    ...(count === undefined ? {} : { count }),
  }
}

/** About as many bytes as the draft takes in memory and in the file. */
export function weightOf({ subject, reason, detail }: Draft): number {
  return 300 + subject.length + (reason?.length ?? 0) + (detail === undefined ? 0 : MAX_DETAIL_BYTES / 8)
}

/** The line of an entry, without its line end, and its hash. */
export function encodeLine(
  { timeMs, what, outcome, by, subject, reason, detail, count }: Draft,
  { seq, prev }: { seq: number; prev: string },
): { line: string; hash: string } {
  const time = new Date(timeMs).toISOString()
  const body = JSON.stringify({ seq, time, prev, what, outcome, by, subject, reason, detail, count }).slice(0, -1)
  const digest = hash('sha256', body)
  return { line: `${body},"hash":"${digest}"}`, hash: digest }
}

/** The entry of a line without its line end; or why the line is not what was once written. */
export function decodeLine(line: Uint8Array): AuditEntry | { readonly fault: string } {
  if (line.length > MAX_LINE_BYTES) return { fault: `it is ${line.length} bytes long` }
  const bytes = Buffer.from(line.buffer, line.byteOffset, line.byteLength)
  const tail = /^,"hash":"([0-9a-f]{64})"\}$/.exec(bytes.subarray(-TAIL_BYTES).toString('latin1'))
  if (tail === null) return { fault: 'it does not end with a hash' }
  if (hash('sha256', bytes.subarray(0, -TAIL_BYTES)) !== tail[1])
    return { fault: 'its hash is not that of its content' }
  try {
    const entry: unknown = JSON.parse(bytes.toString('utf8'))
    return isEntry(entry) ? entry : { fault: 'its fields are not those of an entry' }
  } catch {
    return { fault: 'it is not JSON' }
  }
}

/** The number of a line by its first bytes, unverified; undefined where there is none. */
export function peekSeq(line: Uint8Array): number | undefined {
  const found = /^\{"seq":(\d{1,15}),/.exec(Buffer.from(line.subarray(0, 32)).toString('latin1'))
  return found === null ? undefined : Number(found[1])
}

function isEntry(value: unknown): value is AuditEntry {
  if (typeof value !== 'object' || value === null) return false
  const { seq, time, prev, what, outcome, by, subject, reason, detail, count } = value as Record<string, unknown>
  return (
    Number.isSafeInteger(seq) &&
    (seq as number) > 0 &&
    [time, prev, what, outcome, subject].every((each) => typeof each === 'string') &&
    !Number.isNaN(Date.parse(time as string)) &&
    (by === null || typeof by === 'string') &&
    (reason === undefined || typeof reason === 'string') &&
    (detail === undefined || isDetail(detail)) &&
    (count === undefined || Number.isSafeInteger(count))
  )
}

function isDetail(value: unknown): boolean {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false
  return Object.values(value).every((each) => each === null || ['string', 'number', 'boolean'].includes(typeof each))
}

/** Control characters, and what turns the direction of text round (Unicode TR 9). */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is taken out
const UNPRINTABLE = /[\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]/g

/** Most texts are plain ASCII, which one look tells. */
const UNPLAIN = /[^\u0020-\u007e]/

function cleanText(value: unknown, maxLength: number): string {
  const text = String(value)
  if (text.length <= maxLength && !UNPLAIN.test(text)) return text
  const cut = text.length > maxLength ? `${text.slice(0, maxLength - 1).replace(/[\ud800-\udbff]$/, '')}…` : text
  return cut
    .replaceAll(/[\t\n]/g, ' ')
    .replaceAll(UNPRINTABLE, '\ufffd')
    .toWellFormed()
}

function cleanDetail(detail: Readonly<Record<string, unknown>>): Record<string, string | number | boolean | null> {
  const kept: Record<string, string | number | boolean | null> = {}
  // A literal {"cut":true} and the braces.
  let bytes = 16
  for (const [name, value] of Object.entries(detail)) {
    if (value === undefined) continue
    const key = cleanText(name, MAX_WORD)
    const clean = cleanValue(value)
    bytes += Buffer.byteLength(JSON.stringify(key)) + Buffer.byteLength(JSON.stringify(clean)) + 2
    if (bytes > MAX_DETAIL_BYTES || Object.keys(kept).length >= MAX_DETAIL_KEYS || key === '__proto__') {
      kept.cut = true
      break
    }
    kept[key] = clean
  }
  return kept
}

function cleanValue(value: unknown): string | number | boolean | null {
  if (value === null || typeof value === 'boolean') return value
  if (typeof value === 'number') return Number.isFinite(value) ? value : null
  return cleanText(value, MAX_TEXT)
}
