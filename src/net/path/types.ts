import type { ConnectionKind } from '../channel.ts'
import type { RelayLimits, RelayReservation, RelayServerStatus } from '../relay/index.ts'
import type { NatReport } from '../stun/index.ts'

/** The path to a peer at this moment, and why it is no better one. */
export interface PathInfo {
  readonly state: 'direct' | 'relayed' | 'none'
  /** Null without a connection. */
  readonly kind: ConnectionKind | null
  /** Id of the relay that it goes over. */
  readonly via: string | null
  readonly lan: boolean
  /** Why it is not direct, or why there is none; null where it is direct, or where nothing was tried. */
  readonly why: string | null
  /** When a path was last looked for, in milliseconds since 1970; null if never. */
  readonly triedMs: number | null
}

/** Whether others can dial this node, as found out or as the config says. */
export type Reachability = 'public' | 'private' | 'unknown'

/** The clock of another node, compared with this one's. */
export interface ClockOffset {
  readonly peer: string
  /** Positive where the other clock is ahead. */
  readonly offsetMs: number
  /** The true offset is this near to it at most. */
  readonly boundMs: number
  /** When it was measured, in milliseconds since 1970. */
  readonly at: number
}

/** How this node can be reached, as far as it knows. */
export interface ReachInfo {
  readonly reachability: Reachability
  /** What lies between this node and others; null until it was measured. */
  readonly nat: NatReport | null
  /** Addresses that the router forwards to this node. */
  readonly mapped: readonly string[]
  /** Relays that keep a way to this node open. */
  readonly reservations: readonly RelayReservation[]
  /** Relays that this node would use, best first. */
  readonly relays: readonly string[]
  /** What this node does as a relay; null where it is none. */
  readonly relay: RelayServerStatus | null
  readonly clocks: readonly ClockOffset[]
}

/** How a network uses relays, and serves as one. */
export interface RelaySettings {
  /** Multiaddrs of the relays to use, their ids at the end. */
  readonly servers: readonly string[]
  /** False for a node that nobody needs to reach, as that of a deploy token. */
  readonly reserve?: boolean
  /** `auto`: where this node's role is relay, or others can dial it. */
  readonly serve: 'auto' | 'always' | 'never'
  readonly limits: RelayLimits
  /** Whether a peer may reserve here, and connect and be connected to over this node. */
  mayUse(peer: string): boolean
  /** Whether it is a peer's role to be a relay, or this node's own. */
  isRelay(peer: string): boolean
}

/** How a network finds out how it can be reached, and gets through. */
export interface ReachSettings {
  /** `auto`: found out by asking peers to dial back. */
  readonly force: 'auto' | Exclude<Reachability, 'unknown'>
  /** STUN servers besides the network's own relays, as `HOST:PORT`. */
  readonly stunServers: readonly string[]
  /** Ask the router to forward the ports. */
  readonly portMapping: boolean
}
