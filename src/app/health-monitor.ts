import type { Clock, TimerHandle } from '../base/clock.ts'
import { type ProbeResult, type ProbeSpec, probe } from '../health/index.ts'

export type Health = 'none' | 'pending' | 'healthy' | 'unhealthy'

/** While nothing is known yet, so that an app that was started shows as healthy soon after it is. */
const PENDING_INTERVAL_MS = 250

export interface MonitorTimes {
  readonly intervalMs: number
  readonly timeoutMs: number
  /** Failures in a row that make it unhealthy. */
  readonly retries: number
  /** Failures in this time after the start of the app do not count. */
  readonly startPeriodMs: number
}

export interface MonitorDeps {
  readonly spec: ProbeSpec
  readonly times: MonitorTimes
  readonly clock: Clock
  /** When the app was started, in milliseconds since 1970. */
  readonly startedAtMs: number
  readonly initial: Health
  onChange(health: Health, reason: string | null): void
}

/** Probes a running app at its interval and tells when its health changed. A process check needs no probing: see `Run`. */
export class HealthMonitor {
  readonly #deps: MonitorDeps
  #health: Health
  #reason: string | null = null
  #failures = 0
  /** When a failure was counted last. */
  #countedMs = Number.NEGATIVE_INFINITY
  #timer: TimerHandle | undefined
  #controller: AbortController | undefined

  constructor(deps: MonitorDeps) {
    this.#deps = deps
    this.#health = deps.spec.type === 'process' ? 'healthy' : deps.initial
  }

  get health(): Health {
    return this.#health
  }

  /** Why it is not healthy. */
  get reason(): string | null {
    return this.#reason
  }

  /** Begins; the first probe is at once where the health is not known yet. */
  start(): void {
    if (this.#deps.spec.type === 'process' || this.#controller !== undefined) return
    this.#controller = new AbortController()
    this.#schedule(this.#health === 'healthy' ? this.#deps.times.intervalMs : 0)
  }

  stop(): void {
    this.#controller?.abort()
    this.#controller = undefined
    if (this.#timer !== undefined) this.#deps.clock.clearTimeout(this.#timer)
    this.#timer = undefined
  }

  #schedule(delayMs: number): void {
    this.#timer = this.#deps.clock.setTimeout(() => void this.#probe(), delayMs)
    this.#timer.unref?.()
  }

  async #probe(): Promise<void> {
    const signal = this.#controller?.signal
    const { spec, times, clock } = this.#deps
    const begunMs = clock.monotonicMs()
    const result = await probe(spec, { timeoutMs: times.timeoutMs, signal })
    if (signal === undefined || signal.aborted) return
    this.#take(result)
    const intervalMs = this.#health === 'pending' ? Math.min(PENDING_INTERVAL_MS, times.intervalMs) : times.intervalMs
    this.#schedule(Math.max(0, intervalMs - (clock.monotonicMs() - begunMs)))
  }

  #take(result: ProbeResult): void {
    const { times, clock, startedAtMs, onChange } = this.#deps
    const before = this.#health
    if (result.ok) {
      this.#failures = 0
      this.#health = 'healthy'
      this.#reason = null
    } else {
      if (clock.now() - startedAtMs < times.startPeriodMs) return
      // The probes of a start come faster than the interval, by which failures are counted.
      if (clock.monotonicMs() - this.#countedMs < times.intervalMs - PENDING_INTERVAL_MS) return
      this.#countedMs = clock.monotonicMs()
      this.#failures++
      if (this.#failures < times.retries) return
      this.#health = 'unhealthy'
      this.#reason = result.reason
    }
    if (this.#health !== before) onChange(this.#health, this.#reason)
  }
}
