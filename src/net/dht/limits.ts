/** Warren's own: nothing of the public network answers to it, and nothing of ours to theirs. */
export const DHT_PROTOCOL = '/warren/kad/1.0.0'
/**
 * Nodes that keep what is said of a key, and contacts of a bucket: Kademlia's k. The 20 of the public network are for
 * strangers who leave within the hour; what is said here is said again each half hour, and each node costs a request.
 */
export const REPLICAS = 12
/** Answers with a record after which `get` looks no further: each of them keeps the newest that it was given. */
export const RECORD_QUORUM = 4
/** Requests of one lookup that are under way at once; more would make a lookup a burst on small machines. */
export const LOOKUP_CONCURRENCY = 6
/** Ways of a lookup that share no node, so that one which answers wrongly does not lead all of it astray. */
export const LOOKUP_PATHS = 2

/** A record with its signature: an announcement or an index, never content. */
export const MAX_RECORD_BYTES = 16 * 1024
/** Printable, so that it can be shown and compared. */
export const MAX_RECORD_KEY_LETTERS = 256
/** What is not renewed for so long is of a node that is gone. */
export const MAX_RECORD_TTL_MS = 48 * 3_600_000
/** How far the clocks of two members may differ before one's records are worthless to the other. */
export const MAX_CLOCK_SKEW_MS = 10 * 60_000
/**
 * Sequences are at most the time in milliseconds and so much more: nobody can say the highest there is and have the last
 * word for good.
 */
export const MAX_SEQUENCE_AHEAD_MS = 24 * 3_600_000

/** A key of a provider or value is at most so long before it is hashed. */
export const MAX_KEY_BYTES = 1024
/** What a provider's word is worth; it repeats it four times in that time. */
export const PROVIDER_TTL_MS = 2 * 3_600_000
export const RENEW_MS = 30 * 60_000
/** Renewals under way at once. */
export const RENEW_CONCURRENCY = 4

/** Stored for others in all: 16 MiB of records, and providers of some 200 bytes each. */
export const MAX_STORED_RECORD_BYTES = 16 * 1024 * 1024
export const MAX_STORED_PROVIDERS = 32_768
/** Of these by one member, so that one cannot take the room of the rest. */
export const MAX_RECORDS_PER_AUTHOR = 256
export const MAX_RECORD_BYTES_PER_AUTHOR = 1024 * 1024
export const MAX_PROVIDERS_PER_PEER = 2048
/** Members whose addresses are remembered because another member has named them. */
export const MAX_KNOWN_PEERS = 2000
/** Addresses of one member that are believed. */
export const MAX_ADDRESSES = 8

/** A request or answer; the longest holds a record, and 12 contacts with 8 addresses each. */
export const MAX_MESSAGE_BYTES = 64 * 1024
/** Streams that one peer may hold open; each is one request. */
export const MAX_INBOUND_STREAMS = 32
export const MAX_OUTBOUND_STREAMS = 64

/** Time for a lookup unless the caller sets another. */
export const LOOKUP_TIMEOUT_MS = 10_000
/** Time for one request of a lookup. */
export const REQUEST_TIMEOUT_MS = 5_000
/** How long a lookup waits for a connection with a node; the connecting itself goes on. */
export const CONNECT_WAIT_MS = 3_000
/** A node that could not be reached is left out of lookups for so long, unless it connects. */
export const UNREACHABLE_MS = 30_000
/** How long a lookup on a table without contacts waits for one. */
export const FIRST_CONTACT_WAIT_MS = 3_000
/** How often the table is compared with the connections, and what is due renewed. */
export const CHECK_MS = 5_000
/** The own surroundings are looked at again so often although nothing has changed. */
export const SELF_LOOKUP_MS = 5 * 60_000
/** Time for looking at the own surroundings. */
export const SELF_LOOKUP_TIMEOUT_MS = 15_000
/** With fewer contacts than this a node tries its seeds again, after 5 s and then ever more slowly. */
export const FEW_CONTACTS = 3
export const MAX_SEED_RETRY_MS = 5 * 60_000
