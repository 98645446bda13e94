import type { AdminSet } from './admin-sets.ts'
import { ROOT_AUTHOR } from './constants.ts'
import type { Statement } from './statement.ts'
import type { StatementSet, Verified } from './statement-set.ts'

/** An admin takes another's rights: what the target wrote beyond the cut-off is void. */
export interface Removal {
  readonly statement: Verified
  readonly from: string
  readonly target: string
  /** Last entry of the target's log that is accepted; seq 0 accepts none. */
  readonly cutOff: { readonly seq: number; readonly hash: string }
  /** True: out of the network for good. False: only out of the admin set. */
  readonly fromNetwork: boolean
}

/** Which removals hold, and what they cut. */
export interface Cuts {
  readonly removals: readonly Removal[]
  /** True where a removal that holds makes this statement void. */
  isCut(statement: Statement): boolean
  /** True where the key that signed it is an admin's, in a version of the admin set that is not cut. */
  isByAdmin(statement: Verified): boolean
  /** Versions of the admin set that nothing cuts, nor any before them. */
  readonly validSets: ReadonlySet<AdminSet>
}

/**
 * Finds the removals that hold. A removal is itself void beyond its author's cut-off, with one exception: two admins
 * that remove each other are both out. Where removals cut each other in a ring, all of them hold. The answer depends
 * on the set of statements only, never on their order.
 */
export function evaluateRemovals(statements: StatementSet, sets: ReadonlyMap<string, AdminSet>): Cuts {
  const all = findRemovals(statements, sets)
  const isWithin = createWithin(statements)
  const holding = (assumed: readonly Removal[]): Removal[] => {
    const cuts = createCuts(assumed, { sets, isWithin })
    return all.filter(
      (removal) => cuts.isByAdmin(removal.statement) && !cuts.cutsFor(removal.statement, removal.target),
    )
  }
  // Alternating fixpoint: `holding` turns more removals into fewer, so each round narrows what may hold from above.
  let possible = all
  for (;;) {
    const certain = holding(possible)
    const next = holding(certain)
    if (next.length === possible.length) break
    possible = next
  }
  const { cutsFor, isByAdmin, validSets } = createCuts(possible, { sets, isWithin })
  return { removals: possible, isCut: (statement) => cutsFor(statement), isByAdmin, validSets }
}

/** Removals of ids that are or were admins; removing anyone else cuts nothing. */
function findRemovals(statements: StatementSet, sets: ReadonlyMap<string, AdminSet>): Removal[] {
  const everAdmin = new Set([...sets.values()].flatMap((set) => [...set.admins.keys()]))
  const removals: Removal[] = []
  for (const statement of statements.ofType('node-remove')) {
    if (statement.known?.type !== 'node-remove' || statement.author === ROOT_AUTHOR) continue
    const { id: target, last } = statement.known.body
    if (!everAdmin.has(target)) continue
    const cutOff = last ?? { seq: 0, hash: statement.network }
    removals.push({ statement, from: statement.author, target, cutOff, fromNetwork: true })
  }
  for (const { statement } of sets.values()) {
    if (statement?.known?.type !== 'admins') continue
    for (const { id: target, seq, hash } of statement.known.body.removed) {
      removals.push({ statement, from: statement.author, target, cutOff: { seq, hash }, fromNetwork: false })
    }
  }
  return removals
}

type Within = (statement: Statement, cutOff: Removal['cutOff']) => boolean

/**
 * Whether a statement lies on the line that ends at the cut-off. While the entry named there has not arrived, whatever
 * stands at a lower place counts. What a checkpoint covers is one line, of which only places are known.
 */
function createWithin(statements: StatementSet): Within {
  const isOnLine = createIsOnLine(statements)
  return (statement, { seq, hash }) => {
    if (statements.isCovered(statement)) return statement.seq <= seq
    if (statements.isCovered({ author: statement.author, seq })) return false
    const last = statements.get(hash)
    if (last?.author !== statement.author || last.seq !== seq) return statement.seq < seq
    return isOnLine(statement, last)
  }
}

/** Whether an entry of a log is another one or stands before it: by the span of numbers of all that follows each. */
function createIsOnLine(statements: StatementSet): (statement: Statement, last: Statement) => boolean {
  const spans = new Map<string, { first: number; last: number }>()
  const numbered = new Set<string>()
  const number = (author: string): void => {
    numbered.add(author)
    let count = 0
    for (const start of statements.ofAuthor(author)) {
      if (statements.get(start.prev)?.author === author) continue
      const open = [{ statement: start, isDone: false }]
      for (let at = open.pop(); at !== undefined; at = open.pop()) {
        const { hash } = at.statement
        if (at.isDone) (spans.get(hash) as { last: number }).last = count
        else {
          spans.set(hash, { first: ++count, last: count })
          open.push({ ...at, isDone: true })
          for (const next of statements.after(author, hash)) open.push({ statement: next, isDone: false })
        }
      }
    }
  }
  return (statement, last) => {
    if (!numbered.has(last.author)) number(last.author)
    const span = spans.get(statement.hash)
    const end = spans.get(last.hash)
    return span !== undefined && end !== undefined && span.first <= end.first && end.first <= span.last
  }
}

function createCuts(
  removals: readonly Removal[],
  { sets, isWithin }: { sets: ReadonlyMap<string, AdminSet>; isWithin: Within },
) {
  const byTarget = Map.groupBy(removals, (removal) => removal.target)
  /** `except`: the admin that the statement removes, whose own removal of the author does not void it. */
  const cutsFor = (statement: Statement, except?: string): boolean =>
    (byTarget.get(statement.author) ?? []).some(
      (removal) => removal.from !== except && !isWithin(statement, removal.cutOff),
    )
  const admitted = new Set<string>()
  const validSets = new Set<AdminSet>()
  for (const set of [...sets.values()].sort((a, b) => a.version - b.version)) {
    if (set.parent !== undefined && !validSets.has(set.parent)) continue
    if (set.statement !== undefined && cutsFor(set.statement)) continue
    validSets.add(set)
    for (const { id, keyId } of set.admins.values()) admitted.add(`${id} ${keyId}`)
  }
  const isByAdmin = (statement: Verified): boolean =>
    statement.author === ROOT_AUTHOR || admitted.has(`${statement.author} ${statement.signedBy}`)
  return { cutsFor, isByAdmin, validSets }
}
