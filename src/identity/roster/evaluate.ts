import { createHash } from 'node:crypto'
import { keyIdOf } from '../ed25519.ts'
import { type AdminSet, buildAdminSets } from './admin-sets.ts'
import { type Body, isKnownType } from './bodies.ts'
import { ROOT_AUTHOR } from './constants.ts'
import type { Admin, Genesis } from './genesis.ts'
import { readLog } from './log-line.ts'
import { type Cuts, evaluateRemovals } from './removals.ts'
import type { Alarm, RosterKey, RosterNode, RosterState } from './state.ts'
import type { Statement } from './statement.ts'
import type { StatementSet, Verified } from './statement-set.ts'

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
  /** By author: how many of its statements are beyond a fork or cut-off. */
  readonly voidCounts: ReadonlyMap<string, number>
  readonly digest: string
  /** True where a removal that holds makes this statement void. */
  isCut(statement: Statement): boolean
}

/** Works out what a set of statements means. Pure: the same set gives the same answer, whatever its order. */
export function evaluate(genesis: Genesis, statements: StatementSet): Evaluation {
  const sets = buildAdminSets(genesis, statements)
  const cuts = evaluateRemovals(statements, sets)
  const alarms: Alarm[] = []
  const heads: Head[] = []
  const frozen = new Set<string>()
  const voidCounts = new Map<string, number>()
  const accepted = new Set<Verified>()
  for (const author of statements.authors()) {
    const log = readLog(author, { networkId: genesis.networkId, statements, isCut: cuts.isCut })
    for (const statement of log.accepted) accepted.add(statement)
    const last = log.accepted.at(-1)
    if (last !== undefined) heads.push({ author, seq: last.seq, hash: last.hash })
    voidCounts.set(author, statements.ofAuthor(author).length - log.accepted.length)
    if (log.forkedAt !== undefined) {
      frozen.add(author)
      alarms.push({
        code: 'log_fork',
        subject: author,
        message: `admin ${author} signed two different statements as number ${log.forkedAt}: none from there on counts`,
      })
    }
  }
  const current = currentSet({ sets, genesis, accepted, alarms })
  const counted = selectCounted(accepted, current)
  const removed = removedIds(statements, cuts)
  const out = new Set([...removed, ...cuts.removals.map(({ target }) => target)])
  const admins = new Map([...current.admins].filter(([id]) => !out.has(id)))
  for (const statement of counted) {
    if (statement.known === undefined) alarms.push(notUnderstood(statement))
  }
  const state: RosterState = {
    networkId: genesis.networkId,
    nodes: nodesOf(counted, { admins, removed, alarms }),
    removed,
    ...keysOf(counted),
    admins,
    adminVersion: current.version,
    newestTimeMs: counted.reduce((newest, { timeMs }) => Math.max(newest, timeMs), genesis.timeMs),
    alarms,
  }
  const digest = digestOf({ genesis, current, counted, heads, frozen, removed, cuts })
  return { state, sets, heads, frozen, voidCounts, digest, isCut: cuts.isCut }
}

/** Follows the versions of the admin set while there is one next; the root's proposal goes before all others. */
function currentSet({
  sets,
  genesis,
  accepted,
  alarms,
}: {
  sets: ReadonlyMap<string, AdminSet>
  genesis: Genesis
  accepted: ReadonlySet<Verified>
  alarms: Alarm[]
}): AdminSet {
  const next = Map.groupBy(sets.values(), (set) => set.parent?.hash)
  let current = sets.get(genesis.networkId) as AdminSet
  for (;;) {
    const proposals = (next.get(current.hash) ?? []).filter(({ statement }) => statement && accepted.has(statement))
    const byRoot = proposals.filter(({ statement }) => statement?.author === ROOT_AUTHOR)
    const [only, ...others] = byRoot.length > 0 ? byRoot : proposals
    if (only === undefined) return current
    if (others.length > 0) {
      const version = current.version + 1
      alarms.push({
        code: 'admins_fork',
        subject: String(version),
        message: `there are ${others.length + 1} different versions ${version} of the admin set: it stays at version ${current.version}`,
      })
      return current
    }
    current = only
  }
}

