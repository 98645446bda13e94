import type { Clock } from '../base/clock.ts'
import { sourceKeyOf } from '../base/ip-scope.ts'
import { Attempts } from './attempts.ts'
import { FAILED_PROOF_RATE, MAX_PENDING_CONNECTIONS, MAX_PENDING_PER_SOURCE } from './constants.ts'

/**
 * Handshakes in progress by where they come from, so that one stranger who opens connections and says nothing cannot
 * take the room of everybody else (NET-12).
 */
export class PendingConnections {
  readonly #bySource = new Map<string, number>()
  readonly #failures: Attempts
  #total = 0

  constructor(clock: Clock) {
    this.#failures = new Attempts({ ...FAILED_PROOF_RATE, clock })
  }

  /**
   * Counts a connection from this multiaddr until the function that it gives is called, which may be more than once.
   * Undefined where there are too many already, from there or in all, or where too many from there have failed.
   */
  begin(address: string): (() => void) | undefined {
    const source = sourceOf(address)
    if (!this.#failures.hasRoom(source)) return undefined
    const pending = this.#bySource.get(source) ?? 0
    if (pending >= MAX_PENDING_PER_SOURCE || this.#total >= MAX_PENDING_CONNECTIONS) return undefined
    this.#bySource.set(source, pending + 1)
    this.#total += 1
    let ended = false
    return () => {
      if (ended) return
      ended = true
      this.#total -= 1
      const left = (this.#bySource.get(source) ?? 1) - 1
      if (left > 0) this.#bySource.set(source, left)
      else this.#bySource.delete(source)
    }
  }

  /** A dialler from this multiaddr did not get through the handshake, or did not prove the network key. */
  failed(address: string): void {
    this.#failures.charge(sourceOf(address))
  }
}

/** Whom a connection from a multiaddr counts for: its address, of IPv6 the /64, since a single host may use all of one. */
export function sourceOf(address: string): string {
  return sourceKeyOf(address.split('/')[2] ?? '')
}
