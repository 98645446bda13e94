import type { Connection } from '@libp2p/interface'
import type { Clock } from '../../base/clock.ts'
import { sleep, withTimeout } from '../../base/wait.ts'
import { dialError, shortReason } from '../dial-errors.ts'
import { netErrors } from '../errors.ts'
import type { FailureBook } from './failures.ts'
import {
  FIND_TIMEOUT_MS,
  MAX_PARALLEL_DIALS,
  MAX_RELAYS_TRIED,
  ONE_DIAL_TIMEOUT_MS,
  RELAY_AGAIN_MS,
  RELAY_STAGGER_MS,
  RELAYED_AFTER_MS,
  RELAYED_DIAL_TIMEOUT_MS,
  STAGGER_MS,
} from './limits.ts'
import { race } from './race.ts'

/** What finding a path needs. */
export interface PathfinderInit {
  /** A new connection to one address, whatever connections there are. */
  dial(address: string, options: { peer: string; signal: AbortSignal }): Promise<Connection>
  /** Resolves when a first request over the connection was answered. */
  ready(connection: Connection): Promise<void>
  /** Addresses of a peer, in the order in which they are tried. */
  candidates(peer: string): string[]
  /** Relays that may reach a peer, those that hold its reservation first. */
  relaysOf(peer: string): string[]
  isConnected(peer: string): boolean
  /** A relayed connection; undefined where this node uses no relays. */
  dialRelayed: ((relay: string, peer: string, options: { signal: AbortSignal }) => Promise<Connection>) | undefined
  /** Asks others for addresses; undefined where there is nobody to ask. */
  lookUp: ((peer: string, options: { signal: AbortSignal }) => Promise<string[]>) | undefined
  /** What people call a peer. */
  nameOf(peer: string): string
  readonly failures: FailureBook
  readonly clock: Clock
}

interface Search {
  readonly found: Promise<Connection>
  /** Resolves it with a connection that the peer has made meanwhile. */
  readonly arrived: (connection: Connection) => void
  readonly beganMs: number
  readonly stop: AbortController
  waiting: number
}

/**
 * Finds a path to a peer: its addresses side by side, direct ones first, then what others know of it, then relays. The
 * first that answers a request is taken; where a relay was faster, the direct ones go on for as long as they take.
 */
export class Pathfinder {
  readonly #init: PathfinderInit
  readonly #searches = new Map<string, Search>()

  constructor(init: PathfinderInit) {
    this.#init = init
  }

  /**
   * A new connection with a peer, ready for use, also where there is one already. Searches for one peer at the same
   * time are one. Fails as `Network.connect`, or with the signal's reason.
   */
  async find(peer: string, { signal }: { signal?: AbortSignal | undefined } = {}): Promise<Connection> {
    signal?.throwIfAborted()
    const search = this.#searches.get(peer) ?? this.#begin(peer)
    search.waiting += 1
    const left = Promise.withResolvers<never>()
    const onAbort = (): void => left.reject(signal?.reason)
    signal?.addEventListener('abort', onAbort, { once: true })
    try {
      return await Promise.race([search.found, left.promise])
    } finally {
      signal?.removeEventListener('abort', onAbort)
      search.waiting -= 1
      if (search.waiting === 0) search.stop.abort(new Error('nobody waits for this path any more'))
    }
  }

  /** Call it when a connection is ready that may have come from the other side: who looks for a path has one. */
  arrived(peer: string, connection: Connection): void {
    const search = this.#searches.get(peer)
    if (search !== undefined && connection.timeline.open >= search.beganMs) search.arrived(connection)
  }

