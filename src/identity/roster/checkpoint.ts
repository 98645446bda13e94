import { authorKeys, buildAdminSets } from './admin-sets.ts'
import type { Body } from './bodies.ts'
import { ROOT_AUTHOR } from './constants.ts'
import type { Genesis } from './genesis.ts'
import { readLog } from './log-line.ts'
import { type Place, StatementSet, type Verified } from './statement-set.ts'

/** A root's decision on what of the past goes on to exist, all parts of it read as one. */
export interface Checkpoint {
  /** Hash and place of its last part in the root's log. */
  readonly hash: string
  readonly seq: number
  /** By author: the last covered entry of its log. */
  readonly frontier: ReadonlyMap<string, Place>
  /** Hashes of covered statements that go on to exist. */
  readonly live: ReadonlySet<string>
}

/** The last complete checkpoint in the accepted log of the root; undefined where there is none. */
export function newestCheckpoint(genesis: Genesis, statements: StatementSet): Checkpoint | undefined {
  const { accepted } = readLog(ROOT_AUTHOR, { networkId: genesis.networkId, statements, isCut: () => false })
  let newest: Checkpoint | undefined
  let run: Body<'checkpoint'>[] = []
  for (const statement of accepted) {
    const body = statement.known?.type === 'checkpoint' ? statement.known.body : undefined
    const before = run.at(-1)
    const goesOn = body && before && body.id === before.id && body.parts === before.parts
    if (body === undefined) run = []
    else if (goesOn && body.part === before.part + 1) run.push(body)
    else run = body.part === 1 ? [body] : []
    if (body === undefined || run.length !== body.parts) continue
    newest = join(run, { statement, former: newest }) ?? newest
    run = []
  }
  return newest
}

/** Undefined where two parts name one log, or where it takes back what the former covered. */
function join(
  parts: readonly Body<'checkpoint'>[],
  { statement, former }: { statement: Verified; former: Checkpoint | undefined },
): Checkpoint | undefined {
  const places = parts.flatMap((part) => part.frontier)
  const frontier = new Map(places.map(({ author, seq, hash }) => [author, { seq, hash }]))
  if (frontier.size !== places.length) return undefined
  for (const [author, { seq }] of former?.frontier ?? []) {
    if ((frontier.get(author)?.seq ?? 0) < seq) return undefined
  }
  return { hash: statement.hash, seq: statement.seq, frontier, live: new Set(parts.flatMap((part) => part.live)) }
}

/** What a checkpoint leaves of a set: a new set, for the old one may have to come back. */
export function prune(genesis: Genesis, statements: StatementSet, checkpoint: Checkpoint): StatementSet {
  let known: (statement: Verified) => boolean = () => true
  for (;;) {
    const left = new StatementSet(checkpoint)
    for (const statement of statements.all()) {
      if (known(statement) && hasPlace(statement, left, genesis)) left.add(statement)
    }
    // Who was admitted by a set that is gone is a stranger again, as for a node that never knew that set.
    const sets = buildAdminSets(genesis, left)
    const keys = new Map(left.authors().map((author) => [author, authorKeys(author, sets)]))
    known = ({ author, signedBy }) => author === ROOT_AUTHOR || keys.get(author)?.has(signedBy) === true
    if ([...left.all()].every(known)) return left
  }
}

/** True where a statement stands on one before it, on the frontier, or on the checkpoint's word. */
function hasPlace(statement: Verified, left: StatementSet, { networkId }: Genesis): boolean {
  const { author, prev, hash } = statement
  if (author === ROOT_AUTHOR) return true
  if (left.isCovered(statement)) return left.base?.live.has(hash) === true
  return (
    prev === (left.frontierOf(author)?.hash ?? networkId) || (left.get(prev) !== undefined && !left.isGone(statement))
  )
}
