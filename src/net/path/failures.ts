import type { Clock } from '../../base/clock.ts'
import { endpointOf, reachOf, withoutPeer } from './address-words.ts'
import { MAX_RECORDS } from './limits.ts'

/** A way to a peer that was tried in vain. */
export interface Failure {
  readonly way: 'direct' | 'relay' | 'punch' | 'lookup'
  /** The address or relay; empty where there is only one of the kind. */
  readonly what: string
  /** For people, in short. */
  readonly reason: string
}

/** Failures of one peer that are kept. */
const MAX_FAILURES = 24
/** Addresses named in a line for people. */
const MAX_NAMED = 3

/** Why the paths to peers are no better than they are: the last failure of each way, for people to see. */
export class FailureBook {
  readonly #clock: Clock
  readonly #nameOf: (peer: string) => string | null
  readonly #peers = new Map<string, { triedMs: number; failures: Map<string, Failure> }>()

  constructor(clock: Clock, nameOf: (peer: string) => string | null = () => null) {
    this.#clock = clock
    this.#nameOf = nameOf
  }

  /** A new search for paths: what was said of this way before no longer counts. */
  begin(peer: string, ...ways: Failure['way'][]): void {
    const entry = this.#entryOf(peer)
    entry.triedMs = this.#clock.now()
    for (const [key, { way }] of entry.failures) if (ways.includes(way)) entry.failures.delete(key)
  }

  note(peer: string, failure: Failure): void {
    const { failures } = this.#entryOf(peer)
    const key = `${failure.way} ${failure.what}`
    failures.delete(key)
    failures.set(key, failure)
    if (failures.size > MAX_FAILURES) failures.delete(failures.keys().next().value as string)
  }

  triedMs(peer: string): number | null {
    return this.#peers.get(peer)?.triedMs ?? null
  }

  forget(peer: string): void {
    this.#peers.delete(peer)
  }

  /** In a line, of these ways; null where none of them has failed. With `far` without addresses of private networks. */
  why(peer: string, ways: readonly Failure['way'][], { far = false } = {}): string | null {
    const failures = [...(this.#peers.get(peer)?.failures.values() ?? [])].filter(
      ({ way, what }) => ways.includes(way) && !(far && way === 'direct' && isPrivate(what)),
    )
    const parts = ways.flatMap((way) => this.#describe(failures.filter((failure) => failure.way === way)))
    return parts.length === 0 ? null : parts.join('; ')
  }

  /** Failures of one way; addresses that fail alike share their reason. */
  #describe(failures: readonly Failure[]): string[] {
    const byReason = new Map<string, string[]>()
    for (const failure of failures) {
      const { reason } = failure
      byReason.set(reason, [...(byReason.get(reason) ?? []), this.#nameFor(failure)])
    }
    return [...byReason].map(([reason, names]) => {
      const more = names.length > MAX_NAMED ? ` and ${names.length - MAX_NAMED} more` : ''
      return `${names.slice(0, MAX_NAMED).join(', ')}${more}: ${reason}`
    })
  }

  #nameFor({ way, what }: Failure): string {
    if (way === 'relay') return `relay ${this.#nameOf(what) ?? what.slice(-8)}`
    return way === 'direct' ? shortAddress(what) : way
  }

  #entryOf(peer: string) {
    const entry = this.#peers.get(peer) ?? { triedMs: this.#clock.now(), failures: new Map<string, Failure>() }
    this.#peers.delete(peer)
    this.#peers.set(peer, entry)
    if (this.#peers.size > MAX_RECORDS) this.#peers.delete(this.#peers.keys().next().value as string)
    return entry
  }
}

function isPrivate(address: string): boolean {
  const endpoint = endpointOf(withoutPeer(address))
  return endpoint !== undefined && reachOf(endpoint) === 'private'
}

/** `192.0.2.7:9010`, `[2001:db8::7]:9010`. */
export function shortAddress(address: string): string {
  const endpoint = endpointOf(withoutPeer(address))
  if (endpoint === undefined) return address
  return endpoint.host.includes(':') ? `[${endpoint.host}]:${endpoint.port}` : `${endpoint.host}:${endpoint.port}`
}
