import type { Role } from '../api/contract.ts'
import type { Grant } from '../api/index.ts'
import { keyIdOf, type Signer } from './ed25519.ts'
import { identityErrors } from './errors.ts'
import { toBase64 } from './roster/genesis.ts'
import type { Roster, StatementDraft } from './roster/roster.ts'
import type { RosterNode } from './roster/state.ts'
import type { Statement } from './roster/statement.ts'

export * from './root-changes.ts'

/** Who makes a change: an admin, by its authority key. */
export interface Author {
  readonly roster: Roster
  readonly authority: Signer
  /** Node id of the admin. */
  readonly authorId: string
}

/** What is said of a node. */
export interface NodeDetails {
  readonly id: string
  readonly name: string
  readonly role: Role
  readonly labels?: Readonly<Record<string, string>>
  /** Milliseconds since 1970; null or missing: never. */
  readonly expires?: number | null
  /** Default `node`. */
  readonly kind?: 'node' | 'token'
  readonly grants?: readonly Grant[]
  /** Key id of the invite that it joins by. */
  readonly invite?: string | null
}

/** What is to be said anew of a node; the rest stays. */
export type NodeChange = Partial<Pick<NodeDetails, 'name' | 'role' | 'labels' | 'expires' | 'grants'>>

/**
 * Adds a node to the network, or says all of it anew, at the next revision. Role `admin` counts only for ids of the
 * admin set. Fails with `node_removed`, and as `Roster.append` does.
 */
export async function addNode(author: Author, details: NodeDetails): Promise<Statement> {
  const { id, name, role, labels = {}, expires = null, kind = 'node', grants = [], invite = null } = details
  const { state } = author.roster
  if (state.removed.has(id)) throw removedForGood(id, name)
  const next = author.roster.nextRevision('nodes', id)
  const body = { id, name, role, labels: { ...labels }, expires, ...next, kind, grants: grants.map(copyOf), invite }
  return write(author, { type: 'node', body })
}

/**
 * Changes what is said of a node. That an admin says it also confirms a node that waits. Fails with `node_unknown`, and
 * as `Roster.append` does.
 */
export async function changeNode(author: Author, id: string, change: NodeChange): Promise<Statement> {
  const { name, role, labels, expires, kind, grants } = nodeOf(author, id)
  return addNode(author, { id, name, role, labels, expires, kind, grants, ...change })
}

/**
 * Removes an id for good; of an admin all that it has signed so far goes on to count. Also an id that only void
 * statements name. Fails with `node_unknown`, `node_removed` where it is done already, `last_admin`, and as
 * `Roster.append` does.
 */
export async function removeNode(author: Author, id: string): Promise<Statement> {
  const { roster } = author
  const { nodes, admins, removed } = roster.state
  if (removed.has(id)) throw removedForGood(id, nodes.get(id)?.name)
  if (!roster.isNamed(id)) throw unknownNode(id)
  checkNotLast(author, id)
  // Without a cut-off nothing that an admin, also a former one, ever signed would count.
  const last = roster.placeOf(id) ?? (admins.has(id) ? { seq: 0, hash: roster.networkId } : undefined)
  return write(author, { type: 'node-remove', body: last === undefined ? { id } : { id, last } })
}

/**
 * Makes a node an admin, by the next admin set; what is said of the node says so too. Fails with `node_unknown`,
 * `admin_exists`, with `admin_left` where it was one before, and as `Roster.append` does.
 */
export async function admitAdmin(
  author: Author,
  { id, authority }: { id: string; authority: Uint8Array },
): Promise<Statement> {
  const { roster } = author
  const { name } = nodeOf(author, id)
  if (roster.state.admins.has(id)) throw identityErrors.admin_exists(`${name} is an admin already`)
  if (roster.adminSet.left.has(id) || roster.adminSet.admins.has(id)) {
    throw identityErrors.admin_left(`${name} was an admin before, and cannot become one again under its identity`, {
      hint: 'That machine can join anew, as another node: warren --home FOLDER join CODE',
    })
  }
  const statement = await write(author, nextAdmins(roster, { add: { id, authority } }))
  // With its invite: where another admin gave that to somebody else at the same time, both are to wait.
  await addNode(author, { ...nodeOf(author, id), role: 'admin' })
  return statement
}

/**
 * Takes an admin out of the admin set, by the next one. What it has signed so far goes on to count, and it stays a node,
 * with `role`. Fails with `node_unknown` where it is no admin, `last_admin`, and as `Roster.append` does.
 */
export async function dismissAdmin(author: Author, id: string, role: Role = 'member'): Promise<Statement> {
  const { roster } = author
  if (!roster.state.admins.has(id)) throw identityErrors.node_unknown(`${id} is not an admin of this network`)
  checkNotLast(author, id)
  const restate = async (): Promise<unknown> => roster.state.nodes.has(id) && changeNode(author, id, { role })
  // After its own dismissal it could not say so any more.
  if (id === author.authorId) await restate()
  const statement = await write(author, nextAdmins(roster, { drop: id }))
  if (id !== author.authorId) await restate()
  return statement
}

/** What an invite allows. */
export interface InviteDetails {
  readonly publicKey: Uint8Array
  /** Null: whoever joins says it. */
  readonly name: string | null
  readonly role: Role
  readonly labels: Readonly<Record<string, string>>
  /** Milliseconds since 1970. */
  readonly expires: number
  readonly uses: number
}

