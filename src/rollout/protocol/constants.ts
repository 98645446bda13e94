/** Protocol id; the major changes when an older node could not follow. */
export const ROLLOUT_PROTOCOL = '/warren/rollout/1'
/** Longest message: a document of 256 KiB in base64, in an envelope, in JSON. */
export const MAX_MESSAGE_BYTES = 1024 * 1024
/** Most rollouts in one list of what is held; the ledger holds no more. */
export const MAX_LISTED = 1000
/** Most statements in one answer of an exchange: 1,000 rollouts rarely differ in more than some; the rest comes with the next. */
export const MAX_EXCHANGED = 20_000
/** Exchange with every connected member even without a reason: gossip alone is never relied on. */
export const EXCHANGE_INTERVAL_MS = 10 * 60_000
/** An exchange that takes longer is given up; the next one starts afresh. */
export const EXCHANGE_TIMEOUT_MS = 60_000
/** A failed exchange is tried again after 1, 2 and 4 s; then the next connection or the interval brings it. */
export const EXCHANGE_RETRIES = 3
/** Statements waiting for one peer. A peer that is slower gets them by an exchange instead. */
export const MAX_OUTBOX = 2000
/** Streams of this protocol that one peer may hold: one of pushes, and exchanges from either side. */
export const MAX_STREAMS_PER_PEER = 8
/** Statements of an exchange are gathered and taken in together, up to so much memory; 16 MiB are some 20,000 of them. */
export const MAX_GATHERED_BYTES = 16 * 1024 * 1024
/** After its start a node lets old rollouts rest until it has heard from a member, or for so long where none answers. */
export const CATCH_UP_MS = 5000
