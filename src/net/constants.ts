/** Time for the whole membership proof: four short messages, so a slow relay on another continent needs 1 s of it. */
export const PROOF_TIMEOUT_MS = 5_000
/** The same on the side that dialled: it has chosen to wait, and a node that a whole fleet dials at once answers late. */
export const DIALLER_PROOF_TIMEOUT_MS = 15_000
/** No message of the proof is longer; the longest real one holds eight proofs of 32 bytes. */
export const PROOF_MAX_BYTES = 512
/** Network keys tried at once: one, or two during a rotation; the rest is room for rotations that overlap. */
export const MAX_NETWORK_KEYS = 8
/** How long a listener that refuses a proven peer waits for it to read the answer and leave. */
export const REFUSAL_LINGER_MS = 1_000

/** Time for a whole talk about admission: the answer may wait for a disk and for talks before it. */
export const ADMISSION_TIMEOUT_MS = 15_000
/** A request holds a signature or two and a few names. */
export const ADMISSION_REQUEST_BYTES = 4 * 1024
/** An answer holds what a new node begins with: the founding statement with its signatures, and keys. */
export const ADMISSION_ANSWER_BYTES = 64 * 1024
/** Before a request that was not answered well is closed: nobody tries fast. */
export const ADMISSION_REFUSAL_DELAY_MS = 1_000
/** Requests of one address (IPv6: one /64) that may fail: one who mistypes gets on, one who guesses does not. */
export const ADMISSION_SOURCE_RATE = { burst: 5, perSecond: 0.1, maxKeys: 4096 }
/** Requests of all together that may fail, so that many addresses cannot make a node check signatures without end. */
export const ADMISSION_TOTAL_RATE = { burst: 20, perSecond: 5, maxKeys: 1 }
/** Time for a passage over a relay: for the relay to ask the admin, and then for the talk with that one. */
export const PASSAGE_TIMEOUT_MS = 20_000
/** Bytes of a passage, both ways: two handshakes with their certificates, the longest request and the longest answer. */
export const PASSAGE_BYTES = 256 * 1024
/** From the first try at one address to that of the next, where the one before has not failed by then (RFC 8305). */
export const ADMISSION_STAGGER_MS = 250
/** Addresses that are tried at once. */
export const ADMISSION_DIALS = 8
/** Time for asking one address, all told; the other side has 15 s from its hello. */
export const ADMISSION_ADDRESS_TIMEOUT_MS = 20_000

/** Time for a protocol's "may this peer?"; one that waits for news of other nodes needs a second or two of it. */
export const MAY_SERVE_TIMEOUT_MS = 6_000

/** Largest Yamux window: what a paused stream can still be sent. libp2p's 16 MiB resets slow readers at 4 MiB. */
export const STREAM_WINDOW_BYTES = 1024 * 1024
/** The first Yamux window; the specification's value. */
export const INITIAL_WINDOW_BYTES = 256 * 1024
/** Bytes that a stream holds for a reader before it pauses, and for a writer before `write` says wait. */
export const STREAM_QUEUE_BYTES = 256 * 1024
/** Streams of one protocol that a peer may hold open unless the protocol says otherwise (NET-12). */
export const MAX_STREAMS_PER_PEER = 32
/** Streams in all that a connection may carry. */
export const MAX_STREAMS_PER_CONNECTION = 1_000
/** Time for opening a stream to a connected peer: one round trip and the look-up of a handler. */
export const OPEN_TIMEOUT_MS = 10_000

/** libp2p admits 5 a second from one address; a fleet behind one NAT, or on one machine, comes back at once. */
export const INBOUND_CONNECTIONS_PER_SECOND = 500
/** Handshakes in progress; raised together with the rate above, from 10. */
export const MAX_PENDING_CONNECTIONS = 500
/** Of these from one address (IPv6: one /64): a fleet behind one NAT coming back, and still three quarters for others. */
export const MAX_PENDING_PER_SOURCE = 125
/**
 * Failed proofs of one address (IPv6: one /64): a handshake costs several milliseconds, so that one stranger could else
 * keep a processor busy. A fleet behind one NAT that was away while the key changed is through within a minute.
 */
