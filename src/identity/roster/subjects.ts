import { keyIdOf } from '../ed25519.ts'
import type { Body } from './bodies.ts'
import type { Admin } from './genesis.ts'
import type {
  Alarm,
  AnnouncedNetworkKey,
  RevokedKey,
  RosterInvite,
  RosterKey,
  RosterNode,
  RosterPolicy,
  RosterState,
} from './state.ts'
import type { Verified } from './statement-set.ts'

/** Of each subject the statement that counts, with its body. */
type Newest<T extends RevisedType> = ReadonlyMap<string, readonly [Verified, Body<T>]>
type RevisedType = 'node' | 'key' | 'policy' | 'network-key'

/** The newest statement of each node, signing key, policy, and of the network key. */
export interface NewestStatements {
  readonly nodes: Newest<'node'>
  readonly keys: Newest<'key'>
  /** Ended ones too. */
  readonly policies: Newest<'policy'>
  readonly networkKey: Newest<'network-key'>
}

/** The statements that the newest ones replace, one after another: without them others of that revision could come before. */
export function decidingRows(newest: NewestStatements, counted: readonly Verified[]): Verified[] {
  const byHash = new Map(counted.map((statement) => [statement.hash, statement]))
  const revised = [newest.nodes, newest.keys, newest.policies, newest.networkKey].flatMap((found) => [
    ...found.values(),
  ])
  return revised.flatMap(([statement]) => {
    const row: Verified[] = []
    for (let at: Verified | undefined = statement; at !== undefined; at = byHash.get(replacedBy(at) ?? '')) row.push(at)
    return row.slice(1)
  })
}

function replacedBy({ known }: Verified): string | null {
  return known !== undefined && 'replaces' in known.body ? known.body.replaces : null
}

/** Of each subject the statement with the highest revision; of equal ones see `lastOf`. */
export function newestOf(counted: readonly Verified[]): NewestStatements {
  return {
    nodes: newestBySubject(counted, 'node', ({ id }) => id),
    keys: newestBySubject(counted, 'key', ({ key }) => keyIdOf(key)),
    policies: newestBySubject(counted, 'policy', ({ name }) => name),
    networkKey: newestBySubject(counted, 'network-key', () => ''),
  }
}

/** What the statement after the newest of a subject needs to be the newest itself. */
export function nextRevision(newest: readonly [Verified, { readonly revision: number }] | undefined): {
  revision: number
  replaces?: string
} {
  if (newest === undefined) return { revision: 1 }
  const [{ hash }, { revision }] = newest
  // At the highest number somebody wanted to have the last word.
  return revision < Number.MAX_SAFE_INTEGER ? { revision: revision + 1 } : { revision, replaces: hash }
}

/** The nodes by id, each with a name of its own. */
export function nodesOf(
  nodes: Newest<'node'>,
  {
    admins,
    removed,
    invites,
    alarms,
  }: {
    admins: ReadonlyMap<string, Admin>
    removed: ReadonlySet<string>
    invites: ReadonlyMap<string, RosterInvite>
    alarms: Alarm[]
  },
): Map<string, RosterNode> {
  const used = new Map<string, string>()
  const tried = new Map<string, number>()
  const named = new Map<string, RosterNode>()
  const wanted = new Set([...nodes.values()].map(([, body]) => body.name))
  for (const id of [...nodes.keys()].sort()) {
    if (removed.has(id)) continue
    const [statement, body] = nodes.get(id) as NonNullable<ReturnType<typeof nodes.get>>
    const name = freeName(body.name, { used, wanted, tried })
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
      kind: body.kind,
      grants: body.grants,
      invite: body.invite,
      // Its place in the admin set is a confirmation of its own.
      waiting: !admins.has(id) && body.invite !== null && !allowsAll(invites.get(body.invite)),
      author: statement.author,
    })
  }
  alarms.push(...overusedInvites(named.values(), invites))
  return named
}

/** False where more joined by an invite than it allows, so that nobody knows which of them was meant. */
function allowsAll(invite: RosterInvite | undefined): boolean {
  return invite !== undefined && invite.usedBy.length <= invite.uses
}

function overusedInvites(nodes: Iterable<RosterNode>, invites: ReadonlyMap<string, RosterInvite>): Alarm[] {
  const waiting = [...nodes].filter((node) => node.waiting)
  return [...Map.groupBy(waiting, (node) => node.invite as string)].sort().map(([subject, those]) => {
    const names = those.map(({ name }) => name).join(', ')
    const invite = invites.get(subject)
    const what = invite ? `${invite.usedBy.length} nodes joined by an invite for ${invite.uses}` : 'no invite is known'
    const message = `${what}: ${names} wait until an admin confirms them (warren node add NAME)`
    return { code: 'invite_overused', subject, message }
  })
}