  /** As `find`, over the peer's own addresses alone. */
  findDirect(peer: string, { signal }: { signal: AbortSignal }): Promise<Connection> {
    this.#init.failures.begin(peer, 'direct', 'lookup')
    return this.#direct(peer, signal).catch((error: unknown) => {
      signal.throwIfAborted()
      throw this.#describe(peer, error)
    })
  }

  /** Gives up all searches. */
  stop(): void {
    for (const { stop } of this.#searches.values()) stop.abort(new Error('the network stops'))
  }

  #begin(peer: string): Search {
    const stop = new AbortController()
    const arrival = Promise.withResolvers<Connection>()
    const searched = withTimeout(
      `looking for a path to ${this.#init.nameOf(peer)}`,
      FIND_TIMEOUT_MS,
      (inner) => this.#search(peer, AbortSignal.any([inner, stop.signal])),
      { clock: this.#init.clock },
    )
    const found = Promise.race([searched, arrival.promise]).finally(() => this.#searches.delete(peer))
    found.catch(() => undefined)
    const search = { found, arrived: arrival.resolve, beganMs: this.#init.clock.now(), stop, waiting: 0 }
    this.#searches.set(peer, search)
    return search
  }

  async #search(peer: string, signal: AbortSignal): Promise<Connection> {
    const { failures } = this.#init
    failures.begin(peer, 'direct', 'lookup', 'relay')
    // What is direct goes on after a relay has won: it may only be slower to come up.
    const bound = AbortSignal.timeout(FIND_TIMEOUT_MS)
    const settled = new AbortController()
    const directStop = new AbortController()
    const giveUp = (): void => {
      if (!settled.signal.aborted) directStop.abort(signal.reason)
    }
    signal.addEventListener('abort', giveUp, { once: true })
    const direct = this.#direct(peer, AbortSignal.any([bound, directStop.signal]))
    const relayed = this.#relayed(peer, AbortSignal.any([signal, settled.signal]), direct)
    try {
      return await Promise.any([direct, relayed])
    } catch (thrown) {
      signal.throwIfAborted()
      throw this.#describe(peer, thrown)
    } finally {
      settled.abort(new Error('a path was found'))
      signal.removeEventListener('abort', giveUp)
    }
  }

  async #direct(peer: string, signal: AbortSignal): Promise<Connection> {
    const { candidates, lookUp, failures } = this.#init
    const known = candidates(peer)
    const errors: unknown[] = []
    if (known.length > 0) {
      try {
        return await this.#raceAddresses(peer, known, signal)
      } catch (error) {
        errors.push(error)
      }
    }
    signal.throwIfAborted()
    const learned = await lookUp?.(peer, { signal }).catch((error: unknown) => {
      failures.note(peer, { way: 'lookup', what: '', reason: shortReason(error) })
      return []
    })
    const fresh = (learned ?? []).filter((address) => !known.includes(address))
    if (fresh.length === 0) throw new AggregateError(errors)
    return await this.#raceAddresses(peer, fresh, signal).catch((error: unknown) => {
      throw new AggregateError([...errors, error])
    })
  }

  #raceAddresses(peer: string, addresses: readonly string[], signal: AbortSignal): Promise<Connection> {
    const attempts = addresses.map((address) => (over: AbortSignal) => this.#dialOne(peer, address, over))
    const { clock } = this.#init
    return race(attempts, { staggerMs: STAGGER_MS, limit: MAX_PARALLEL_DIALS, signal, clock })
  }

  async #dialOne(peer: string, address: string, over: AbortSignal): Promise<Connection> {
    const { dial, ready, failures, clock } = this.#init
    try {
      return await withTimeout(
        'an address',
        ONE_DIAL_TIMEOUT_MS,
        async (signal) => {
          const connection = await dial(address, { peer, signal })
          await ready(connection)
          return connection
        },
        { signal: over, clock },
      )
    } catch (error) {
      if (!over.aborted) failures.note(peer, { way: 'direct', what: address, reason: shortReason(error) })
      throw error
    }
  }

  /** Begins a little later than the direct ones, or when they have failed. */
  async #relayed(peer: string, signal: AbortSignal, direct: Promise<unknown>): Promise<Connection> {
    const { relaysOf, dialRelayed, clock } = this.#init
    if (dialRelayed === undefined || relaysOf(peer).length === 0) throw new AggregateError([])
    let isAlone = false
    const failed = direct.then(
      () => sleep(FIND_TIMEOUT_MS, { signal, clock }),
      () => {
        isAlone = true
      },
    )
    failed.catch(() => undefined)
    await Promise.race([failed, sleep(RELAYED_AFTER_MS, { signal, clock })])
    for (;;) {
      signal.throwIfAborted()
      const attempts = relaysOf(peer)
        .filter((relay) => relay !== peer)
        .slice(0, MAX_RELAYS_TRIED)
        .map((relay) => (over: AbortSignal) => this.#dialOver(relay, { peer, over, dialRelayed }))
      try {
        return await race(attempts, { staggerMs: RELAY_STAGGER_MS, limit: MAX_PARALLEL_DIALS, signal, clock })
      } catch (error) {
        if (isAlone) throw error
      }
      await sleep(RELAY_AGAIN_MS, { signal, clock })
    }
  }

  async #dialOver(
    relay: string,
    {
      peer,
      over,
      dialRelayed,
    }: { peer: string; over: AbortSignal; dialRelayed: NonNullable<PathfinderInit['dialRelayed']> },
  ): Promise<Connection> {
    const { isConnected, ready, failures, clock } = this.#init
    try {
      return await withTimeout(
        'a relayed dial',
        RELAYED_DIAL_TIMEOUT_MS,
        async (signal) => {
          // A relay is reached directly: over another one it would only add to the way.
          if (!isConnected(relay)) await this.#direct(relay, signal)
          const connection = await dialRelayed(relay, peer, { signal })
          await ready(connection)
          return connection
        },
        { signal: over, clock },
      )
    } catch (error) {
      if (!over.aborted)
        failures.note(peer, { way: 'relay', what: relay, reason: withoutRelay(shortReason(error), relay) })
      throw error
    }
  }

  /** What the failures of all ways together mean. */
  #describe(peer: string, thrown: unknown): Error {
    const name = this.#init.nameOf(peer)
    const error = dialError(thrown, name)
    const why = this.#init.failures.why(peer, ['direct', 'lookup', 'relay'])
    if (error.code !== 'peer_unreachable' || why === null) return error
    return netErrors.peer_unreachable(`cannot reach ${name}: ${why}`, {
      hint: 'Check that the node runs and that its port is open, then try again.',
      cause: thrown,
    })
  }
}

/** Which relay it was is said before the reason. */
function withoutRelay(reason: string, relay: string): string {
  return reason.replace(`the relay ${relay}: `, '')
}
