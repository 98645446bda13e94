/** Longer lines are given in pieces of this size, so that a reader needs bounded memory whatever an app writes. */
export const MAX_LINE_BYTES = 64 * 1024

/** How often sizes are looked at while a log grows: the precision of the time of a line. */
export const OBSERVE_INTERVAL_MS = 100

/** So many looks without growth end the looking; the next write is heard by inotify. */
export const QUIET_LOOKS = 3

/** One read of a log file: large enough to be fast, small enough to hold many. */
export const READ_BLOCK_BYTES = 256 * 1024
