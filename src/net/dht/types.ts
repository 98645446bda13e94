import type { Connection, Libp2p } from '@libp2p/interface'
import type { Clock } from '../../base/clock.ts'
import type { Counters } from '../../base/counters.ts'
import type { EventBus } from '../../base/events.ts'
import type { Logger } from '../../base/log.ts'
import type { Signer } from '../../identity/index.ts'
import type { SignalOptions } from '../types.ts'

/** What the table needs from the network that it runs in. */
export interface DhtInit {
  /** The libp2p host, started or not. */
  host: Pick<Libp2p, 'peerId' | 'getMultiaddrs' | 'handle' | 'unhandle'>
  /** The node's key; signs records. */
  signer: Signer
  /** Does this peer carry the table? Nodes of the roster, but no tokens. Asked often: keep it fast. */
  isMember(peer: string): boolean
  /** Peers that are connected and have answered. */
  connected(): readonly string[]
  isConnected(peer: string): boolean
  /** Addresses at which a peer can be reached, as far as this node knows; empty where it knows none. */
  addressesOf(peer: string): readonly string[]
  /**
   * The connection to use with a peer; makes one where there is none, over whatever path there is, trying `addresses`
   * (other members' word) too.
   */
  connect(peer: string, options: { addresses: readonly string[] }): Promise<Connection>
  /** Multiaddrs and peer ids that a bootstrap may begin with: configured relays and peers, known members. */
  seeds(): readonly string[]
  /** Connects to a seed and gives the id of who answered. */
  reach(seed: string, options: SignalOptions): Promise<string>
  /** The network's `connected` and `disconnected`. */
  events: Pick<EventBus<{ connected: { peer: string }; disconnected: { peer: string } }>, 'on'>
  clock: Clock
  log: Logger
  counters: Counters
}

/** What a bootstrap has come to. */
export interface BootstrapOutcome {
  /** Contacts in the table now. */
  readonly contacts: number
  /** What was tried, with the reason where nobody answered. */
  readonly tried: readonly { readonly seed: string; readonly error: string | null }[]
}

/** A record as its author has signed it. */
export interface DhtRecord {
  readonly key: string
  /** Peer id of who signed it. */
  readonly author: string
  readonly value: Uint8Array
  readonly sequence: number
  /** Milliseconds since 1970. */
  readonly expiresMs: number
}

/** What `put` takes besides key and value. */
export interface PutOptions extends SignalOptions {
  /** Records with a higher one replace those with a lower. Default: the time in milliseconds. */
  sequence?: number
  /** How long it counts after this node has last renewed it; default and at most 48 h. */
  ttlMs?: number
}

/** What `findProviders` may be told. */
export interface FindOptions extends SignalOptions {
  /** Ends after so many; default and at most 12. */
  limit?: number
  /** Default 10 s. */
  timeoutMs?: number
}

/** How much there is. */
export interface DhtStatus {
  readonly contacts: number
  /** Kept for the network, one's own among it. */
  readonly providers: number
  readonly records: number
  readonly recordBytes: number
  /** Keys that this node provides, and records that it renews. */
  readonly own: number
}

/**
 * The private table of the network: who provides what, small signed records, and where a member is. Nothing is kept on
 * disk: who provides or puts does so again after a restart, and says it anew every half hour while it runs.
 */
export interface Dht {
  /** Loads the library and serves. Fails with nothing of its own. */
  start(): Promise<void>
  /** Ends all lookups and serves no more. Safe to call twice. */
  stop(): Promise<void>
  /** Connects to all seeds and looks at the own surroundings. Rejects only with the signal's reason. */
  bootstrap(options?: SignalOptions): Promise<BootstrapOutcome>
  /** Multiaddrs of a member as others know them, tried by nobody; empty where nobody knows it. */
  findPeer(peer: string, options?: SignalOptions): Promise<string[]>
  /**
   * Says that this node has what `key` (at most 1 KiB) means, and says it again until `withdraw`. Gives the number of
   * other nodes that were told; 0 where there are none yet: they are told when they come.
   */
  provide(key: Uint8Array, options?: SignalOptions): Promise<number>
  /** No longer says so; what others have heard expires within two hours. */
  withdraw(key: Uint8Array): Promise<void>
  /** Ids of members that say they have it, each once, as they are found; this node's own among them. */
  findProviders(key: Uint8Array, options?: FindOptions): AsyncIterable<string>
  /**
   * Signs and stores a record under `/warren/…`, and renews it until `remove`. Under `/warren/node/ID/…` only the node
   * with that id may. Gives the number of other nodes that keep it. Fails with `dht_record_invalid` or `dht_full`.
   */
  put(key: string, value: Uint8Array, options?: PutOptions): Promise<number>
  /** Renews the record no longer; it expires. */
  remove(key: string): void
  /** The record with the highest sequence that is found; undefined where there is none. */
  get(key: string, options?: SignalOptions): Promise<DhtRecord | undefined>
  /** Contacts in the table. */
  size(): number
  status(): DhtStatus
  /** Asks `isMember` again about every contact, and drops the others. */
  recheck(): void
}
