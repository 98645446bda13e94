import { type Check, lookAt } from '../base/check.ts'
import type { Clock } from '../base/clock.ts'
import { formatDuration } from '../base/durations.ts'
import type { Roster } from '../identity/index.ts'
import type { Standing } from './standing.ts'

interface MembershipCheckOptions {
  readonly roster: Roster
  readonly standing: Standing
  readonly clock: Clock
  /** `trust.max_stale` of the config. */
  readonly maxStaleMs: number
}

/** Looks at how fresh what this node knows of its network is, and at the alarms that the roster raises. */
export async function checkMembership({
  roster,
  standing,
  clock,
  maxStaleMs,
}: MembershipCheckOptions): Promise<Check[]> {
  const check = await lookAt('roster', () => {
    const [alarm] = roster.state.alarms
    if (alarm !== undefined) return { outcome: 'failed', message: alarm.message, hint: 'See: warren trust status' }
    if (!standing.isCurrent()) {
      return { outcome: 'warning', message: standing.why(), hint: 'It needs a connection to an admin: warren peers' }
    }
    const age = clock.now() - Math.max(roster.signedHeads.newestMs() ?? 0, roster.state.newestTimeMs)
    if (age > maxStaleMs) {
      return {
        outcome: 'warning',
        message: `no admin has signed the state of the network for ${formatDuration(age)}`,
        hint: 'Start the daemon of an admin. Until then new installs need --accept-stale.',
      }
    }
    return { outcome: 'ok', message: standing.why() }
  })
  return [check]
}
