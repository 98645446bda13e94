import type { Clock } from '../../base/clock.ts'
import { RATE_BURST_MS } from './constants.ts'

/** Peers remembered beyond those that still have to wait. */
const MAX_IDLE_PEERS = 1024

/** A rate a peer: who is ahead of it waits, and nothing is dropped. */
export class Pacer {
  readonly #bytesPerSecond: number
  readonly #clock: Clock
  /** When the traffic of a peer so far would be through at its rate. */
  readonly #through = new Map<string, number>()

  constructor(bytesPerSecond: number, clock: Clock) {
    this.#bytesPerSecond = bytesPerSecond
    this.#clock = clock
  }

  /** Counts bytes that were passed on, and gives the milliseconds to wait before the next. */
  take(peer: string, bytes: number): number {
    if (this.#bytesPerSecond === 0) return 0
    const nowMs = this.#clock.monotonicMs()
    const startMs = Math.max(this.#through.get(peer) ?? 0, nowMs - RATE_BURST_MS)
    const throughMs = startMs + (bytes / this.#bytesPerSecond) * 1000
    this.#through.set(peer, throughMs)
    if (this.#through.size > MAX_IDLE_PEERS) this.#forgetIdle(nowMs)
    return Math.max(0, Math.ceil(throughMs - nowMs))
  }

  #forgetIdle(nowMs: number): void {
    for (const [peer, throughMs] of this.#through) {
      if (throughMs <= nowMs - RATE_BURST_MS) this.#through.delete(peer)
    }
  }
}
