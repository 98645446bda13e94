import type { Role } from '../../api/contract.ts'
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
  /** The admin that said so. */
  readonly author: string
}

/** A trusted package signing key. */
export interface RosterKey {
  readonly keyId: string
  readonly name: string
  readonly publicKey: Uint8Array
  readonly revision: number
  readonly author: string
}

/** Something in the roster that a person should look at. */
export interface Alarm {
  /**
   * `log_fork`: an admin signed two different entries at one place of its log; `admins_fork`: two different next admin
   * sets; `duplicate_name`: equal names; `not_understood`: a statement of a newer release, kept and not applied.
   */
  readonly code: 'log_fork' | 'admins_fork' | 'duplicate_name' | 'not_understood'
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
  /** Ids of revoked keys, with the name each had, for good. */
  readonly revokedKeys: ReadonlyMap<string, string | undefined>
  readonly admins: ReadonlyMap<string, Admin>
  readonly adminVersion: number
  /** Newest time that an admin signed; clocks that are behind it are known to be. */
  readonly newestTimeMs: number
  readonly alarms: readonly Alarm[]
}

/**
 * The role of an id: undefined for a stranger, a removed node, and one whose membership has expired by the local clock
 * or by the newest time that an admin signed, whichever is later.
 */
export function rightsOf(state: RosterState, id: string, nowMs: number): Role | undefined {
  if (state.removed.has(id)) return undefined
  const node = state.nodes.get(id)
  const expires = node?.expires ?? null
  if (expires !== null && Math.max(nowMs, state.newestTimeMs) >= expires) return undefined
  return state.admins.has(id) ? 'admin' : node?.role
}