export const FAILED_PROOF_RATE = { burst: 200, perSecond: 20, maxKeys: 4096 }
/** Connections in all; above it the least useful are closed. A full mesh of 500 nodes, each for a moment twice. */
export const MAX_CONNECTIONS = 1_000
/** Of these with one peer: two for a moment, or one for each of the jobs that run with the same deploy token. */
export const MAX_CONNECTIONS_PER_PEER = 32
/** Time for a dial, all addresses of the peer together. */
export const DIAL_TIMEOUT_MS = 15_000
/** Time for one address of a dial with every way of securing it; one where no port answers costs 5 s of it. */
export const ADDRESS_DIAL_TIMEOUT_MS = 13_000

/**
 * Round trips are measured this often. A miss is followed by another beat at once, and two end a connection, so that a
 * vanished peer is noticed in 50 s.
 */
export const PING_INTERVAL_MS = 30_000
export const PING_TIMEOUT_MS = 10_000
export const MAX_MISSED_PINGS = 2
/** The first answered request on a new connection, without which it does not count as connected. */
export const FIRST_PING_TIMEOUT_MS = 5_000
/** How often a connection that another one replaces is looked at, to close it once its streams have ended. */
export const RETIRED_CHECK_MS = 2_000

/** First retry of a lost or failed peer; a restarted node should be back within a second. */
export const FIRST_RETRY_MS = 250
export const MIN_RETRY_MS = 1_000
export const MAX_RETRY_MS = 60_000
/** Addresses kept for a peer; they come from others, so there is an end to them. */
export const MAX_ADDRESSES_PER_PEER = 16
/** Peers that this node tries to stay connected with; discovery cannot grow the list beyond it. */
export const MAX_WANTED_PEERS = 2_000

/** Of these dialled at once: a fleet's handshakes take seconds of a processor, and the dead must not hold up the rest. */
export const MAX_PARALLEL_ATTEMPTS = 64
/** Dialled at once at first: each that is over soon makes room for one more. */
export const FIRST_PARALLEL_ATTEMPTS = 4
/** Where the machine does not keep up: one connection that comes about is better than thirty that run out of time. */
export const MIN_PARALLEL_ATTEMPTS = 1
/** A timer that is so late is that of a machine that does not keep up; a busy moment costs some tens of milliseconds. */
export const OVERLOADED_AFTER_MS = 100
/** An attempt that succeeds only after so long, on a way around the world too, tells of a machine that does not keep up. */
export const SLOW_ATTEMPT_MS = 2_000
/** An attempt counts so long: by then TCP has given up on an address at which nobody is. */
export const ATTEMPT_COUNTS_MS = 5_000

/** Addresses kept of those that are announced for a peer: fewer than are tried at once, so that others are tried too. */
export const MAX_DISCOVERED_ADDRESSES = 3
/** Announcements of a peer that have it dialled: some while it starts, then one each time that somebody asks for it. */
export const DISCOVERY_RATE = { burst: 5, perSecond: 0.1, maxKeys: 4_096 }

/** mDNS name of Warren's service, so that other libp2p programs are neither found nor asked. */
export const MDNS_SERVICE = '_warren._udp.local'
export const MDNS_INTERVAL_MS = 10_000

export const PING_PROTOCOL = '/ipfs/ping/1.0.0'
export const PING_BYTES = 32
/** Pings at once from a peer: its own beat, a first ping, and a few people. */
export const MAX_PING_STREAMS = 16

/**
 * Streams that a peer may open over all protocols (NET-12). The busiest honest one, a deploy that moves and reports,
 * opens some ten a second; a burst covers a fleet's summaries and exchanges after a restart.
 */
export const STREAM_RATE = { perSecond: 100, burst: 500, maxKeys: 4096 }

/** Why a peer is not dialled that a person has disconnected. */
export const HELD = 'it was disconnected by hand'

/** An option for new streams: their protocol is said without waiting for the answer (transport/early-protocol.ts). */
export const EARLY = { early: true }
