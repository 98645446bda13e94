/** Dialler or client to relay: reserve, connect. */
export const RELAY_PROTOCOL = '/warren/relay/1'
/**
 * Relay to client. A protocol of its own, so that a node that is no relay says so at once (`protocol_unsupported`), and
 * so that what a relay may open here has limits apart from what this node, as a relay, lets others open.
 */
export const STOP_PROTOCOL = '/warren/relay-stop/1'

/** No head is longer; the longest real one names an address and a sentence. */
export const HEAD_BYTES = 2 * 1024
/** Time for a request to arrive once its stream is open. */
export const HEAD_TIMEOUT_MS = 5_000
/** Time for a target to take a circuit: a round trip, and a slow machine. The dialler is told when it is over. */
export const TARGET_TIMEOUT_MS = 5_000
/** Time for a relay's answer to `connect`: the target's, and the way to a relay on another continent. */
export const CONNECT_TIMEOUT_MS = 8_000
/** Time in which a circuit must become a connection: two handshakes over two links. */
export const UPGRADE_TIMEOUT_MS = 15_000
/** How long a refused stream may stay open for its peer to read why. */
export const REFUSAL_LINGER_MS = 1_000
/** How long a relay that ends a circuit, or stops, waits for its reasons to leave. */
export const NOTICE_TIMEOUT_MS = 500

/** A relay holds a reservation this long from its last renewal. Clients renew at half of it. */
export const RESERVATION_MS = 3_600_000
/** What a client takes as the time of a reservation; later releases may hold them longer. */
export const MAX_RESERVATION_MS = 7 * 24 * 3_600_000
/** Beats on a client's first relay: it is the way to the node, so its loss is noticed in 5 s. */
export const FIRST_BEAT_MS = 3_000
/** Beats on the relays in reserve: cheap enough for a metered link. */
export const OTHER_BEAT_MS = 15_000
/** What a relay takes as a client's distance of beats. */
export const MIN_BEAT_MS = 1_000
export const MAX_BEAT_MS = 60_000
/** A relay gives a reservation up after this many distances without a word: two missed beats and their way. */
export const SILENT_BEATS = 3
/** Beats of a peer, beyond which its reservation ends: the fastest honest ones come once a second. */
export const BEAT_RATE = { perSecond: 2, burst: 20, maxKeys: 4096 }
/** A beat on the first relay counts as missed after four round trips, but not before this: one lost packet is not two. */
export const FIRST_ANSWER_MS = 750
/** The same on relays in reserve: nothing is in a hurry there. */
export const OTHER_ANSWER_MS = 3_000
/** However long round trips are. */
export const MAX_ANSWER_MS = 5_000
/** A missed beat is followed by another at once; this many missed end a reservation. */
export const MISSED_BEATS = 2

/** Requests of a peer. A node that comes back makes one for each relayed peer at once. */
export const REQUEST_RATE = { perSecond: 5, burst: 40, maxKeys: 4096 }
/** Streams that a peer may hold at a relay besides its circuits: its reservation, the one before it, and requests. */
export const EXTRA_STREAMS = 8
/**
 * Circuits between the same two peers: one carries all their streams, the next replaces it; more, so that jobs with one
 * deploy token can work at once. Keeps a peer from using up the circuits of another.
 */
export const CIRCUITS_PER_PAIR = 4
/** Addresses at which a relay says that it sees a peer: one a family, and those of a change of networks. */
export const MAX_SEEN = 4
/** Peers whose addresses, as relays saw them, are remembered: more than a fleet has nodes behind NAT. */
export const MAX_SEEN_PEERS = 2_000
/** Traffic that may come in one go where a rate is set. */
export const RATE_BURST_MS = 1_000

/** Streams that a relay may hold open here: its circuits, and notices. */
export const STOP_STREAMS = 64
/** Passages of strangers at once: through a relay, of these from one address, and to one admin. Each is over in a second. */
export const PASSAGES = { inAll: 64, bySource: 32, byAdmin: 32 }
/** New ones from one address (IPv6: one /64): a fleet behind one NAT at once. Who holds no secret gets none. */
export const PASSAGE_RATE = { perSecond: 2, burst: 40, maxKeys: 4096 }
/** Strangers that a relay may bring here. Each costs a handshake, and what it asks is limited by the desk for admission. */
export const STRANGER_RATE = { perSecond: 5, burst: 40, maxKeys: 64 }
/** Circuits that a relay may bring here. Each costs a handshake. */
export const STOP_RATE = { perSecond: 10, burst: 40, maxKeys: 64 }

/** Reservations that a client keeps: one in use, and one for the seconds in which a relay restarts. */
export const KEPT_RELAYS = 2
/** Candidates that count: each that fails is tried again, so there is an end to them. */
export const MAX_CANDIDATES = 8
/** Time for one attempt: with TCP's own repeats, a link that is back is found within 4 s. */
export const ATTEMPT_TIMEOUT_MS = 8_000
/** An attempt that takes longer than this no longer keeps the next candidate from being tried. */
export const HEDGE_MS = 2_000
/** Delays between attempts in the first minutes: a relay that restarts, or a link that is cut, is soon back. */
export const FIRST_RETRY_MS = 250
export const FAST_RETRY_MS = 2_000
export const FAST_RETRY_FOR_MS = 300_000
/** And after them. */
export const SLOW_RETRY_MS = 60_000
/** A reservation that lasts less than this was no success: attempts go on slowing down. */
export const STEADY_MS = 10_000
/** How long better relays must have been held before a worse one is given back. */
export const SETTLE_MS = 60_000
