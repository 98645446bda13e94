import { type Clock, systemClock } from '../base/clock.ts'
import { TokenBuckets } from '../base/token-buckets.ts'
import { apiErrors } from './errors.ts'

/** Enough for a console and a few commands at once; a loop without a pause is stopped. */
const REQUESTS_PER_SECOND = 50
/** A fleet command may ask a hundred things in one moment. */
const BURST = 200
/** Peers remembered at once; ids are authenticated, so that only members fill it. */
const MAX_PEERS = 4096

/** NET-12: throws `rate_limited` when a peer asks too often, and never slows another down. */
export function createRateLimit(clock: Clock = systemClock): (peer: string) => void {
  const buckets = new TokenBuckets({ perSecond: REQUESTS_PER_SECOND, burst: BURST, maxKeys: MAX_PEERS, clock })
  return (peer) => {
    if (buckets.take(peer)) return
    throw apiErrors.rate_limited(`more than ${REQUESTS_PER_SECOND} requests a second from ${peer}`, {
      hint: 'Wait a second and try again.',
    })
  }
}
