import { randomBytes } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'
import { toHex } from '../../base/bytes.ts'
import { keyIdOf } from '../ed25519.ts'
import { identityErrors } from '../errors.ts'
import type { AdminSet } from './admin-sets.ts'
import { type BodyInput, MAX_FRONTIER, MAX_LIVE_HASHES } from './bodies.ts'
import { type Checkpoint, prune } from './checkpoint.ts'
import { ROOT_AUTHOR } from './constants.ts'
import { type Evaluation, evaluate, timesOf } from './evaluate.ts'
import type { Genesis } from './genesis.ts'
import type { Place, StatementSet, Verified } from './statement-set.ts'
import { decidingRows } from './subjects.ts'

/** Live hashes that a part has room for in place of one log of the frontier. */
const FRONTIER_COST = Math.ceil(MAX_LIVE_HASHES / MAX_FRONTIER)

type Covered = BodyInput<'checkpoint'>['frontier'][0]

interface Source {
  readonly genesis: Genesis
  readonly statements: StatementSet
  readonly evaluation: Evaluation
  /** What invites expire by. */
  readonly nowMs: number
}

/**
 * The parts of a checkpoint that keeps all that still matters, so that the state stays what it is; but for invites that
 * are closed, expired or used up and that no node needs. Tried out before it is given, since what it drops is gone for
 * good. Fails with `roster_incomplete`.
 */
export function checkpointBodies(source: Source): BodyInput<'checkpoint'>[] {
  const { statements, evaluation } = source
  if (statements.missingLive().length > 0) {
    throw identityErrors.roster_incomplete('this node lacks statements that an earlier checkpoint names', {
      hint: 'Let it connect to other nodes first, or make the checkpoint on another admin.',
    })
  }
  const kept = new Set<Verified>([...liveRemovals(evaluation), ...liveSubjects(source), ...liveEnds(evaluation)])
  for (const statement of evaluation.counted) {
    const type = statement.known?.type
    if (type === undefined || type === 'key-revoke') kept.add(statement)
  }
  for (const statement of liveSets(evaluation, kept)) kept.add(statement)
  const { frontier, exempt } = frontierOf(source, kept)
  const survives = (statement: Verified): boolean =>
    !isBelow(statement, frontier) || kept.has(statement) || exempt.has(statement.author)
  for (const statement of inviteFacts(source, survives)) kept.add(statement)
  const covered = [...statements.all()].filter((statement) => isBelow(statement, frontier) && survives(statement))
  const live = covered.map(({ hash }) => hash).sort()
  checkKeepsState(source, { frontier, live: new Set(live) })
  return toParts(
    [...frontier].map(([author, place]) => ({ author, ...place })),
    live,
  )
}

/** What a checkpoint must never change. */
const KEPT = ['nodes', 'removed', 'keys', 'revokedKeys', 'policies', 'networkKey', 'admins', 'adminVersion'] as const

function checkKeepsState(
  { genesis, statements, evaluation }: Source,
  draft: Pick<Checkpoint, 'frontier' | 'live'>,
): void {
  const seq = evaluation.heads.find(({ author }) => author === ROOT_AUTHOR)?.seq ?? 0
  const after = evaluate(genesis, prune(genesis, statements, { ...draft, hash: '', seq })).state
  const changed = KEPT.filter((what) => !isDeepStrictEqual(after[what], evaluation.state[what]))
  if (changed.length === 0) return
  throw identityErrors.roster_incomplete(`a checkpoint would change ${changed.join(', ')} of the roster`, {
    hint: 'Settle what the alarms name first: warren trust status',
  })
}

function toParts(frontier: readonly Covered[], live: readonly string[]): BodyInput<'checkpoint'>[] {
  const contents: { frontier: Covered[]; live: string[] }[] = []
  let room = 0
  const take = (cost: number): { frontier: Covered[]; live: string[] } => {
    if (room < cost || contents.length === 0) {
      contents.push({ frontier: [], live: [] })
      room = MAX_LIVE_HASHES
    }
    room -= cost
    return contents.at(-1) as (typeof contents)[0]
  }
  for (const covered of frontier) take(FRONTIER_COST).frontier.push(covered)
  for (const hash of live) take(1).live.push(hash)
  if (contents.length === 0) take(0)
  const id = toHex(randomBytes(16))
  return contents.map((content, index) => ({ id, part: index + 1, parts: contents.length, ...content }))
}

/**
 * The last entry to cover of each log but the root's. Exempt, so that no more of it is covered than was, is a log of
 * which something must stay that is itself void, as of two admins that removed each other: of what is covered only
 * places are known, and they could not say which of it holds.
 */
function frontierOf(
  { statements, evaluation }: Source,
  kept: Iterable<Verified>,
): { frontier: Map<string, Place>; exempt: Set<string> } {
  const frontier = new Map<string, Place>()
  const exempt = new Set<string>()
  for (const author of statements.authors()) {
    const place = author === ROOT_AUTHOR ? undefined : lastToCover(author, { statements, evaluation })
    if (place !== undefined) frontier.set(author, { seq: place.seq, hash: place.hash })
  }
  for (const statement of kept) {
    if (isBelow(statement, frontier) && !evaluation.accepted.has(statement)) exempt.add(statement.author)
  }
  for (const author of exempt) {
    const before = statements.frontierOf(author)
    if (before === undefined) frontier.delete(author)
    else frontier.set(author, before)
  }
  return { frontier, exempt }
}

