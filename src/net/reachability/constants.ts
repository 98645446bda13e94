export const REACH_PROTOCOL = '/warren/reach/1'
/** Peers that are asked at a time: a majority of three outvotes one whose own network lets nothing out. */
export const MAX_HELPERS = 3
/** Connections that are looked at for helpers; of these many may be on the LAN, or of one site. */
export const MAX_CONSIDERED = 64
/** Ports that one request may name: the listener, the port that a router maps to it, and the same for WebSocket. */
export const MAX_PORTS = 4
/**
 * Connections that may carry a nonce, at a time, from addresses of which none is expected: a helper may come from another
 * address than the one that is known, and a stranger is gone after 5 s.
 */
export const MAX_DOORWAYS = 64
/** Of these and of a helper's from one address (IPv6: one /64): one to each port of a request. */
export const MAX_DOORWAYS_PER_SOURCE = 4
/** A request or an answer: four ports with their nonces are 200 bytes. */
export const MAX_MESSAGE_BYTES = 1_024
/** One dial-back; all ports of a request are tried side by side. */
export const DIAL_BACK_TIMEOUT_MS = 3_000
/** The whole talk with a helper: opening, dial-back, answer. */
export const TALK_TIMEOUT_MS = 8_000

/** Requests of one peer: some changes of its network in a row, then one a minute. */
export const PEER_RATE = { burst: 5, perSecond: 1 / 60, maxKeys: 4_096 }
/** Requests of all peers together: a fleet that starts at once is through in a minute or two. */
export const TOTAL_RATE = { burst: 50, perSecond: 2, maxKeys: 1 }

/** The first check waits for some connections with peers. */
export const FIRST_CHECK_MS = 2_000
/** A changed network needs a moment to have its connections again. */
export const CHANGED_CHECK_MS = 1_000
/** How often it is checked again what is known: a firewall is not changed every day. */
export const RECHECK_MS = 30 * 60_000
/** And what is not: another peer may be connected by now. Without a peer to ask it costs nothing. */
export const UNKNOWN_RECHECK_MS = 30_000
/** The address of a peer that was dialled by name; one that takes longer is not asked. */
export const NAME_TIMEOUT_MS = 1_000
