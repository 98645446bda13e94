import type { Place, StatementSet, Verified } from './statement-set.ts'

/** The part of an author's log that is accepted. */
export interface LogLine {
  readonly accepted: readonly Verified[]
  /** The last entry that is accepted, or covered by a checkpoint; undefined where there is none. */
  readonly head: Place | undefined
  /** Place of the first fork that no cut-off settles. */
  readonly forkedAt: number | undefined
}

/**
 * Follows an author's log from its start, or from where a checkpoint's frontier is: up to a cut-off, and up to a fork,
 * where nobody can tell which of the two entries the admin meant. A cut-off whose entry is known picks one branch, and
 * so settles the fork.
 */
export function readLog(
  author: string,
  {
    networkId,
    statements,
    isCut,
  }: { networkId: string; statements: StatementSet; isCut: (statement: Verified) => boolean },
): LogLine {
  const frontier = statements.frontierOf(author)
  const accepted =
    frontier === undefined
      ? []
      : statements.ofAuthor(author).filter((statement) => statements.isCovered(statement) && !isCut(statement))
  accepted.sort((a, b) => a.seq - b.seq || (a.hash < b.hash ? -1 : 1))
  let head: Place | undefined = frontier
  for (;;) {
    const next = statements
      .after(author, head?.hash ?? networkId)
      .filter((statement) => !statements.isCovered(statement) && !isCut(statement))
    const [only] = next
    if (only === undefined) return { accepted, head, forkedAt: undefined }
    if (next.length > 1) return { accepted, head, forkedAt: only.seq }
    accepted.push(only)
    head = { seq: only.seq, hash: only.hash }
  }
}
