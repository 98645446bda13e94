import { rejectOnAbort } from '../base/wait.ts'
import type { RolloutStanding } from './deps.ts'

/** Asked again after so long: a node may stay alone for days. */
const ASK_AGAIN_MS = 60_000

/** Resolves once the node is current, or the signal fires. */
export async function untilCurrent(standing: RolloutStanding, signal: AbortSignal): Promise<void> {
  const aborted = rejectOnAbort(signal).catch(() => true)
  while (!signal.aborted && !(await Promise.race([standing.whenCurrent(ASK_AGAIN_MS), aborted])));
}
