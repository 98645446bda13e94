import type { Clock, TimerHandle } from '../../base/clock.ts'

/** How a race is run. */
export interface RaceOptions {
  /** From the start of one to that of the next; one that fails lets the next begin at once. */
  readonly staggerMs: number
  /** Under way at once. */
  readonly limit: number
  readonly signal: AbortSignal
  readonly clock: Clock
}

/**
 * The first success among attempts that are begun one after the other (RFC 8305); the others are given up by their
 * signal. Rejects with an AggregateError of all failures, or with the signal's reason.
 */
export function race<T>(
  attempts: readonly ((signal: AbortSignal) => Promise<T>)[],
  { staggerMs, limit, signal, clock }: RaceOptions,
): Promise<T> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason)
    const over = new AbortController()
    const errors: unknown[] = []
    let next = 0
    let running = 0
    let timer: TimerHandle | undefined
    const finish = (settle: () => void): void => {
      if (over.signal.aborted) return
      if (timer !== undefined) clock.clearTimeout(timer)
      signal.removeEventListener('abort', onAbort)
      settle()
      over.abort(new Error('another path was faster'))
    }
    const onAbort = (): void => finish(() => reject(signal.reason))
    const begin = (): void => {
      if (timer !== undefined) clock.clearTimeout(timer)
      timer = undefined
      if (over.signal.aborted) return
      if (next >= attempts.length && running === 0) return void finish(() => reject(new AggregateError(errors)))
      if (next >= attempts.length || running >= limit) return
      const attempt = attempts[next++] as (typeof attempts)[number]
      running += 1
      attempt(AbortSignal.any([signal, over.signal])).then(
        (result) => finish(() => resolve(result)),
        (error: unknown) => {
          errors.push(error)
          running -= 1
          begin()
        },
      )
      if (next < attempts.length) timer = clock.setTimeout(begin, staggerMs)
    }
    signal.addEventListener('abort', onAbort, { once: true })
    begin()
  })
}
