import { createHash } from 'node:crypto'
import { type AdminSet, buildAdminSets } from './admin-sets.ts'
import { isKnownType } from './bodies.ts'
import { LARGE_ROSTER_BYTES, LARGE_ROSTER_STATEMENTS, ROOT_AUTHOR, STRANGERS } from './constants.ts'
import type { Genesis } from './genesis.ts'
import { type LogLine, readLog } from './log-line.ts'
import { type Cuts, evaluateRemovals } from './removals.ts'
import type { Alarm, RosterState } from './state.ts'
import { type StatementSet, type Verified, voidCostOf } from './statement-set.ts'
import { invitesOf, keysOf, type NewestStatements, networkKeyOf, newestOf, nodesOf, policiesOf } from './subjects.ts'

/** The last accepted entry of an author's log. */
export interface Head {
  readonly author: string
  readonly seq: number
  readonly hash: string
}

/** All that follows from a set of statements. */
export interface Evaluation {
  readonly state: RosterState
  readonly sets: ReadonlyMap<string, AdminSet>
  readonly heads: readonly Head[]
  /** Authors with a fork that no cut-off settles. */
  readonly frozen: ReadonlySet<string>
  /** By author: how many of its statements are beyond a fork or cut-off. Of `STRANGERS`: by keys that only void admin sets name. */
  readonly voidCounts: ReadonlyMap<string, number>
  readonly digest: string
  /** The admin set that holds. */
  readonly current: AdminSet
  /** Which removals hold, and what they make void. */
  readonly cuts: Cuts
  /** True where it is signed by the key that its author's log is of. */
  belongs(statement: Verified): boolean
  readonly accepted: ReadonlySet<Verified>
  /** What the state is made of. */
  readonly counted: readonly Verified[]
  readonly newest: NewestStatements
}

/** Works out what a set of statements means. Pure: the same set gives the same answer, whatever its order. */
export function evaluate(genesis: Genesis, statements: StatementSet): Evaluation {
  const sets = buildAdminSets(genesis, statements)
  const cuts = evaluateRemovals(statements, sets)
  const { current, belongs, logOf, isForked } = followSets({ sets, cuts, genesis, statements })
  const alarms: Alarm[] = []
  const heads: Head[] = []
  const frozen = new Set<string>()
  const voidCounts = new Map<string, number>()
  const accepted = new Set<Verified>()
  for (const author of statements.authors()) {
    const log = logOf(author)
    for (const statement of log.accepted) accepted.add(statement)
    if (log.head !== undefined) heads.push({ author, ...log.head })
    countVoid(statements.ofAuthor(author), { accepted, cuts, voidCounts })
    if (log.forkedAt !== undefined) {
      frozen.add(author)
      alarms.push(forkedLog(author, log.forkedAt))
    }
  }
  if (isForked) alarms.push(forkedSets(current))
  const counted = selectCounted(accepted, current)
  const removed = removedIds(statements, cuts)
  const out = new Set([...removed, ...cuts.removals.map(({ target }) => target)])
  const admins = new Map([...current.admins].filter(([id]) => !out.has(id)))
  for (const statement of counted) {
    if (statement.known === undefined) alarms.push(notUnderstood(statement))
  }
  const isLarge = statements.size >= LARGE_ROSTER_STATEMENTS || statements.bytes >= LARGE_ROSTER_BYTES
  if (isLarge) alarms.push(largeRoster())
  const newest = newestOf(counted)
  const invites = invitesOf(counted, admins)
  const state: RosterState = {
    networkId: genesis.networkId,
    nodes: nodesOf(newest.nodes, { admins, removed, invites, alarms }),
    removed,
    ...keysOf(newest.keys, counted),
    admins,
    adminVersion: current.version,
    invites,
    policies: policiesOf(newest.policies),
    networkKey: networkKeyOf(newest.networkKey),
    root: rootNow(genesis, { statements, heads }),
    newestTimeMs: timesOf(counted, { current, admins }).reduce(
      (latest, { timeMs }) => Math.max(latest, timeMs),
      genesis.timeMs,
    ),
    alarms,
  }
  const digest = digestOf({ genesis, current, counted, heads, frozen, removed, cuts, statements, isLarge })
  return { state, sets, heads, frozen, voidCounts, digest, current, cuts, belongs, accepted, counted, newest }
}

/**
 * Those whose times tell how late it is. Not of who has left the admin set, since it may have signed a time far ahead on
 * purpose, nor admin sets that did not come to hold, which a checkpoint does away with.
 */
export function timesOf(
  counted: readonly Verified[],
  { current, admins }: { current: AdminSet; admins: ReadonlyMap<string, unknown> },
): readonly Verified[] {
  const line = new Set<string>()
  for (let set: AdminSet | undefined = current; set !== undefined; set = set.parent) line.add(set.hash)
  return counted.filter(
    ({ author, type, hash }) => (author === ROOT_AUTHOR || admins.has(author)) && (type !== 'admins' || line.has(hash)),
  )
}

function countVoid(
  all: readonly Verified[],
  { accepted, cuts, voidCounts }: { accepted: ReadonlySet<Verified>; cuts: Cuts; voidCounts: Map<string, number> },
): void {
  for (const statement of all) {
    if (accepted.has(statement)) continue
    const whose = cuts.isByAdmin(statement) ? statement.author : STRANGERS
    voidCounts.set(whose, (voidCounts.get(whose) ?? 0) + voidCostOf(statement))
  }
}

