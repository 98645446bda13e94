import { type Clock, systemClock } from '../base/clock.ts'
import { apiErrors } from './errors.ts'

/** Enough for a console and a few commands at once; a loop without a pause is stopped. */
const REQUESTS_PER_SECOND = 50
/** A fleet command may ask a hundred things in one moment. */
const BURST = 200
/** Peers remembered at once; ids are authenticated, so that only members fill it. */
const MAX_PEERS = 4096

/** A token bucket a peer (NET-12): throws `rate_limited` when a peer asks too often, and never slows another down. */
export function createRateLimit(clock: Clock = systemClock): (peer: string) => void {
  const buckets = new Map<string, { tokens: number; atMs: number }>()
  return (peer) => {
    const nowMs = clock.monotonicMs()
    const bucket = buckets.get(peer) ?? { tokens: BURST, atMs: nowMs }
    bucket.tokens = Math.min(BURST, bucket.tokens + ((nowMs - bucket.atMs) / 1000) * REQUESTS_PER_SECOND)
    bucket.atMs = nowMs
    buckets.delete(peer)
    buckets.set(peer, bucket)
    if (buckets.size > MAX_PEERS) buckets.delete(buckets.keys().next().value as string)
    if (bucket.tokens < 1) {
      throw apiErrors.rate_limited(`more than ${REQUESTS_PER_SECOND} requests a second from ${peer}`, {
        hint: 'Wait a second and try again.',
      })
    }
    bucket.tokens -= 1
  }
}
