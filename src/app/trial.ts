import type { Clock } from '../base/clock.ts'
import { formatDuration } from '../base/durations.ts'
import { sleep } from '../base/wait.ts'
import { type ProbeSpec, probe } from '../health/index.ts'
import type { Run } from './keeper/run.ts'

/** How a new version is watched before it counts as good. */
export interface Trial {
  /** A version is good once it was healthy for so long without a break. */
  readonly minHealthyMs: number
  readonly probeIntervalMs: number
  /** Not good by then is a failure. */
  readonly deadlineMs: number
}

/** What a trial of a version that a person starts is like (RUN-3). */
export const DEFAULT_TRIAL: Trial = { minHealthyMs: 1000, probeIntervalMs: 250, deadlineMs: 60_000 }

export type TrialResult =
  | { readonly result: 'healthy' }
  | { readonly result: 'ended' }
  | { readonly result: 'unhealthy'; readonly reason: string }

/**
 * Watches a run on trial until it is good, has ended (any exit is a failure), or the time is over. Rejects only with the
 * signal's reason.
 */
export async function watchTrial(
  run: Run,
  { spec, timeoutMs, trial, clock, signal }: TrialOptions,
): Promise<TrialResult> {
  const ended = new AbortController()
  const stopListening = run.onChange(() => {
    if (run.exit !== undefined) ended.abort()
  })
  if (run.exit !== undefined) ended.abort()
  const either = AbortSignal.any([signal, ended.signal])
  const startMs = clock.monotonicMs()
  let healthySinceMs: number | undefined
  let reason = 'no probe was answered'
  try {
    for (;;) {
      const nowMs = clock.monotonicMs()
      const result = await probe(spec, { timeoutMs: Math.min(timeoutMs, trial.deadlineMs), signal: either })
      signal.throwIfAborted()
      if (ended.signal.aborted) return { result: 'ended' }
      if (result.ok) healthySinceMs ??= nowMs
      else {
        healthySinceMs = undefined
        reason = result.reason
      }
      const waitedMs = clock.monotonicMs() - startMs
      const healthyMs = healthySinceMs === undefined ? 0 : clock.monotonicMs() - healthySinceMs
      if (healthySinceMs !== undefined && healthyMs >= trial.minHealthyMs) return { result: 'healthy' }
      if (waitedMs >= trial.deadlineMs) {
        return { result: 'unhealthy', reason: `not healthy within ${formatDuration(trial.deadlineMs)}: ${reason}` }
      }
      const toGoodMs = healthySinceMs === undefined ? Number.POSITIVE_INFINITY : trial.minHealthyMs - healthyMs
      await sleep(Math.min(trial.probeIntervalMs, toGoodMs), { signal: either, clock }).catch(() => undefined)
    }
  } finally {
    stopListening()
  }
}

interface TrialOptions {
  readonly spec: ProbeSpec
  /** Of one probe. */
  readonly timeoutMs: number
  readonly trial: Trial
  readonly clock: Clock
  readonly signal: AbortSignal
}
