/** Time for connecting to the target of a service: it is on the exposing machine, or on its own network. */
export const TARGET_TIMEOUT_MS = 10_000
/** Time from a client's connection to the first byte, all told: a dial through a relay, the answer, and the target. */
export const OPEN_TIMEOUT_MS = 30_000
/** Time for a node to say which services it has; whoever asks waits for it. */
export const LIST_TIMEOUT_MS = 3_000
/** As above, for the one node that was asked for, which may have to be dialled first. */
export const FIND_TIMEOUT_MS = 15_000
/** A peer that was accepted has so long to say which service it wants. */
export const HEAD_TIMEOUT_MS = 5_000
/** A refusal is on its way so long before the stream is reset. */
export const REFUSAL_LINGER_MS = 5_000

/** Connections of one peer through all services: the pools of a few applications, and a browser. */
export const MAX_CONNECTIONS_PER_PEER = 256
/** In all; each holds a socket and, when its reader sleeps, up to 2 MiB of buffers. */
export const MAX_CONNECTIONS = 1_024
/** Connections that one proxy holds: what the other side takes of a peer. */
export const MAX_PROXY_CONNECTIONS = 256
/** Lists that a peer may ask for at once. */
export const MAX_LIST_STREAMS = 4

/** Services of a node; the list of all fits into one message of 128 KiB. */
export const MAX_SERVICES = 256
/** Roles, nodes and tokens named for one service. */
export const MAX_NAMED = 64
/** Proxies of a node, kept ones and those in the foreground. */
export const MAX_PROXIES = 256

/** Bytes that a socket reads ahead: the same as a stream of the network queues, so that neither waits for the other. */
export const SOCKET_QUEUE_BYTES = 256 * 1024
/** A silent TCP connection is probed after so long, and ended 10 s later (ten probes), within the promised minute. */
export const KEEPALIVE_MS = 30_000

/** Largest payload of UDP over IPv4 (RFC 768: 65535 less the two headers). */
export const MAX_DATAGRAM_BYTES = 65_507
/** A flow without a datagram is forgotten: longer than DNS retries and QUIC's and WireGuard's own signs of life. */
export const FLOW_IDLE_MS = 60_000
/** Clients of one UDP proxy at a time; as many as a peer may have connections. */
export const MAX_FLOWS = 256
/** Datagrams that wait for a slow network, a quarter of a second of 8 Mbit/s: what is older is of no use to anybody. */
export const FLOW_QUEUE_BYTES = 256 * 1024
/** After a flow failed, its client's datagrams are dropped so long before it is tried again. */
export const FLOW_RETRY_MS = 2_000

/** How often the way to the other node is looked at for whoever watches a proxy. */
export const PATH_CHECK_MS = 1_000
/** Rights run out without an event; a connection ends at most so much later. */
export const RIGHTS_CHECK_MS = 10_000
