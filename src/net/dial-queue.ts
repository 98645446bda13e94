import type { Clock, TimerHandle } from '../base/clock.ts'
import {
  ATTEMPT_COUNTS_MS,
  FIRST_PARALLEL_ATTEMPTS,
  MAX_PARALLEL_ATTEMPTS,
  MIN_PARALLEL_ATTEMPTS,
  OVERLOADED_AFTER_MS,
  SLOW_ATTEMPT_MS,
} from './constants.ts'

/** How an attempt ended; where nobody was reached, how long it took says nothing about this machine. */
export type DialOutcome = 'connected' | 'unreachable' | 'failed'

interface DialQueueInit<T> {
  readonly clock: Clock
  /** Begins an attempt; undefined where there is nothing to do (any more). Never rejects. */
  attempt(item: T): Promise<DialOutcome> | undefined
  /** True for those that go before all others. */
  isUrgent(item: T): boolean
}

/**
 * Attempts that wait for their turn. As many are under way as this machine gets done in good time: one more for each that
 * was over soon, half as many where one took long or a timer came late. Otherwise the handshakes of a fleet that starts
 * at once all run out of time, and begin again. The next one is drawn by lot, so that a fleet does not come to the same
 * node at the same time.
 */
export class DialQueue<T> {
  readonly #init: DialQueueInit<T>
  readonly #waiting = new Set<T>()
  readonly #timers = new Set<TimerHandle>()
  #room = FIRST_PARALLEL_ATTEMPTS
  #underWay = 0
  #stopped = false

  constructor(init: DialQueueInit<T>) {
    this.#init = init
  }

  /** Puts one into the queue, and begins it at once where there is room. */
  add(item: T): void {
    this.#waiting.add(item)
    this.#next()
  }

  remove(item: T): void {
    this.#waiting.delete(item)
  }

  stop(): void {
    this.#stopped = true
    this.#waiting.clear()
    for (const timer of this.#timers) this.#init.clock.clearTimeout(timer)
    this.#timers.clear()
  }

  /** Hears by how much a timer came late. */
  noteLateness(lateMs: number): void {
    if (lateMs > OVERLOADED_AFTER_MS) this.#shrink()
  }

  #next(): void {
    while (!this.#stopped && this.#underWay < this.#room && this.#waiting.size > 0) {
      const item = this.#draw()
      this.#waiting.delete(item)
      const attempt = this.#init.attempt(item)
      if (attempt !== undefined) this.#watch(attempt)
    }
  }

  #draw(): T {
    const items = [...this.#waiting]
    const urgent = items.find((item) => this.#init.isUrgent(item))
    return urgent ?? (items[Math.floor(Math.random() * items.length)] as T)
  }

  #watch(attempt: Promise<DialOutcome>): void {
    const { clock } = this.#init
    const beganMs = clock.monotonicMs()
    this.#underWay += 1
    const leave = (): void => {
      if (!this.#timers.delete(timer)) return
      clock.clearTimeout(timer)
      this.#underWay -= 1
      this.#next()
    }
    const timer = clock.setTimeout(leave, ATTEMPT_COUNTS_MS)
    timer.unref?.()
    this.#timers.add(timer)
    void attempt.then((outcome) => {
      const tookMs = clock.monotonicMs() - beganMs
      if (tookMs <= SLOW_ATTEMPT_MS) this.#room = Math.min(MAX_PARALLEL_ATTEMPTS, this.#room + 1)
      else if (outcome !== 'unreachable') this.#shrink()
      leave()
    })
  }

  #shrink(): void {
    this.#room = Math.max(MIN_PARALLEL_ATTEMPTS, Math.floor(this.#room / 2))
  }
}
