import type { Clock, TimerHandle } from '../../base/clock.ts'

/** Fires once when nothing happened for a while. */
export interface Watchdog {
  /** Something happened; ends a pause. */
  touch(): void
  /** Counts no time until the next touch: now it is we who are busy. */
  pause(): void
  stop(): void
}

/** Starts a watchdog that runs `onIdle` `idleMs` after the last touch. The caller stops it. */
export function startWatchdog(clock: Clock, idleMs: number, onIdle: () => void): Watchdog {
  let touchedMs = clock.monotonicMs()
  let paused = false
  let timer: TimerHandle
  // Touched per message, so a touch must cost nothing: the timer itself looks how long ago the last one was.
  const arm = (delayMs: number): void => {
    timer = clock.setTimeout(() => {
      const leftMs = touchedMs + idleMs - clock.monotonicMs()
      if (paused) arm(idleMs)
      else if (leftMs <= 0) onIdle()
      else arm(leftMs)
    }, delayMs)
    timer.unref?.()
  }
  arm(idleMs)
  return {
    touch: () => {
      touchedMs = clock.monotonicMs()
      paused = false
    },
    pause: () => {
      paused = true
    },
    stop: () => clock.clearTimeout(timer),
  }
}
