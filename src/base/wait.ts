import { type Clock, systemClock } from './clock.ts'
import { baseErrors } from './errors.ts'

export interface WaitOptions {
  signal?: AbortSignal | undefined
  clock?: Clock
}

/** Resolves after `delayMs`. Rejects with the signal's reason when it is aborted first. */
export function sleep(delayMs: number, { signal, clock = systemClock }: WaitOptions = {}): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason)
    const onAbort = (): void => {
      clock.clearTimeout(timer)
      reject(signal?.reason)
    }
    const timer = clock.setTimeout(() => {
      signal?.removeEventListener('abort', onAbort)
      resolve()
    }, delayMs)
    signal?.addEventListener('abort', onAbort, { once: true })
  })
}

/**
 * Runs `work` with a signal that fires after `timeoutMs` or with `options.signal`. Rejects with `timed_out` naming
 * `what` as soon as the time is over, whether or not the work listens to its signal.
 */
export async function withTimeout<T>(
  what: string,
  timeoutMs: number,
  work: (signal: AbortSignal) => Promise<T>,
  { signal, clock = systemClock }: WaitOptions = {},
): Promise<T> {
  const controller = new AbortController()
  const onAbort = (): void => controller.abort(signal?.reason)
  if (signal?.aborted) onAbort()
  signal?.addEventListener('abort', onAbort, { once: true })
  const timer = clock.setTimeout(
    () => controller.abort(baseErrors.timed_out(`${what} took longer than ${timeoutMs} ms`)),
    timeoutMs,
  )
  try {
    return await Promise.race([work(controller.signal), rejectOnAbort(controller.signal)])
  } finally {
    clock.clearTimeout(timer)
    signal?.removeEventListener('abort', onAbort)
  }
}

/** Never resolves; rejects with the signal's reason once it fires. */
export function rejectOnAbort(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    if (signal.aborted) reject(signal.reason)
    else signal.addEventListener('abort', () => reject(signal.reason), { once: true })
  })
}

/**
 * Runs `tasks` through `work`, at most `limit` at a time, and gives the results in order. The first failure rejects;
 * tasks already running are awaited by nobody, so `work` should listen to a signal of its own.
 */
export async function mapLimited<T, R>(
  tasks: readonly T[],
  limit: number,
  work: (task: T, index: number) => Promise<R>,
): Promise<R[]> {
  const results: R[] = new Array(tasks.length)
  let next = 0
  const worker = async (): Promise<void> => {
    while (next < tasks.length) {
      const index = next++
      results[index] = await work(tasks[index] as T, index)
    }
  }
  await Promise.all(Array.from({ length: Math.min(limit, tasks.length) }, worker))
  return results
}

/** A lock for one process: `run` starts when all earlier runs have ended, whatever their outcome. */
export class SerialQueue {
  #tail: Promise<unknown> = Promise.resolve()
  run<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#tail.then(work, work)
    this.#tail = result.catch(() => undefined)
    return result
  }
}
