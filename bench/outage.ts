/** Requests in a row, and how long after an event they are answered again. */
import { setTimeout as sleep } from 'node:timers/promises'

/** A request that was made again and again; times by performance.now(). */
export interface Sample {
  readonly startedAt: number
  readonly endedAt: number
  readonly answered: boolean
}

/** Answered so long without a failure means working again: all that has yet to notice an outage does so sooner. */
const STEADY_MS = 3000
/** Not working again by then is taken as never. */
const GIVEN_UP_MS = 20_000
const LOOK_MS = 50

/**
 * When the requests are answered again and stay so, in milliseconds from `since`: the end of the first one that was
 * answered after the last that was not. Null where that does not happen.
 */
export async function recoveryOf(samples: () => readonly Sample[], since: number): Promise<number | null> {
  while (performance.now() - since < GIVEN_UP_MS) {
    const first = firstAfterFailures(samples(), since)
    if (first !== undefined && performance.now() - first.endedAt > STEADY_MS) return first.endedAt - since
    await sleep(LOOK_MS)
  }
  return null
}

function firstAfterFailures(samples: readonly Sample[], since: number): Sample | undefined {
  const failed = samples.filter(({ answered, endedAt }) => !answered && endedAt > since)
  const begin = Math.max(since, ...failed.map(({ endedAt }) => endedAt))
  return samples.find(({ answered, startedAt }) => answered && startedAt >= begin)
}

/** Makes a request as soon as the last one has ended, but not more often than the interval. Give the signal to end it. */
export async function repeat(
  request: () => Promise<boolean>,
  options: { intervalMs: number; signal: AbortSignal; onSample: (sample: Sample) => void },
): Promise<void> {
  while (!options.signal.aborted) {
    const startedAt = performance.now()
    const answered = await request()
    options.onSample({ startedAt, endedAt: performance.now(), answered })
    await sleep(Math.max(0, options.intervalMs - (performance.now() - startedAt)))
  }
}