/** The accepted statements whose author was admin in a version that holds, in the order of author and place. */
function selectCounted(accepted: ReadonlySet<Verified>, current: AdminSet): Verified[] {
  const keys = new Set<string>()
  for (let set: AdminSet | undefined = current; set !== undefined; set = set.parent) {
    for (const { id, keyId } of set.admins.values()) keys.add(`${id} ${keyId}`)
  }
  // The root changes the admin set and nothing else.
  return [...accepted].filter(({ author, signedBy, type }) =>
    author === ROOT_AUTHOR ? type === 'admins' : keys.has(`${author} ${signedBy}`),
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

function nodesOf(
  counted: readonly Verified[],
  { admins, removed, alarms }: { admins: ReadonlyMap<string, Admin>; removed: ReadonlySet<string>; alarms: Alarm[] },
): Map<string, RosterNode> {
  const nodes = newestBySubject(counted, 'node', (body) => body.id)
  const used = new Map<string, string>()
  const named = new Map<string, RosterNode>()
  const wanted = new Set([...nodes.values()].map(([, body]) => body.name))
  for (const id of [...nodes.keys()].sort()) {
    if (removed.has(id)) continue
    const [statement, body] = nodes.get(id) as NonNullable<ReturnType<typeof nodes.get>>
    const name = freeName(body.name, { used, wanted })
    if (name !== body.name) {
      alarms.push({
        code: 'duplicate_name',
        subject: body.name,
        message: `${used.get(body.name)} and ${id} are both named "${body.name}"; the second is shown as "${name}"`,
      })
    }
    used.set(name, id)
    const stated = body.role === 'admin' ? 'member' : body.role
    named.set(id, {
      id,
      name,
      role: admins.has(id) ? 'admin' : stated,
      labels: body.labels,
      expires: body.expires,
      revision: body.revision,
      author: statement.author,
    })
  }
  return named
}

function freeName(
  name: string,
  { used, wanted }: { used: ReadonlyMap<string, string>; wanted: ReadonlySet<string> },
): string {
  if (!used.has(name)) return name
  for (let number = 2; ; number++) {
    const candidate = `${name}-${number}`
    // A suffixed name never takes the one that another node was given.
    if (!used.has(candidate) && !wanted.has(candidate)) return candidate
  }
}

function keysOf(counted: readonly Verified[]): Pick<RosterState, 'keys' | 'revokedKeys'> {
  const keys = new Map<string, RosterKey>()
  for (const [keyId, [statement, body]] of newestBySubject(counted, 'key', ({ key }) => keyIdOf(key))) {
    const { name, revision, key } = body
    keys.set(keyId, { keyId, name, publicKey: key, revision, author: statement.author })
  }
  const revokedKeys = new Map<string, string | undefined>()
  for (const { known } of counted) {
    if (known?.type !== 'key-revoke') continue
    const { key } = known.body
    if (!revokedKeys.has(key)) revokedKeys.set(key, keys.get(key)?.name)
  }
  for (const keyId of revokedKeys.keys()) keys.delete(keyId)
  return { keys: sorted(keys), revokedKeys: sorted(revokedKeys) }
}

/** Of each subject the statement with the highest revision; of equal ones that with the lowest hash. */
function newestBySubject<T extends 'node' | 'key'>(
  counted: readonly Verified[],
  type: T,
  subjectOf: (body: Body<T>) => string,
): Map<string, readonly [Verified, Body<T>]> {
  const newest = new Map<string, readonly [Verified, Body<T>]>()
  for (const statement of counted) {
    if (statement.known?.type !== type) continue
    const body = statement.known.body as Body<T>
    const subject = subjectOf(body)
    const known = newest.get(subject)
    const isNewer =
      known === undefined ||
      body.revision > known[1].revision ||
      (body.revision === known[1].revision && statement.hash < known[0].hash)
    if (isNewer) newest.set(subject, [statement, body])
  }
  return newest
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
  return hash.digest('hex')
}

function sorted<V>(map: ReadonlyMap<string, V>): Map<string, V> {
  return new Map([...map].sort(([a], [b]) => (a < b ? -1 : 1)))
}
