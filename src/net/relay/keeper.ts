import type { Clock, TimerHandle } from '../../base/clock.ts'
import type { Counters } from '../../base/counters.ts'
import { toWarrenError } from '../../base/errors.ts'
import type { EventBus } from '../../base/events.ts'
import type { Logger } from '../../base/log.ts'
import { withTimeout } from '../../base/wait.ts'
import type { Stream } from '../types.ts'
import {
  ATTEMPT_TIMEOUT_MS,
  FAST_RETRY_FOR_MS,
  FAST_RETRY_MS,
  FIRST_RETRY_MS,
  HEDGE_MS,
  KEPT_RELAYS,
  MAX_CANDIDATES,
  SETTLE_MS,
  SLOW_RETRY_MS,
  STEADY_MS,
} from './constants.ts'
import { HeldReservation, type Loss } from './held.ts'
import type { Reservation } from './messages.ts'
import type { RelayClientEvents, RelayReservation } from './types.ts'

interface KeeperInit {
  /** Asks a relay for a reservation, on a new connection where `fresh`. Leaves no stream behind when it fails. */
  reserve(
    relay: string,
    options: { fresh: boolean; first: boolean; signal: AbortSignal },
  ): Promise<{ stream: Stream; grant: Reservation }>
  clock: Clock
  log: Logger
  counters: Counters
  events: EventBus<RelayClientEvents>
  random?: () => number
}

/** A candidate that is being used or tried. */
interface Seat {
  readonly relay: string
  held: HeldReservation | undefined
  /** Under way. */
  attempt: AbortController | undefined
  attemptMs: number
  retry: TimerHandle | undefined
  /** Attempts that failed since it was last held, or since it was first tried. */
  failures: number
  /** When the first of them failed. */
  failingSinceMs: number
  /** The connection that is there answers nothing. */
  fresh: boolean
}

/** Keeps reservations at the best relays that answer: where one is lost, the next takes its place until it is back. */
export class ReservationKeeper {
  readonly #init: KeeperInit
  readonly #seats = new Map<string, Seat>()
  #candidates: readonly string[] = []
  #running = false
  #needed = true
  /** Looks again when an attempt has become slow, or better relays have been there for a while. */
  #review: TimerHandle | undefined

  constructor(init: KeeperInit) {
    this.#init = init
  }

  start(): void {
    this.#running = true
    this.#plan()
  }

  async stop(): Promise<void> {
    this.#running = false
    await this.#leaveAll('stopping')
  }

  setCandidates(relays: readonly string[]): void {
    this.#candidates = [...new Set(relays)].slice(0, MAX_CANDIDATES)
    for (const seat of [...this.#seats.values()]) {
      if (!this.#candidates.includes(seat.relay)) void this.#leave(seat, 'not_needed')
    }
    this.#plan()
  }

  setNeeded(needed: boolean): void {
    this.#needed = needed
    if (needed) this.#plan()
    else void this.#leaveAll('not_needed')
  }

  checkNow(): void {
    for (const seat of this.#seats.values()) {
      seat.held?.beat()
      if (seat.retry === undefined) continue
      this.#init.clock.clearTimeout(seat.retry)
      seat.failures = Math.min(seat.failures, 1)
      seat.failingSinceMs = this.#init.clock.monotonicMs()
      void this.#attempt(seat)
    }
  }

  holds(relay: string): boolean {
    return this.#seats.get(relay)?.held !== undefined
  }

  list(): RelayReservation[] {
    return this.#candidates.flatMap((relay) => {
      const held = this.#seats.get(relay)?.held
      if (held === undefined) return []
      const { since, expires, rttMs, address } = held
      return { relay, since, expires, rttMs, mappedIp: /^\/ip[46]\/([^/]+)/.exec(address ?? '')?.[1] ?? null }
    })
  }

  /**
   * Goes through the candidates, best first, and uses each until enough are held or well on their way; gives back what
   * is beyond that once the better ones have lasted.
   */
  #plan(): void {
    if (!this.#running || !this.#needed) return
    const nowMs = this.#init.clock.monotonicMs()
    let covered = 0
    let reviewMs = Number.POSITIVE_INFINITY
    let settledAtMs = 0
    for (const relay of this.#candidates) {
      let seat = this.#seats.get(relay)
      if (covered >= KEPT_RELAYS) {
        if (seat === undefined) continue
        if (seat.held === undefined || settledAtMs <= nowMs) void this.#leave(seat, 'not_needed')
        else reviewMs = Math.min(reviewMs, settledAtMs - nowMs)
        continue
      }
      if (seat === undefined) {
        seat = this.#createSeat(relay)
        void this.#attempt(seat)
      }
      if (seat.held !== undefined) {
        covered++
        settledAtMs = Math.max(settledAtMs, nowMs + SETTLE_MS - (this.#init.clock.now() - seat.held.since))
      } else if (seat.failures === 0 && nowMs - seat.attemptMs < HEDGE_MS) {
        covered++
        settledAtMs = Number.POSITIVE_INFINITY
        reviewMs = Math.min(reviewMs, HEDGE_MS - (nowMs - seat.attemptMs))
      }
    }
    this.#setBeats()
    this.#reviewIn(reviewMs)
  }

  #reviewIn(delayMs: number): void {
    const { clock } = this.#init
    if (this.#review !== undefined) clock.clearTimeout(this.#review)
    this.#review = undefined
    if (!Number.isFinite(delayMs)) return
    this.#review = clock.setTimeout(() => this.#plan(), delayMs)
    this.#review.unref?.()
  }

  /** The best one that is held has the fast beat. */
  #setBeats(): void {
    let first = true
    for (const relay of this.#candidates) {
      const held = this.#seats.get(relay)?.held
      held?.setFirst(first)
      if (held !== undefined) first = false
    }
  }

  #createSeat(relay: string): Seat {
    const nowMs = this.#init.clock.monotonicMs()
    const seat: Seat = {
      relay,
      held: undefined,
      attempt: undefined,
      attemptMs: nowMs,
      retry: undefined,
      failures: 0,
      failingSinceMs: nowMs,
      fresh: false,
    }
    this.#seats.set(relay, seat)
    return seat
  }

