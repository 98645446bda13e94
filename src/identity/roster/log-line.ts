import type { StatementSet, Verified } from './statement-set.ts'

/** The part of an author's log that is accepted. */
export interface LogLine {
  readonly accepted: readonly Verified[]
  /** Place of the first fork that no cut-off settles. */
  readonly forkedAt: number | undefined
}

/**
 * Follows an author's log from its start: up to a cut-off, and up to a fork, where nobody can tell which of the two
 * entries the admin meant. A cut-off whose entry is known picks one branch, and so settles the fork.
 */
export function readLog(
  author: string,
  {
    networkId,
    statements,
    isCut,
  }: { networkId: string; statements: StatementSet; isCut: (statement: Verified) => boolean },
): LogLine {
  const accepted: Verified[] = []
  let prev = networkId
  for (;;) {
    const next = statements.after(author, prev).filter((statement) => !isCut(statement))
    const [only] = next
    if (only === undefined) return { accepted, forkedAt: undefined }
    if (next.length > 1) return { accepted, forkedAt: only.seq }
    accepted.push(only)
    prev = only.hash
  }
}