/** The key that signs the next statement of the root. */
function rootNow(
  genesis: Genesis,
  { statements, heads }: { statements: StatementSet; heads: readonly Head[] },
): Uint8Array {
  const head = heads.find(({ author }) => author === ROOT_AUTHOR)
  return (head && statements.get(head.hash)?.nextRoot) ?? genesis.root
}

/**
 * Follows the versions of the admin set while there is one next. The root's proposal goes before all others, then what
 * a checkpoint settled. A log is of one key: that of the line which holds, where it names the author. Any admin of the
 * past can name other keys for those who came after it, and what such a key signs must not fork their logs.
 */
function followSets({
  sets,
  cuts,
  genesis,
  statements,
}: {
  sets: ReadonlyMap<string, AdminSet>
  cuts: Cuts
  genesis: Genesis
  statements: StatementSet
}) {
  const keys = new Map<string, string>()
  const logs = new Map<string, LogLine>()
  const belongs = (statement: Verified): boolean => {
    const key = keys.get(statement.author)
    return key === undefined ? cuts.isByAdmin(statement) : statement.signedBy === key
  }
  const isCut = (statement: Verified): boolean => cuts.isCut(statement) || !belongs(statement)
  const logOf = (author: string): LogLine => {
    const log = logs.get(author) ?? readLog(author, { networkId: genesis.networkId, statements, isCut })
    logs.set(author, log)
    return log
  }
  const isAccepted = (statement: Verified): boolean => logOf(statement.author).accepted.includes(statement)
  const next = Map.groupBy(sets.values(), (set) => set.parent?.hash)
  let current = sets.get(genesis.networkId) as AdminSet
  for (;;) {
    // Who proposes the next one is in this one, so that its key is known before its log is read.
    for (const { id, keyId } of current.admins.values()) keys.set(id, keyId)
    const proposals = (next.get(current.hash) ?? []).filter(({ statement }) => statement && isAccepted(statement))
    const byRoot = proposals.filter(({ statement }) => statement?.author === ROOT_AUTHOR)
    const settled = proposals.filter(({ statement }) => statement && statements.isCovered(statement))
    const [only, ...others] = [byRoot, settled, proposals].find(({ length }) => length > 0) ?? []
    if (only === undefined || others.length > 0) {
      return { current, belongs, logOf, isForked: only !== undefined }
    }
    current = only
  }
}

function forkedSets({ version }: AdminSet): Alarm {
  const next = version + 1
  const message = `there are different versions ${next} of the admin set: it stays at version ${version}`
  return { code: 'admins_fork', subject: String(next), message }
}

/** The accepted statements whose author was admin in a version that holds, in the order of author and place. */
function selectCounted(accepted: ReadonlySet<Verified>, current: AdminSet): Verified[] {
  const keys = new Set<string>()
  for (let set: AdminSet | undefined = current; set !== undefined; set = set.parent) {
    for (const { id, keyId } of set.admins.values()) keys.add(`${id} ${keyId}`)
  }
  // The root changes the admin set, and says what of the past exists; nothing else.
  return [...accepted].filter(({ author, signedBy, type }) =>
    author === ROOT_AUTHOR ? type === 'admins' || type === 'checkpoint' : keys.has(`${author} ${signedBy}`),
  )
}

/** Removed for good. A fork of the remover's log does not bring anyone back: only a cut-off does. */
function removedIds(statements: StatementSet, cuts: Cuts): Set<string> {
  const ids = new Set(cuts.removals.filter(({ fromNetwork }) => fromNetwork).map(({ target }) => target))
  for (const statement of statements.ofType('node-remove')) {
    if (statement.known?.type !== 'node-remove' || statement.author === ROOT_AUTHOR) continue
    if (!cuts.isCut(statement) && cuts.isByAdmin(statement)) ids.add(statement.known.body.id)
  }
  return new Set([...ids].sort())
}

function forkedLog(author: string, place: number): Alarm {
  const who = author === ROOT_AUTHOR ? 'the root key' : `admin ${author}`
  const message = `${who} signed two different statements as number ${place}: none from there on counts`
  return { code: 'log_fork', subject: author, message }
}

function largeRoster(): Alarm {
  const message = 'three quarters of the room for statements are taken: let the root sign a checkpoint'
  return { code: 'roster_large', subject: 'roster', message }
}

function notUnderstood({ author, seq, type }: Verified): Alarm {
  const message = isKnownType(type)
    ? `statement ${seq} of ${author} is a "${type}" of another form than this release knows: kept and not applied`
    : `statement ${seq} of ${author} is of the type "${type}", which this release does not know: kept and not applied`
  return { code: 'not_understood', subject: author, message }
}

function digestOf(parts: {
  genesis: Genesis
  current: AdminSet
  counted: readonly Verified[]
  heads: readonly Head[]
  frozen: ReadonlySet<string>
  removed: ReadonlySet<string>
  cuts: Cuts
  statements: StatementSet
  isLarge: boolean
}): string {
  const hash = createHash('sha256')
  const add = (label: string, values: Iterable<string>) => hash.update(`${label}\n${[...values].sort().join('\n')}\n`)
  add('network', [parts.genesis.networkId])
  add('admins', [parts.current.hash])
  add(
    'counted',
    parts.counted.map((statement) => statement.hash),
  )
  add(
    'heads',
    parts.heads.map((head) => `${head.author} ${head.hash}`),
  )
  add('frozen', parts.frozen)
  add('removed', parts.removed)
  add(
    'removals',
    parts.cuts.removals.map(({ statement, target }) => `${statement.hash} ${target}`),
  )
  add('checkpoint', [parts.statements.base?.hash ?? ''])
  add('missing', parts.statements.missingLive())
  add('large', [String(parts.isLarge)])
  return hash.digest('hex')
}