  async #attempt(seat: Seat): Promise<void> {
    const { clock, counters, events, log } = this.#init
    const { relay } = seat
    const attempt = new AbortController()
    seat.retry = undefined
    seat.attempt = attempt
    seat.attemptMs = clock.monotonicMs()
    try {
      const first = !this.#candidates.some((each) => this.holds(each))
      const { stream, grant } = await withTimeout(
        `a reservation at ${relay}`,
        ATTEMPT_TIMEOUT_MS,
        (signal) => this.#init.reserve(relay, { fresh: seat.fresh, first, signal }),
        { signal: attempt.signal, clock },
      )
      if (attempt.signal.aborted) return void stream.destroy()
      seat.attempt = undefined
      seat.fresh = false
      seat.held = new HeldReservation({ stream, grant, clock, first, onLost: (loss) => this.#onLost(seat, loss) })
      counters.add('relay_client_reserved')
      log.info({ relay }, 'reserved at a relay')
      this.#plan()
      events.emit('reserved', { relay })
    } catch (thrown) {
      if (attempt.signal.aborted) return
      seat.attempt = undefined
      const { code, message } = toWarrenError(thrown)
      counters.add('relay_client_failed', 1, { code })
      if (seat.failures === 0) log.warn({ relay, code, reason: message }, 'a relay gives no reservation; trying on')
      // The connection may be the reason: it took a stream, and nothing came of it.
      if (code === 'timed_out') seat.fresh = true
      this.#onFailed(seat)
      this.#plan()
    }
  }

  #onFailed(seat: Seat): void {
    const { clock, random = Math.random } = this.#init
    if (seat.failures === 0) seat.failingSinceMs = clock.monotonicMs()
    seat.failures++
    const delayMs = retryDelayMs(seat.failures, clock.monotonicMs() - seat.failingSinceMs)
    // A tenth at random, so that those who lost a relay together do not come back in step.
    seat.retry = clock.setTimeout(() => void this.#attempt(seat), Math.round(delayMs * (0.9 + 0.2 * random())))
    seat.retry.unref?.()
  }

  #onLost(seat: Seat, { code, reason }: Loss): void {
    const { clock, counters, events, log } = this.#init
    const lastedMs = clock.now() - (seat.held?.since ?? 0)
    seat.held = undefined
    seat.fresh = code === 'silent'
    counters.add('relay_client_lost', 1, { reason: code })
    log.warn({ relay: seat.relay, code, reason }, 'a reservation at a relay was lost')
    if (lastedMs >= STEADY_MS) {
      // Not as a first attempt, so that the next candidate is asked at the same time.
      seat.failures = 1
      seat.failingSinceMs = clock.monotonicMs()
      void this.#attempt(seat)
    } else this.#onFailed(seat)
    this.#plan()
    events.emit('lost', { relay: seat.relay, reason })
  }

  async #leave(seat: Seat, code: 'not_needed' | 'stopping'): Promise<void> {
    const { clock, events } = this.#init
    this.#seats.delete(seat.relay)
    if (seat.retry !== undefined) clock.clearTimeout(seat.retry)
    seat.attempt?.abort(new Error('the reservation is not needed any more'))
    const { held } = seat
    seat.held = undefined
    if (held === undefined) return
    const left = held.giveBack(code)
    events.emit('lost', { relay: seat.relay, reason: code === 'stopping' ? 'this node stops' : 'given back' })
    await left
  }

  async #leaveAll(code: 'not_needed' | 'stopping'): Promise<void> {
    this.#reviewIn(Number.POSITIVE_INFINITY)
    await Promise.all([...this.#seats.values()].map((seat) => this.#leave(seat, code)))
  }
}

/** 0.25, 0.5, 1, 2, 2 … s in the first five minutes, then longer and longer up to 60 s. */
export function retryDelayMs(failures: number, failingForMs: number): number {
  const fastMs = Math.min(FAST_RETRY_MS, FIRST_RETRY_MS * 2 ** (failures - 1))
  if (failingForMs < FAST_RETRY_FOR_MS) return fastMs
  // A third of the time it has been failing beyond that: 2, 3, 4 … 60 s after eight minutes.
  return Math.min(SLOW_RETRY_MS, Math.max(FAST_RETRY_MS, (failingForMs - FAST_RETRY_FOR_MS) / 3))
}
