/** Bounds of one transfer; tests make them small. */
export interface TransferLimits {
  /** Chunks are flushed to the disk when this much was written since the last time. */
  readonly flushBytes: number
  /** Writing waits while this much is not flushed. With what is asked for but not here, it is what a crash costs. */
  readonly maxUnflushedBytes: number
  /** Chunks asked for in one request: a piece. */
  readonly pieceBytes: number
  /** Requests under way to one source: enough to fill a link of 100 Mbit/s and 300 ms. */
  readonly pipeline: number
  /** A source that sends nothing for so long is dropped (DST-5). */
  readonly chunkTimeoutMs: number
  /** Sources asked at the same time for one package. */
  readonly maxSources: number
  /** A source is given up after so many broken streams in a row that brought nothing. */
  readonly maxAttempts: number
  /** Delay before a source is tried again; doubles. */
  readonly retryDelayMs: number
}

/** A crash costs at most 16 MiB written and, of each of four sources, 4 MiB asked for: 32 MiB (DST-4). */
export const DEFAULT_LIMITS: TransferLimits = {
  flushBytes: 8 * 1024 * 1024,
  maxUnflushedBytes: 16 * 1024 * 1024,
  pieceBytes: 1024 * 1024,
  pipeline: 4,
  chunkTimeoutMs: 30_000,
  maxSources: 4,
  maxAttempts: 3,
  retryDelayMs: 250,
}
