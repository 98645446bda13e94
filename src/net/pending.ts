import { isIPv6 } from 'node:net'
import type { Clock } from '../base/clock.ts'
import { Attempts } from './attempts.ts'
import { FAILED_PROOF_RATE, MAX_PENDING_PER_SOURCE } from './constants.ts'

/** The part of a raw connection that counts here. */
interface Incoming {
  readonly remoteAddr: { toString(): string }
  addEventListener(type: 'close', listener: () => void): void
}

/**
 * Handshakes in progress by where they come from, so that one stranger who opens connections and says nothing cannot
 * take the room of everybody else (NET-12).
 */
export class PendingConnections {
  readonly #bySource = new Map<string, number>()
  readonly #ends = new WeakMap<object, () => void>()
  readonly #failures: Attempts

  constructor(clock: Clock) {
    this.#failures = new Attempts({ ...FAILED_PROOF_RATE, clock })
  }

  /** Counts a connection until `end` or its close. False where its source has too many already, or has failed too often. */
  begin(connection: Incoming): boolean {
    const source = sourceOf(connection.remoteAddr.toString())
    if (!this.#failures.hasRoom(source)) return false
    const pending = this.#bySource.get(source) ?? 0
    if (pending >= MAX_PENDING_PER_SOURCE) return false
    this.#bySource.set(source, pending + 1)
    let ended = false
    const end = (): void => {
      if (ended) return
      ended = true
      const left = (this.#bySource.get(source) ?? 1) - 1
      if (left > 0) this.#bySource.set(source, left)
      else this.#bySource.delete(source)
    }
    this.#ends.set(connection, end)
    connection.addEventListener('close', end)
    return true
  }

  /** A dialler from this multiaddr did not prove the network key. */
  failed(address: string): void {
    this.#failures.charge(sourceOf(address))
  }

  /** Its handshake is over. */
  end(connection: object): void {
    this.#ends.get(connection)?.()
  }
}

/** Whom a connection from a multiaddr counts for: its address, of IPv6 the /64, since a single host may use all of one. */
export function sourceOf(address: string): string {
  const host = address.split('/')[2] ?? ''
  if (!isIPv6(host)) return host
  const [front = '', back] = host.split('::')
  const groups = front === '' ? [] : front.split(':')
  const behind = back === undefined || back === '' ? [] : back.split(':')
  const zeros = Array.from({ length: Math.max(0, 8 - groups.length - behind.length) }, () => '0')
  return [...groups, ...zeros, ...behind].slice(0, 4).join(':')
}
