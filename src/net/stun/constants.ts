/** Time for one binding, all sendings together: who has not answered by then will not help a connection along. */
export const BINDING_TIMEOUT_MS = 3_000
/** A request over UDP is sent again after this time, then twice, four times as much: at 0, 300, 900 and 2100 ms. */
export const FIRST_RESEND_MS = 300

/** Requests of one source (IPv6: one /64): a fleet behind one NAT that starts at once, each node with some ten of them. */
export const BINDING_RATE = { burst: 300, perSecond: 50, maxKeys: 4096 }
/** Requests of all together, so that many sources cannot keep a processor busy: a tenth of what one answers. */
export const TOTAL_BINDING_RATE = { burst: 5_000, perSecond: 2_000, maxKeys: 1 }
/** TCP connections for STUN in all, and of one source: nodes behind one NAT that punch at the same time. */
export const MAX_TCP_CONNECTIONS = 1_024
export const MAX_TCP_CONNECTIONS_PER_SOURCE = 64
/** Time for a whole request, or for the next one: a mapping at the NAT is kept for as long as a punch takes. */
export const TCP_IDLE_MS = 60_000
/** The first request comes with the connection; a stranger who says nothing is not waited for. */
export const TCP_FIRST_REQUEST_MS = 5_000
/** Requests of one connection; a client needs one, and some more to keep the mapping. */
export const MAX_TCP_REQUESTS = 32

/** Local addresses that are served; more are those of containers and the like. */
export const MAX_SERVED_ADDRESSES = 16
/** How often the addresses of this machine are looked at: a new uplink is served within this time. */
export const ADDRESS_SCAN_MS = 3_000

/** Servers that a measurement asks: two tell the behaviour, the third is there for one that is down. */
export const MAX_MEASURED_SERVERS = 3
/** One step of a measurement; two follow one another, so that the whole ends within 5 s. */
export const MEASURE_STEP_MS = 2_000
/** The whole measurement; what is not known by then stays unknown. */
export const MEASURE_TIMEOUT_MS = 4_800
/** The address of a server that is given by name; what takes longer is passed over. */
export const NAME_TIMEOUT_MS = 700
