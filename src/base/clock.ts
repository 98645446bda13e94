/** Time as a dependency, so that tests can own it. */
export interface Clock {
  /** Wall-clock milliseconds since 1970. For showing and for records; never for intervals. */
  now(): number
  /** Milliseconds that only go forward. For intervals. */
  monotonicMs(): number
  /** As the global `setTimeout`; the handle goes to `clearTimeout` of the same clock. */
  setTimeout(run: () => void, delayMs: number): TimerHandle
  clearTimeout(handle: TimerHandle): void
}

/** What `setTimeout` of a clock gives. */
export interface TimerHandle {
  /** Lets the process end although the timer is pending. */
  unref?(): unknown
}

/** The machine's clock. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonicMs: () => performance.now(),
  setTimeout: (run, delayMs) => setTimeout(run, delayMs),
  clearTimeout: (handle) => clearTimeout(handle as NodeJS.Timeout),
}

/** A clock that moves only when told to; for tests. */
export class ManualClock implements Clock {
  #now: number
  #timers = new Set<{ at: number; run: () => void }>()
  constructor(startMs = 1_700_000_000_000) {
    this.#now = startMs
  }
  now(): number {
    return this.#now
  }
  monotonicMs(): number {
    return this.#now
  }
  setTimeout(run: () => void, delayMs: number): TimerHandle {
    const timer = { at: this.#now + delayMs, run, unref: () => undefined }
    this.#timers.add(timer)
    return timer
  }
  clearTimeout(handle: TimerHandle): void {
    this.#timers.delete(handle as { at: number; run: () => void })
  }
  /** Moves time forward and runs what fell due, in order. */
  advance(byMs: number): void {
    const until = this.#now + byMs
    for (;;) {
      const due = [...this.#timers].filter((timer) => timer.at <= until).sort((a, b) => a.at - b.at)[0]
      if (due === undefined) break
      this.#timers.delete(due)
      this.#now = due.at
      due.run()
    }
    this.#now = until
  }
}
