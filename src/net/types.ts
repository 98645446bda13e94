import type { RequestListener } from 'node:http'
import type { Duplex } from 'node:stream'
import type { Clock } from '../base/clock.ts'
import type { Counters } from '../base/counters.ts'
import type { EventBus } from '../base/events.ts'
import type { Logger } from '../base/log.ts'
import type { ConnectionKind } from './channel.ts'
import type { Dht } from './dht/index.ts'
import type { PathInfo, ReachInfo, ReachSettings, RelaySettings } from './path/types.ts'

/**
 * A stream to another node: an ordinary Duplex with back-pressure in both directions. `end()` closes the own half only.
 * `destroy()` resets it for both sides. It fails with `stream_reset` when the other side gives it up and with
 * `connection_lost` when the connection breaks; a stream that was cut never ends like a complete one. Bytes given to
 * `write` must not be changed afterwards.
 */
export interface Stream extends Duplex {
  /** Authenticated id of the other node. */
  readonly peer: string
  readonly protocol: string
}

/** Who dialled: `outbound` is this node. */
export type Direction = 'inbound' | 'outbound'

/** The answer to "may this peer be connected with this node?" The reason is shown to both sides. */
export type GateVerdict = { readonly allowed: true } | { readonly allowed: false; readonly reason: string }

/** The rules of the gate (NET-4), given by those who know the roster. Asked on every connection and dial: keep it fast. */
export interface Gate {
  allow(peer: string, direction: Direction): GateVerdict
}

/** What the membership proof needs; asked anew for every connection, so that a rotation takes effect at once. */
export interface ProofSource {
  /** Id of the network; empty without a roster. */
  networkId(): string
  /** The network keys, 32 bytes each, the one to prefer first; at most 8. */
  keys(): Uint8Array[]
}

/** A request for admission: from a peer that may have no key of this network, over a channel that ends with the answer. */
export interface AdmissionRequest {
  /** Authenticated id of who asks. */
  readonly peer: string
  /** Multiaddr from which it asks. */
  readonly address: string
  /** What it says, at most 4 KiB; hostile until checked. */
  readonly message: Uint8Array
  /** 32 bytes that both sides know and that are of this channel alone, for a signature to be bound to. */
  readonly transcript: Uint8Array
  /** Fires when the time is over or the other side has left. */
  readonly signal: AbortSignal
}

/** Answers requests for admission. */
export interface AdmissionServer {
  /** False where this peer is not even to be heard. Asked at every request: keep it fast. */
  isOpen(peer: string): boolean
  /** The answer, at most 64 KiB. Where it throws, the connection closes without a word and the attempt counts as failed. */
  answer(request: AdmissionRequest): Promise<Uint8Array>
  /** For a node that serves as a relay; without it nobody is let through. */
  readonly passages?: PassageRules | undefined
}

/** Whom a relay lets through to an admin, to ask that one for admission. */
export interface PassageRules {
  /** False where nobody is even to be heard. Asked at every request: keep it fast. */
  isOpen(): boolean
  /** The id of the admin that a request is for. Where it throws, the request is not answered, and counts as failed. */
  adminFor(request: AdmissionRequest): string
}

/** A connection that counts: its peer has answered over it. */
export interface ConnectionInfo {
  readonly peer: string
  /** Multiaddr of the other side as this connection uses it. */
  readonly address: string
  readonly direction: Direction
  readonly relayed: boolean
  readonly kind: ConnectionKind
  /** Id of the relay that it goes over; null for a direct one. */
  readonly via: string | null
  /** The other side is on a network of this machine, or on this machine. */
  readonly lan: boolean
  /** Milliseconds since 1970. */
  readonly since: number
  /** Last measured round trip in milliseconds; null until the first one. */
  readonly latencyMs: number | null
  /** Program and version that the peer names; null until it has. */
  readonly agent: string | null
  readonly encryption: 'TLS 1.3' | 'Noise' | string
  /** Name of the key exchange, such as `X25519`; null where it is not known. */
  readonly keyExchange: string | null
}

/** A connection that was not let through. */
export interface Refusal {
  /** Null until it is authenticated. */
  readonly peer: string | null
  readonly address: string
  /**
   * The error's code. `network_key_mismatch` on an outbound connection: the peer did not take this node's proof, or
   * gave none.
   */
  readonly code: string
  /** For people. */
  readonly reason: string
  /** What refused it: the rules of either side, the membership proof, or the talk about admission. */
  readonly cause: 'gate' | 'proof' | 'admission'
  readonly direction: Direction
}

/** What a network tells about its peers. */
export interface NetworkEvents {
  /** A peer answered a first request; once a peer, whatever the number of its connections. */
  connected: { peer: string }
  /** The last connection with a peer is gone. */
  disconnected: { peer: string }
  /** A peer was found on the local network. Nothing is known about it but what it says itself. */
  discovered: { peer: string; addresses: string[] }
  /** A connection was refused, by this node or the other. */
  refused: Refusal
  /** A peer that is connected was not served a protocol, by `mayServe`. */
  served_refused: { peer: string; protocol: string }
}