function isBelow({ author, seq }: Verified, frontier: ReadonlyMap<string, Place>): boolean {
  return seq <= (frontier.get(author)?.seq ?? 0)
}

/**
 * Its head; or where a cut-off made all beyond the head void, the last of that, so that a thief's statements do not stay
 * for ever. What is beyond an open fork stays, for a person has to decide.
 */
function lastToCover(
  author: string,
  { statements, evaluation }: { statements: StatementSet; evaluation: Evaluation },
): Place | undefined {
  const head = evaluation.heads.find((known) => known.author === author)
  if (evaluation.frozen.has(author)) return head
  return statements
    .ofAuthor(author)
    .filter((statement) => evaluation.belongs(statement))
    .reduce<Place | undefined>((last, statement) => (statement.seq > (last?.seq ?? 0) ? statement : last), head)
}

/** What removes anyone, for good. */
function liveRemovals({ cuts, accepted }: Evaluation): Verified[] {
  const removals = cuts.removals.map(({ statement }) => statement)
  const ofNodes = [...accepted].filter((statement) => statement.type === 'node-remove' && cuts.isByAdmin(statement))
  return [...removals, ...ofNodes]
}

/** The newest of each subject, and the invites that can be used or that a node needs. */
function liveSubjects({ evaluation, nowMs }: Source): Verified[] {
  const { newest, state, counted, current } = evaluation
  const live: Verified[] = []
  const needed = new Set<string>()
  for (const [id, [statement, body]] of newest.nodes) {
    // The root may still take back that an admin was removed: the remover's key may turn out to be stolen.
    const wasAdmin = current.admins.has(id) || current.left.has(id)
    if (state.removed.has(id) && !wasAdmin) continue
    live.push(statement)
    if (body.invite !== null) needed.add(body.invite)
  }
  for (const { id, closed, expires, uses, usedBy } of state.invites.values()) {
    if (!closed && expires > nowMs && usedBy.length < uses) needed.add(id)
  }
  const invites = counted.filter(({ known }) => known?.type === 'invite' && needed.has(keyIdOf(known.body.key)))
  const others = [newest.keys, newest.policies, newest.networkKey].flatMap((found) => [...found.values()])
  return [...live, ...invites, ...others.map(([statement]) => statement), ...decidingRows(newest, counted)]
}

/**
 * What else was said of an invite that stays: that it was closed, and by whom it was used; but for invites that go away, of which nobody asks. One whose
 * statement is not here yet may come.
 */
function inviteFacts({ statements, evaluation }: Source, survives: (statement: Verified) => boolean): Verified[] {
  const here = new Set<string>()
  const surviving = new Set<string>()
  for (const statement of statements.ofType('invite')) {
    if (statement.known?.type !== 'invite') continue
    const id = keyIdOf(statement.known.body.key)
    here.add(id)
    if (survives(statement)) surviving.add(id)
  }
  const isGone = (invite: string): boolean => here.has(invite) && !surviving.has(invite)
  const uses = new Set<string>()
  return evaluation.counted.filter(({ known }) => {
    // Of two with one key the lower hash counts, open or not: the other alone would bring an ended invite back.
    if (known?.type === 'invite') return surviving.has(keyIdOf(known.body.key))
    if (known?.type === 'invite-close') return !isGone(known.body.invite)
    if (known?.type !== 'node' || known.body.invite === null || isGone(known.body.invite)) return false
    const use = `${known.body.invite} ${known.body.id}`
    const isFirst = !uses.has(use)
    uses.add(use)
    return isFirst
  })
}

/** The newest time that anyone signed, and the last word of each log: its time must not go back. */
function liveEnds({ counted, heads, state, current }: Evaluation): Verified[] {
  const hashes = new Set(heads.map(({ hash }) => hash))
  const times = timesOf(counted, { current, admins: state.admins })
  const ends = times.filter(({ hash }) => hashes.has(hash))
  const newest = times.reduce<Verified | undefined>(
    (latest, statement) => (latest === undefined || statement.timeMs >= latest.timeMs ? statement : latest),
    undefined,
  )
  return newest === undefined ? ends : [...ends, newest]
}

/** The line of the admin set that holds, those that compete to be next, and those that live statements stand on. */
function liveSets({ sets, current, accepted, cuts }: Evaluation, kept: ReadonlySet<Verified>): Verified[] {
  const live = new Set<AdminSet>()
  const addLine = (last: AdminSet | undefined): void => {
    for (let set = last; set !== undefined && !live.has(set); set = set.parent) live.add(set)
  }
  const isAccepted = ({ statement }: AdminSet): boolean => statement !== undefined && accepted.has(statement)
  addLine(current)
  for (const set of sets.values()) if (set.parent === current && isAccepted(set)) addLine(set)
  const admitted = new Set<string>()
  const admit = (): void => {
    for (const set of live) for (const { id, keyId } of set.admins.values()) admitted.add(`${id} ${keyId}`)
  }
  admit()
  for (const { author, signedBy, hash } of kept) {
    addLine(sets.get(hash))
    if (author === ROOT_AUTHOR || admitted.has(`${author} ${signedBy}`)) continue
    const naming = [...sets.values()].filter((set) => set.admins.get(author)?.keyId === signedBy)
    const valid = naming.filter((set) => cuts.validSets.has(set))
    for (const set of valid.length > 0 ? valid : naming) addLine(set)
    admit()
  }
  return [...live].flatMap(({ statement }) => statement ?? [])
}
