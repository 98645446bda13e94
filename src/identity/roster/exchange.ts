import { ROOT_AUTHOR } from './constants.ts'
import type { Evaluation, Head } from './evaluate.ts'
import type { StatementSet, Verified } from './statement-set.ts'

/**
 * The heads to say in an exchange. While something that the checkpoint names is missing, none but the root's: whose
 * log it is from is not known, so everything is asked for.
 */
export function headsToSay({ statements, evaluation }: { statements: StatementSet; evaluation: Evaluation }): Head[] {
  const isWhole = statements.missingLive().length === 0
  return evaluation.heads.filter(({ author }) => isWhole || author === ROOT_AUTHOR)
}

/** See `SignedHeads.missing`. What checkpoints name is given as of the root, at place 0. */
export function missingHeads(
  heads: readonly Head[],
  { statements, evaluation }: { statements: StatementSet; evaluation: Evaluation },
): Head[] {
  const missing = new Map(
    statements.missingLive().map((hash): [string, Head] => [hash, { author: ROOT_AUTHOR, seq: 0, hash }]),
  )
  const known = new Set([...evaluation.sets.values()].flatMap(({ admins }) => [...admins.keys()]))
  for (const head of heads) {
    const isSettled =
      statements.isCovered(head) || (head.author === ROOT_AUTHOR && head.seq <= (statements.base?.seq ?? 0))
    const isHere = head.seq === 0 || statements.get(head.hash) !== undefined || isSettled
    // Whoever is no admin any more has no log that goes on: what is beyond its cut-off does not count.
    const hasLeft = known.has(head.author) && !evaluation.state.admins.has(head.author)
    if (!isHere && !hasLeft) missing.set(head.hash, head)
  }
  return [...missing.values()]
}

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
    const frontier = statements.frontierOf(author)
    const isAtFrontier = head.hash === frontier?.hash
    if (isAtFrontier || statements.get(head.hash)?.author === author) {
      const line = statements.lineOf(head.hash)
      // A head from the frontier on says that all below is there.
      const isBeyond = isAtFrontier || head.seq > (frontier?.seq ?? 0)
      return all.filter((statement) => !line.has(statement.hash) && !(isBeyond && statements.isCovered(statement)))
    }
    // An unknown head at a place that this node has is a fork, or its checkpoint did away with it; beyond, they are
    // ahead, and will send what shows the rest.
    const isForked = all.some(({ seq }) => seq === head.seq) || statements.isCovered(head)
    return isForked ? all : all.filter(({ seq }) => seq > head.seq)
  })
}

/** First the root, whose checkpoint says what else exists; then those whose admission came first, so that a reader knows an author's key before its statements. */
function authorsByAdmission(statements: StatementSet, { sets }: Evaluation): string[] {
  const admission = new Map<string, number>([[ROOT_AUTHOR, 0]])
  for (const { version, admins } of sets.values()) {
    for (const id of admins.keys()) admission.set(id, Math.min(version, admission.get(id) ?? version))
  }
  const late = Number.MAX_SAFE_INTEGER
  return statements.authors().sort((a, b) => (admission.get(a) ?? late) - (admission.get(b) ?? late))
}