/** The invites by id, with who used them. Those of who is no admin any more are closed: it may know their secrets. */
export function invitesOf(
  counted: readonly Verified[],
  admins: ReadonlyMap<string, unknown>,
): Map<string, RosterInvite> {
  const closed = new Set<string>()
  const usedBy = new Map<string, Set<string>>()
  for (const { known } of counted) {
    if (known?.type === 'invite-close') closed.add(known.body.invite)
    if (known?.type !== 'node' || known.body.invite === null) continue
    const ids = usedBy.get(known.body.invite) ?? new Set()
    usedBy.set(known.body.invite, ids.add(known.body.id))
  }
  const invites = new Map<string, RosterInvite>()
  const hashes = new Map<string, string>()
  for (const { hash, known, author, timeMs } of counted) {
    if (known?.type !== 'invite') continue
    const { key, name, role, labels, expires, uses } = known.body
    const id = keyIdOf(key)
    // Said twice of one key: the lowest hash counts, as everywhere.
    if ((hashes.get(id) ?? hash) < hash) continue
    hashes.set(id, hash)
    const used = [...(usedBy.get(id) ?? [])].sort()
    const isClosed = closed.has(id) || !admins.has(author)
    const rest = { name, role, labels, expires, uses, usedBy: used, closed: isClosed, author, timeMs }
    invites.set(id, { id, publicKey: key, ...rest })
  }
  return sorted(invites)
}

/** The policies by name. */
export function policiesOf(newest: Newest<'policy'>): Map<string, RosterPolicy> {
  const policies = new Map<string, RosterPolicy>()
  for (const [name, [{ author }, body]] of newest) {
    const { min_version: minVersion, removed, packages, labels, keys, threshold, revision } = body
    if (!removed) policies.set(name, { name, packages, labels, keys, threshold, minVersion, revision, author })
  }
  return sorted(policies)
}

/** The network key that was announced last. */
export function networkKeyOf(newest: Newest<'network-key'>): AnnouncedNetworkKey | undefined {
  const [found] = newest.values()
  if (found === undefined) return undefined
  const [{ author, timeMs }, { check, revision }] = found
  return { check, revision, author, timeMs }
}

/** The signing keys by key id: the trusted, and the revoked. */
export function keysOf(newest: Newest<'key'>, counted: readonly Verified[]): Pick<RosterState, 'keys' | 'revokedKeys'> {
  const keys = new Map<string, RosterKey>()
  for (const [keyId, [statement, body]] of newest) {
    const { name, revision, key, expires } = body
    keys.set(keyId, { keyId, name, publicKey: key, revision, expires, author: statement.author })
  }
  const revokedKeys = new Map<string, RevokedKey>()
  for (const { known } of counted) {
    if (known?.type !== 'key-revoke') continue
    const { key, keep } = known.body
    // Of two revocations only what both keep is kept.
    const before = revokedKeys.get(key)?.keep
    const kept = before === undefined ? keep : keep.filter((digest) => before.has(digest))
    revokedKeys.set(key, { name: keys.get(key)?.name, keep: new Set(kept.sort()) })
  }
  for (const keyId of revokedKeys.keys()) keys.delete(keyId)
  return { keys: sorted(keys), revokedKeys: sorted(revokedKeys) }
}

function freeName(
  name: string,
  {
    used,
    wanted,
    tried,
  }: { used: ReadonlyMap<string, string>; wanted: ReadonlySet<string>; tried: Map<string, number> },
): string {
  if (!used.has(name)) return name
  // What was taken once stays taken: to begin anew for each of thousands of equal names would stop the node.
  for (let number = (tried.get(name) ?? 1) + 1; ; number++) {
    const candidate = `${name}-${number}`
    tried.set(name, number)
    // A suffixed name never takes the one that another node was given.
    if (!used.has(candidate) && !wanted.has(candidate)) return candidate
  }
}

function newestBySubject<T extends RevisedType>(
  counted: readonly Verified[],
  type: T,
  subjectOf: (body: Body<T>) => string,
): Newest<T> {
  const highest = new Map<string, [Verified, Body<T>][]>()
  for (const statement of counted) {
    if (statement.known?.type !== type) continue
    const body = statement.known.body as Body<T>
    const subject = subjectOf(body)
    const [known] = highest.get(subject) ?? []
    if (known === undefined || body.revision > known[1].revision) highest.set(subject, [[statement, body]])
    else if (body.revision === known[1].revision) highest.get(subject)?.push([statement, body])
  }
  return new Map([...highest].map(([subject, equal]) => [subject, lastOf(equal)]))
}

/** Of equal revisions the one that replaces the most, one after another; of those that with the lowest hash. */
function lastOf<T extends { readonly replaces: string | null }>(equal: readonly [Verified, T][]): [Verified, T] {
  const replaced = new Map(equal.map(([{ hash }, { replaces }]) => [hash, replaces]))
  const depths = new Map<string, number>()
  const depthOf = (hash: string): number => {
    const row: string[] = []
    let at: string | null = hash
    while (at !== null && replaced.has(at) && !depths.has(at)) {
      row.push(at)
      at = replaced.get(at) ?? null
    }
    let depth = at === null ? -1 : (depths.get(at) ?? -1)
    for (const each of row.reverse()) depths.set(each, ++depth)
    return depths.get(hash) as number
  }
  return equal.reduce((best, each) => {
    const [depth, most] = [depthOf(each[0].hash), depthOf(best[0].hash)]
    return depth > most || (depth === most && each[0].hash < best[0].hash) ? each : best
  })
}

function sorted<V>(map: ReadonlyMap<string, V>): Map<string, V> {
  return new Map([...map].sort(([a], [b]) => (a < b ? -1 : 1)))
}
