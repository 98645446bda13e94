import { type AuditEntry, decodeLine } from './entry.ts'
import { blocksOf, firstEntryOf, type Snapshot } from './log-files.ts'

export interface ReadAuditOptions {
  /** Only so many of the last entries. */
  readonly tail?: number | undefined
  /** Only entries after the one with this number; outranks `tail` and `sinceMs`. */
  readonly cursor?: number | undefined
  /** Only entries written at or after this time. */
  readonly sinceMs?: number | undefined
  readonly signal?: AbortSignal | undefined
}

/** Where to begin: behind entry `after`, at entries of `sinceMs` and later. */
interface Start {
  readonly after: number
  readonly sinceMs: number
}

/**
 * The entries of a snapshot in their order. Lines that are not whole are left out: `verify` names them. The snapshot
 * stays open. `liveFrom`: only what the live file holds from there on.
 */
export async function* readEntries(
  snapshot: Snapshot,
  lastSeq: number,
  options: ReadAuditOptions & { readonly liveFrom?: number | undefined },
): AsyncGenerator<AuditEntry> {
  const { tail, cursor, sinceMs = 0, signal, liveFrom } = options
  const start: Start =
    cursor === undefined ? { after: tail === undefined ? 0 : lastSeq - tail, sinceMs } : { after: cursor, sinceMs: 0 }
  const parts = liveFrom === undefined ? await partsFrom(snapshot, start) : snapshot.parts.slice(-1)
  for (const part of parts) {
    for await (const { lines } of blocksOf(part, liveFrom)) {
      for (const line of lines) {
        if (signal?.aborted) return
        const entry = decodeLine(line)
        if ('fault' in entry || entry.seq <= start.after || Date.parse(entry.time) < start.sinceMs) continue
        yield entry
      }
    }
  }
}

/** The parts that may hold entries behind the start: those before a part that begins before it hold none. */
async function partsFrom({ parts }: Snapshot, { after, sinceMs }: Start): Promise<Snapshot['parts']> {
  for (let index = parts.length - 1; index > 0; index--) {
    const first = await firstEntryOf(parts[index] as (typeof parts)[number])
    if (first !== undefined && first.seq <= after + 1 && after > 0) return parts.slice(index)
    // Clocks step back: one part more is read than the times ask for.
    if (first !== undefined && sinceMs > 0 && Date.parse(first.time) < sinceMs)
      return parts.slice(Math.max(0, index - 1))
  }
  return parts
}
