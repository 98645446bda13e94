import { type Clock, systemClock } from './clock.ts'

export interface TokenBucketOptions {
  /** Tokens that come back in a second. */
  readonly perSecond: number
  /** Most tokens that are there at once. */
  readonly burst: number
  /** Keys remembered at once; the one unused longest is forgotten first, and starts full again. */
  readonly maxKeys: number
  readonly clock?: Clock
}

/** A token bucket a key (a peer, an address, a kind of message), so that one never uses up what is another's. */
export class TokenBuckets {
  readonly #options: Required<TokenBucketOptions>
  readonly #buckets = new Map<string, { tokens: number; atMs: number }>()

  constructor(options: TokenBucketOptions) {
    this.#options = { clock: systemClock, ...options }
  }

  /** Takes a token of `key`; false where none is left. */
  take(key: string): boolean {
    const { perSecond, burst, maxKeys, clock } = this.#options
    const nowMs = clock.monotonicMs()
    const bucket = this.#buckets.get(key) ?? { tokens: burst, atMs: nowMs }
    bucket.tokens = Math.min(burst, bucket.tokens + ((nowMs - bucket.atMs) / 1000) * perSecond)
    bucket.atMs = nowMs
    this.#buckets.delete(key)
    this.#buckets.set(key, bucket)
    if (this.#buckets.size > maxKeys) this.#buckets.delete(this.#buckets.keys().next().value as string)
    if (bucket.tokens < 1) return false
    bucket.tokens -= 1
    return true
  }
}
