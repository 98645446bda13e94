import type { Duplex } from 'node:stream'
import type { Connection } from '@libp2p/interface'
import type { Clock } from '../../base/clock.ts'
import type { Counters } from '../../base/counters.ts'
import type { EventBus } from '../../base/events.ts'
import type { Logger } from '../../base/log.ts'
import type { ChannelUpgrader, Handle, HearStranger, StreamOpener } from '../channel.ts'
import type { SignalOptions } from '../types.ts'
import type { Refusal } from './call-target.ts'

/** What a relay gives at most (NET-6). */
export interface RelayLimits {
  readonly maxReservations: number
  /** Circuits of all peers together. */
  readonly maxCircuits: number
  /** Circuits that begin or end at one peer. */
  readonly circuitsPerPeer: number
  /** Bytes of one circuit, both ways together; 0 is no limit. */
  readonly circuitBytes: number
  /** Age of one circuit in milliseconds; 0 is no limit. */
  readonly circuitTimeMs: number
  /** Bytes a second of one peer, sent and received together over all its circuits; 0 is no limit. */
  readonly ratePerPeer: number
}

/** What a relay needs. */
export interface RelayServerInit {
  handle: Handle
  opener: StreamOpener
  /** Whether this peer may reserve, connect and be connected to. Asked often: keep it fast. */
  mayUse(peer: string): boolean
  /** The multiaddrs from which a peer is connected directly, that in use first; none where it is not. */
  observed(peer: string): readonly string[]
  limits: RelayLimits
  clock: Clock
  log: Logger
  counters: Counters
}

/** What a relay does at the moment. Times in milliseconds since 1970. */
export interface RelayServerStatus {
  readonly reservations: readonly { peer: string; since: number; circuits: number }[]
  readonly circuits: readonly { from: string; to: string; since: number; bytes: number }[]
  readonly limits: RelayLimits
}

/** Who wants to be let through, to whom, and whom it counts for. */
export interface PassageWish {
  /** Id of the stranger, as this relay has authenticated it. */
  readonly from: string
  readonly to: string
  /** Where it comes from, as limits count it. */
  readonly source: string
  /** Gives the passage up, also one that stands. */
  readonly signal: AbortSignal
}

/** A way to an admin that has taken it, and that nobody has entered yet. */
export interface Passage {
  /** Passes bytes on until both sides are closed, which the limits of a passage see to. */
  join(near: Duplex): Promise<void>
}

/** Passes bytes between peers that cannot reach each other, which are encrypted end to end. */
export interface RelayServer {
  /** Begins to serve; safe to call twice and after `stop`. */
  start(): void
  /** Tells those with a reservation, ends everything, and resolves when that is said, after 500 ms at most. */
  stop(): Promise<void>
  /** Asks `mayUse` again about everybody, and ends at once what it no longer allows. */
  recheck(): void
  /**
   * Lets a stranger through to a node with a reservation, whatever the roster says of the stranger: who calls it has
   * judged it. Gives why not where there is no such node, it refuses, or a limit is reached. Never rejects.
   */
  passage(wish: PassageWish): Promise<Passage | Refusal>
  status(): RelayServerStatus
}

/** What the client of relays needs. */
export interface RelayClientInit {
  handle: Handle
  opener: StreamOpener
  upgrader: ChannelUpgrader
  /**
   * Sees to a direct connection with a relay. With `fresh` to a new one, which streams then use: the old one is silent,
   * and dies by itself if it is dead. Rejects where the relay does not answer.
   */
  connect(relay: string, options: { fresh: boolean; signal: AbortSignal }): Promise<unknown>
  /** A multiaddr of a relay, its id at the end. */
  addressOf(relay: string): string
  /** Whether this peer is let in over a relay, before anything is known but the id that the relay names. */
  mayAnswer(peer: string): boolean
  /** The strangers that relays bring to be admitted; without it none is heard. */
  strangers?: { mayAsk(peer: string): boolean; hear: HearStranger } | undefined
  clock: Clock
  log: Logger
  counters: Counters
}

/** A reservation that this node holds. */
export interface RelayReservation {
  readonly relay: string
  /** Milliseconds since 1970. */
  readonly since: number
  readonly expires: number
  /** Last round trip; null until the first beat. */
  readonly rttMs: number | null
  /** IP address from which the relay sees this node. */
  readonly mappedIp: string | null
}

/** What the client tells. */
export interface RelayClientEvents {
  reserved: { relay: string }
  /** A connection over a relay, dialled or taken, that is proved and has answered nothing yet. */
  connected: { peer: string; connection: Connection }
  /** The reason is a sentence for people. */
  lost: { relay: string; reason: string }
  /** A relay has ended a circuit of this node and says why. */
  ended: { relay: string; peer: string; code: string; reason: string }
}

/** Reaches peers over relays, and is reached over those where it holds a reservation. */
export interface RelayClient {
  readonly events: EventBus<RelayClientEvents>
  /** Begins to keep reservations, and to answer relays where it holds one. */
  start(): void
  /** Gives all reservations back; connections over relays are the network's to close. */
  stop(): Promise<void>
  /** The relays to use, best first, by id; doubles count once, and the first 8 only. */
  setCandidates(relays: readonly string[]): void
  /** False where the node is publicly reachable: gives all reservations back, until true (as at first). */
  needed(needed: boolean): void
  /** Asks the relays at once whether they are there, and tries those again that were not: the network has changed. */
  checkNow(): void
  reservations(): RelayReservation[]
  /** True where a relay that brought a circuit of this node with a peer has seen that peer at this IP address. */
  wasSeenAt(peer: string, host: string): boolean
  /**
   * A connection with a peer over a relay, encrypted and proved end to end. Fails with `peer_unreachable` (the relay),
   * `protocol_unsupported` (it is none), the `relay_…` codes, and as the upgrade does.
   */
  dial(relay: string, peer: string, options: SignalOptions): Promise<Connection>
}
