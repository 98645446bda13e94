import type { Evaluation, Head } from './evaluate.ts'
import type { StatementSet, Verified } from './statement-set.ts'

/** See `Roster.entriesAfter`. */
export function statementsAfter(
  heads: readonly Head[],
  { statements, evaluation }: { statements: StatementSet; evaluation: Evaluation },
): Verified[] {
  const theirs = new Map(heads.map((head) => [head.author, head]))
  return authorsByAdmission(statements, evaluation).flatMap((author) => {
    const all = statements.ofAuthor(author)
    const head = theirs.get(author)
    if (head === undefined) return all
    if (statements.get(head.hash)?.author === author) {
      const line = statements.lineOf(head.hash)
      return all.filter(({ hash }) => !line.has(hash))
    }
    // An unknown head at a place that this node has is a fork; beyond, they are ahead, and will send what shows the rest.
    const isForked = all.some(({ seq }) => seq === head.seq)
    return isForked ? all : all.filter(({ seq }) => seq > head.seq)
  })
}

/** First those whose admission came first, so that a reader knows an author's key before its statements. */
function authorsByAdmission(statements: StatementSet, { sets }: Evaluation): string[] {
  const admission = new Map<string, number>()
  for (const { version, admins } of sets.values()) {
    for (const id of admins.keys()) admission.set(id, Math.min(version, admission.get(id) ?? version))
  }
  return statements.authors().sort((a, b) => (admission.get(a) ?? 0) - (admission.get(b) ?? 0))
}
