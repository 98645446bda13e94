/** Asking for the header and the chunks of packages (docs/protocols/transfer.md). */
export const TRANSFER_PROTOCOL = '/warren/transfer/1'

/** Content in one answer: the longest chunk, so that the time limit per answer is one per chunk. */
export const ANSWER_BYTES = 256 * 1024
/** Chunks in one answer; bounds the hashing done for one message. */
export const ANSWER_CHUNKS = 4096
/** Longest message of either side: the largest header (record, manifest, signature) or answer, with room. */
export const MAX_MESSAGE_BYTES = 512 * 1024
/** Index bytes in one message. */
export const INDEX_PART_BYTES = 256 * 1024

/** What one request may ask for: a piece of 4 MiB, in runs that a delta may have torn to shreds. */
export const MAX_ASK_BYTES = 4 * 1024 * 1024
export const MAX_ASK_RUNS = 1024
export const MAX_ASK_CHUNKS = 8192

/** Streams of one peer: it fetches a few packages at once, one stream each. */
export const MAX_STREAMS_PER_PEER = 16
/** Streams served at once; two answers each are in memory, 32 MiB in all. */
export const MAX_SERVED_STREAMS = 64
/** A stream on which the other side neither asks nor takes what it asked for is reset. */
export const SERVE_IDLE_MS = 60_000
