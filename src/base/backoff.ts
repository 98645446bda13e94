export interface BackoffOptions {
  /** First delay. */
  minMs?: number
  /** No delay is longer. */
  maxMs?: number
  /** Share of the delay that is random, 0 to 1; keeps a fleet from retrying in step. */
  jitter?: number
  random?: () => number
}

/** Exponential backoff: 1, 2, 4 … 60 s by default. `next()` gives the delay to wait; `reset()` starts over. */
export class Backoff {
  #failures = 0
  readonly #options: Required<BackoffOptions>
  constructor(options: BackoffOptions = {}) {
    this.#options = { minMs: 1000, maxMs: 60_000, jitter: 0.1, random: Math.random, ...options }
  }
  next(): number {
    const { minMs, maxMs, jitter, random } = this.#options
    const delayMs = Math.min(maxMs, minMs * 2 ** this.#failures++)
    return Math.round(delayMs * (1 - jitter + 2 * jitter * random()))
  }
  reset(): void {
    this.#failures = 0
  }
}
