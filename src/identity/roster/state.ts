import type { Role } from '../../api/contract.ts'
import type { Grant, Rights } from '../../api/index.ts'
import type { Admin } from './genesis.ts'

/** A node of the network, as its newest statement has it. */
export interface RosterNode {
  readonly id: string
  /** Unique in the state: of nodes with equal names all but the one with the lowest id get a suffix. */
  readonly name: string
  /** `admin` exactly where the id is in the admin set; a statement that says so of another is read as `member`. */
  readonly role: Role
  readonly labels: Readonly<Record<string, string>>
  /** Milliseconds since 1970 from which it has no role; null: never. */
  readonly expires: number | null
  readonly revision: number
  /** `token`: an identity for a job that deploys; it runs nothing and is nobody's target. */
  readonly kind: 'node' | 'token'
  /** Rights beside the role, narrowed to apps or services. */
  readonly grants: readonly Grant[]
  /** Key id of the invite by which it joined, until an admin changes it. */
  readonly invite: string | null
  /** Joined by an invite that was used more often than it allows: no rights until an admin confirms it. */
  readonly waiting: boolean
  /** The admin that said so. */
  readonly author: string
}

/** An invitation, open or not. */
export interface RosterInvite {
  /** Key id of its public key. */
  readonly id: string
  readonly publicKey: Uint8Array
  readonly name: string | null
  readonly role: Role
  readonly labels: Readonly<Record<string, string>>
  /** Milliseconds since 1970. */
  readonly expires: number
  readonly uses: number
  /** Node ids that joined by it, removed ones too. */
  readonly usedBy: readonly string[]
  readonly closed: boolean
  readonly author: string
  /** Milliseconds since 1970 by the author's clock. */
  readonly timeMs: number
}

/** What some packages need on some nodes, beyond a signature by any trusted key. */
export interface RosterPolicy {
  readonly name: string
  /** Names of packages, with `*` at the end for any rest. */
  readonly packages: readonly string[]
  /** A label selector; empty: every node. */
  readonly labels: string
  /** Key ids; empty: every trusted key counts. */
  readonly keys: readonly string[]
  readonly threshold: number
  readonly minVersion: string | null
  readonly revision: number
  readonly author: string
}

/** The network key that nodes should hold, by its check value; see `networkKeyCheck`. */
export interface AnnouncedNetworkKey {
  readonly check: string
  readonly revision: number
  readonly author: string
  /** Milliseconds since 1970 by the author's clock. */
  readonly timeMs: number
}

/** A signing key that was revoked. */
export interface RevokedKey {
  /** The name that it had, where it was trusted. */
  readonly name: string | undefined
  /** Digests of packages that are accepted all the same. */
  readonly keep: ReadonlySet<string>
}

/** A trusted package signing key. */
export interface RosterKey {
  readonly keyId: string
  readonly name: string
  readonly publicKey: Uint8Array
  readonly revision: number
  /** Milliseconds since 1970 from which it counts no more; null: never. */
  readonly expires: number | null
  readonly author: string
}

/** Something in the roster that a person should look at. */
export interface Alarm {
  /**
   * `log_fork`: an admin signed two different entries at one place of its log; `admins_fork`: two different next admin
   * sets; `duplicate_name`: equal names; `not_understood`: a statement of a newer release, kept and not applied;
   * `invite_overused`: more nodes joined by an invite than it allows; `roster_large`: a checkpoint is due.
   */
  readonly code: 'log_fork' | 'admins_fork' | 'duplicate_name' | 'not_understood' | 'invite_overused' | 'roster_large'
  /** The admin, name, or version that it is about. */
  readonly subject: string
  readonly message: string
}

/** What the statements add up to: the same on every node that holds the same ones. Never changed, only replaced. */
export interface RosterState {
  readonly networkId: string
  readonly nodes: ReadonlyMap<string, RosterNode>
  /** Ids that were removed, for good. */
  readonly removed: ReadonlySet<string>
  /** By key id. */
  readonly keys: ReadonlyMap<string, RosterKey>
  /** By key id, for good. */
  readonly revokedKeys: ReadonlyMap<string, RevokedKey>
  /** By key id. */
  readonly invites: ReadonlyMap<string, RosterInvite>
  /** By name. */
  readonly policies: ReadonlyMap<string, RosterPolicy>
  /** Undefined until the first rotation: the key that the network began with. */
  readonly networkKey: AnnouncedNetworkKey | undefined
  /** The root key now. */
  readonly root: Uint8Array
  readonly admins: ReadonlyMap<string, Admin>
  readonly adminVersion: number
  /** Newest time that an admin signed; clocks that are behind it are known to be. */
  readonly newestTimeMs: number
  readonly alarms: readonly Alarm[]
}

/**
 * What an id may do: undefined for a stranger, a removed node, one that waits for an admin, and one whose membership has
 * expired by the local clock or by the newest time that an admin signed, whichever is later. Grants are judged alike.
 */
export function rightsOf(state: RosterState, id: string, nowMs: number): Rights | undefined {
  if (state.removed.has(id)) return undefined
  const latestMs = Math.max(nowMs, state.newestTimeMs)
  const isOver = (expires: number | null): boolean => expires !== null && latestMs >= expires
  const node = state.nodes.get(id)
  if (node !== undefined && (node.waiting || isOver(node.expires))) return undefined
  const role = state.admins.has(id) ? 'admin' : node?.role
  return role === undefined
    ? undefined
    : { role, grants: (node?.grants ?? []).filter((grant) => !isOver(grant.expires)) }
}