/** Lets whoever has the secret of a key join. Fails as `Roster.append` does. */
export async function createInvite(author: Author, details: InviteDetails): Promise<Statement> {
  const { publicKey, labels, ...rest } = details
  return write(author, { type: 'invite', body: { key: toBase64(publicKey), labels: { ...labels }, ...rest } })
}

/** Ends an invite, by its key id, for good. Fails with `invite_unknown`, and as `Roster.append` does. */
export async function closeInvite(author: Author, inviteId: string): Promise<Statement> {
  if (!author.roster.state.invites.has(inviteId)) {
    throw identityErrors.invite_unknown(`there is no invite ${inviteId}`, { hint: 'List them: warren invites' })
  }
  return write(author, { type: 'invite-close', body: { invite: inviteId } })
}

/** Announces the next network key by its check value. Fails as `Roster.append` does. */
export async function announceNetworkKey(author: Author, check: string): Promise<Statement> {
  return write(author, { type: 'network-key', body: { check, ...author.roster.nextRevision('networkKey') } })
}

/**
 * Trusts a package signing key in the whole network, under a name for people, for good or until `expires` (milliseconds
 * since 1970). A revoked one stays revoked. Fails as `Roster.append` does.
 */
export async function trustKey(
  author: Author,
  { publicKey, name, expires = null }: { publicKey: Uint8Array; name: string; expires?: number | null },
): Promise<Statement> {
  const next = author.roster.nextRevision('keys', keyIdOf(publicKey))
  return write(author, { type: 'key', body: { key: toBase64(publicKey), name, ...next, expires } })
}

/** Revokes a signing key for good; packages with the digests in `keep` are accepted all the same. Fails as `Roster.append`. */
export async function revokeKey(
  author: Author,
  { keyId, keep = [] }: { keyId: string; keep?: readonly string[] },
): Promise<Statement> {
  return write(author, { type: 'key-revoke', body: { key: keyId, keep: [...keep] } })
}

/** What packages of some names need on some nodes; see `RosterPolicy`. */
export interface PolicyDetails {
  readonly name: string
  readonly packages: readonly string[]
  readonly labels: string
  readonly keys: readonly string[]
  readonly threshold: number
  readonly minVersion: string | null
}

/** Makes a policy, or says it anew. Fails as `Roster.append` does. */
export async function setPolicy(author: Author, details: PolicyDetails): Promise<Statement> {
  return writePolicy(author, details, false)
}

/** Ends a policy. Fails with `policy_unknown`, and as `Roster.append` does. */
export async function removePolicy(author: Author, name: string): Promise<Statement> {
  const policy = author.roster.state.policies.get(name)
  if (policy === undefined) {
    throw identityErrors.policy_unknown(`there is no policy "${name}"`, { hint: 'See them: warren policies' })
  }
  return writePolicy(author, policy, true)
}

async function writePolicy(author: Author, details: PolicyDetails, removed: boolean): Promise<Statement> {
  const { name, packages, labels, keys, threshold, minVersion } = details
  const next = author.roster.nextRevision('policies', name)
  const lists = { packages: [...packages], keys: [...keys] }
  const body = { name, ...lists, labels, threshold, min_version: minVersion, removed, ...next }
  return write(author, { type: 'policy', body })
}

/** The admin set after the one that holds. Who was removed from the network since then leaves it too. */
function nextAdmins(
  roster: Roster,
  { add, drop }: { add?: { id: string; authority: Uint8Array }; drop?: string },
): StatementDraft {
  const { version, hash, root, admins } = roster.adminSet
  const isStaying = (id: string): boolean => roster.state.admins.has(id) && id !== drop
  const staying = [...admins.values()].filter(({ id }) => isStaying(id))
  const removed = [...admins.keys()]
    .filter((id) => !isStaying(id))
    .map((id) => ({ id, ...(roster.placeOf(id) ?? { seq: 0, hash: roster.networkId }) }))
  const next = [...staying, ...(add === undefined ? [] : [add])]
  const body = {
    version: version + 1,
    previous: hash,
    root: toBase64(root),
    threshold: 1 as const,
    admins: next.map(({ id, authority }) => ({ id, authority: toBase64(authority) })),
    removed,
  }
  return { type: 'admins', body }
}

function nodeOf({ roster }: Author, id: string): RosterNode {
  const node = roster.state.nodes.get(id)
  if (node === undefined) throw unknownNode(id)
  return node
}

function unknownNode(id: string): Error {
  return identityErrors.node_unknown(`there is no node ${id} in this network`, { hint: 'List them: warren nodes' })
}

function removedForGood(id: string, name = id): Error {
  return identityErrors.node_removed(`${name} (${id}) was removed from this network, which is for good`, {
    hint: 'That machine can join anew, as another node: warren --home FOLDER join CODE',
  })
}

function checkNotLast({ roster }: Author, id: string): void {
  const { admins, nodes } = roster.state
  if (!admins.has(id) || admins.size > 1) return
  throw identityErrors.last_admin(`${nodes.get(id)?.name ?? id} is the last admin of this network`, {
    hint: 'Make another node an admin first.',
  })
}

function copyOf({ role, apps, services, expires }: Grant) {
  return { role, apps: apps && [...apps], services: services && [...services], expires }
}

function write({ roster, authority, authorId }: Author, draft: StatementDraft): Promise<Statement> {
  return roster.append({ signer: authority, authorId }, draft)
}
