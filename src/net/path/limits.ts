/** Limits and times of finding paths, each with its reason. */

/** An address record in its envelope: 16 addresses of usual length take half of it. */
export const MAX_RECORD_BYTES = 4 * 1024
/** Addresses in a record: those of a machine with several interfaces, a router and a name. */
export const MAX_RECORD_ADDRESSES = 16
/** Longest address in a record; the longest real one is a name of 253 characters. */
export const MAX_ADDRESS_LENGTH = 300
/** Relays in a record: more reservations than a node keeps. */
export const MAX_RECORD_RELAYS = 8
/** Records that are kept; with an open gate anybody with the key could else fill the disk. */
export const MAX_RECORDS = 2_000
/** Longest file of records that is read: all of them at full length. */
export const MAX_RECORDS_FILE_BYTES = MAX_RECORDS * (MAX_RECORD_BYTES + 1)
/** Changes of one node's addresses that are taken: a laptop that changes networks, not a scan of ports through others. */
export const RECORD_RATE = { burst: 10, perSecond: 0.2, maxKeys: 4_096 }
/**
 * Times that one node's news, its new addresses or a reservation at it, has others dialled at once; beyond them these are
 * dialled in their turn. A network that changes has a few in a row; one who names others' addresses has no more.
 */
export const NEWS_RATE = { burst: 5, perSecond: 1 / 60, maxKeys: 4_096 }
/** Records that one peer may bring: all of a fleet at once after a restart, then what passes by. */
export const BROUGHT_RATE = { burst: 2 * MAX_RECORDS, perSecond: 50, maxKeys: 4_096 }
/** Conversations about addresses that one peer may begin: one a connection, and news. */
export const TALK_RATE = { burst: 50, perSecond: 2, maxKeys: 4_096 }
/** Longest message about addresses: 24 records at full length, or the sequences of 2,000. */
export const MAX_TALK_MESSAGE_BYTES = 128 * 1024
/** Records of a message; the most that surely fit. */
export const RECORDS_PER_MESSAGE = 24
/** Time for one conversation: a fleet's records on a slow line. */
export const TALK_TIMEOUT_MS = 30_000
/** Before changed addresses are told: an interface that comes up brings several, one after the other. */
export const SETTLE_MS = 500
/** Before records are written to disk: those of a fleet come together. */
export const SAVE_AFTER_MS = 2_000
/** What came from others is told to so many more: with four, all of a fleet hear it although some are away. */
export const FAN_OUT = 4
/** Its author tells everybody first. */
export const PASS_ON_AFTER_MS = 1_000
/** How often records are compared with one connected peer, so that what got lost is found. */
export const COMPARE_INTERVAL_MS = 10 * 60_000

/** Of two nodes that learn of each other at once, the second dials this much later. */
export const SECOND_DIALS_AFTER_MS = 500
/** The gate's new answer reaches others within this time; then what was refused before is asked for again. */
export const COMPARE_AFTER_GATE_MS = 2_000

/** From one address to the next (RFC 8305, section 5). */
export const STAGGER_MS = 250
/** Addresses tried at once: all that usually matter, and no flood. */
export const MAX_PARALLEL_DIALS = 4
/**
 * Time for one address, all ways of securing it together: where a filter swallows native TLS, others follow after 4 s
 * each. An address that does not take the connection at all costs 5 s: TCP repeats its first packet after 1 and 3 s.
 */
export const ONE_DIAL_TIMEOUT_MS = 14_000
/** Time for one relay: finding it gone, or reaching it, asking it, and a handshake end to end. */
export const RELAYED_DIAL_TIMEOUT_MS = 8_000
/** A relayed dial begins so long after the direct ones: a direct path nearby has answered by then. */
export const RELAYED_AFTER_MS = 300
/** From one relay to the next: a relay that lives has answered by then. */
export const RELAY_STAGGER_MS = 500
/** Relays that had no way to a peer are asked again while other ways are still tried: it may be on its way back. */
export const RELAY_AGAIN_MS = 400
/** Relays tried for one peer. */
export const MAX_RELAYS_TRIED = 6
/** A dial of all paths together. */
export const FIND_TIMEOUT_MS = 15_000

/** A request that is not answered so long makes its connection suspect: more than a round trip around the world, twice. */
export const SUSPECT_AFTER_MS = 1_500
/** After a change of the network each connection is asked, and suspect so long after. */
export const RECHECK_TIMEOUT_MS = 1_000
/** Unanswered ones until such a connection ends. */
export const RECHECK_MISSES = 3
/** How often interfaces and routes are looked at. */
export const MONITOR_INTERVAL_MS = 1_000
/** Wall clock that ran so much further than the monotonic one: the machine has slept. */
export const SLEPT_MS = 5_000

/** With every connection lost, so long … */
export const LONE_MS = 5 * 60_000
/** … the peers that help most are tried this often. */
export const LONE_RETRY_MS = 500

/** A failed punch is tried again after a minute, then two … half an hour; after a change of the network at once. */
export const PUNCH_RETRY = { minMs: 60_000, maxMs: 30 * 60_000 }
/** The side with the higher peer id lets the other begin. */
export const PUNCH_SECOND_AFTER_MS = 1_000
/** Punches under way at once. */
export const MAX_PUNCHES = 8

/** STUN servers that are asked: two tell what there is to tell, one may be away. */
export const MAX_STUN_SERVERS = 4
/** After the network has changed or a relay was found: what comes together is measured once. */
export const MEASURE_AFTER_MS = 500
/** A NAT changes its ways when it is replaced, which mostly shows otherwise too. */
export const MEASURE_INTERVAL_MS = 30 * 60_000