/** What a network needs from its surroundings. */
export interface NetworkInit {
  /** The 32-byte seed of the node's Ed25519 key. */
  privateKey: Uint8Array
  /** Multiaddrs to listen on; empty for a node that only dials. */
  listen: readonly string[]
  /** Further addresses under which the node can be reached. */
  announce?: readonly string[]
  /** `warren/VERSION`. */
  agent: string
  gate: Gate
  proof: ProofSource
  /** Answers those who ask for admission in place of the proof; without it nobody is heard. */
  admission?: AdmissionServer
  /**
   * Asked for every stream that a peer opens, but of protocols handled with `always`. The stream waits meanwhile, at
   * most 6 s; without a yes it is reset.
   */
  mayServe?: (peer: string, protocol: string) => boolean | Promise<boolean>
  /** Multiaddrs of peers to stay connected with; `/p2p/ID` at the end where the id is known. */
  staticPeers: readonly string[]
  /** Look for peers on the local network, and be found there. */
  mdns: boolean
  /** Ways of securing a connection, in the order in which a dial tries them; all three by default. */
  transports?: readonly ('tls' | 'noise' | 'websocket')[] | undefined
  /** PEM files that addresses with `/tls/ws` show; without them a self-signed certificate. */
  webCertificate?: { certificate: string; key: string } | undefined
  /** The relays to use, and whether to be one; without it there are none. */
  relay?: RelaySettings | undefined
  /** How to find out how others reach this node. */
  reach?: ReachSettings | undefined
  /** Takes part in the private table, of which these peers are; without it there is none. */
  dht?: { isMember(peer: string): boolean } | undefined
  /** Answers `GET /healthz` on the ports of this node. */
  health?: RequestListener | undefined
  /** What people call a peer, for the reasons that they read; null where it has no name. */
  nameOf?: ((peer: string) => string | null) | undefined
  /** Keeps the addresses of members over restarts; without it they are forgotten. */
  recordsFile?: string | undefined
  clock: Clock
  log: Logger
  counters: Counters
}

/** Most calls end early with a signal, and reject with its reason. */
export interface SignalOptions {
  signal?: AbortSignal | undefined
}

/** Limits of a protocol that is served. */
export interface HandleOptions {
  /** Streams of this protocol that one peer may hold open; more are reset. Default 32. */
  maxStreamsPerPeer?: number
  /** Serve it without asking `mayServe`. */
  always?: boolean
}

/** This node among its peers. */
export interface Network {
  /** The node's own peer id; known before `start`. */
  readonly id: string
  readonly events: EventBus<NetworkEvents>
  /** Multiaddrs at which this node can be reached, its id at the end; empty before `start`. */
  addresses(): string[]
  /** Multiaddrs at which a connected peer says that it listens; not tried, and empty where it has said none. */
  addressesOf(peer: string): readonly string[]
  /**
   * Listens, then begins to dial. Fails with `network_key_missing`, `port_in_use`, `listen_failed` or
   * `address_invalid`, and has then cleaned up. A network is started once.
   */
  start(options?: SignalOptions): Promise<void>
  /** Resets every stream, closes every connection and listener. Safe to call twice and before `start`. */
  stop(): Promise<void>
  /**
   * Connects to a peer id whose address is known, or to a multiaddr, and gives the id of who answered. Resolves when
   * the peer has answered a first request. Fails with `peer_unreachable`, `network_key_mismatch`, `peer_refused`,
   * `peer_not_allowed`, `peer_id_mismatch`, `address_invalid`. Lifts an earlier `disconnect`.
   */
  connect(target: string, options?: SignalOptions): Promise<string>
  /** Closes all connections with a peer and admits no new ones until `connect`. */
  disconnect(peer: string): Promise<void>
  /**
   * A new stream, over a connection that is made where there is none. Fails as `connect`, and with
   * `protocol_unsupported`; `signal` bounds the opening only.
   */
  open(peer: string, protocol: string, options?: SignalOptions): Promise<Stream>
  /**
   * Serves a protocol, also before `start`. The handler owns the stream; when it throws, the stream is reset. The
   * returned function ends the serving and leaves open streams alone.
   */
  handle(protocol: string, handler: (stream: Stream) => void | Promise<void>, options?: HandleOptions): () => void
  connections(): ConnectionInfo[]
  /** The private table; null where this node takes no part in it, or is not started. */
  readonly dht: Dht | null
  /** The path to a peer now, and why it is no better one. */
  path(peer: string): PathInfo
  /** How this node can be reached, as far as it knows. */
  reach(): ReachInfo
  /** The round trip to a peer in milliseconds, connecting where needed. Default time-out 10 s (`timed_out`). */
  ping(peer: string, options?: SignalOptions & { timeoutMs?: number }): Promise<number>
  /** Adds addresses of a peer and stays connected with it from now on, as the gate allows. */
  addAddress(peer: string, addresses: readonly string[]): Promise<void>
  /** Stops to stay connected with a peer and drops its addresses; an open connection is left alone. */
  forget(peer: string): void
  /** Asks the gate again about every connection and closes those that it no longer allows; retries the rest. */
  recheck(): void
}
