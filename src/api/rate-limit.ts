import { type Clock, systemClock } from '../base/clock.ts'
import { TokenBuckets } from '../base/token-buckets.ts'
import { apiErrors } from './errors.ts'

/**
 * Of all requests: enough for a console and a few commands at once; a loop without a pause is stopped. A fleet command
 * may ask a hundred things in one moment.
 */
const REQUESTS = { what: 'requests', perSecond: 50, burst: 200 }
/** Of those that change something, each with a line in the audit log: without an end they would wash it away in an hour. */
const CHANGES = { what: 'changes', perSecond: 5, burst: 100 }
/** Peers remembered at once; ids are authenticated, so that only members fill it. */
const MAX_PEERS = 4096

/** NET-12: throws `rate_limited` when a peer asks too often, and never slows another down. */
export function createRateLimit(clock: Clock = systemClock): (peer: string) => void {
  return createLimit(REQUESTS, clock)
}

/** The same for requests that change something, to be asked once they are allowed. */
export function createChangeLimit(clock: Clock = systemClock): (peer: string) => void {
  return createLimit(CHANGES, clock)
}

function createLimit({ what, ...rate }: typeof REQUESTS, clock: Clock): (peer: string) => void {
  const buckets = new TokenBuckets({ ...rate, maxKeys: MAX_PEERS, clock })
  return (peer) => {
    if (buckets.take(peer)) return
    throw apiErrors.rate_limited(`more than ${rate.perSecond} ${what} a second from ${peer}`, {
      hint: 'Wait a second and try again.',
    })
  }
}
