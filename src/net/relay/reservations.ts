import type { Clock, TimerHandle } from '../../base/clock.ts'
import { TokenBuckets } from '../../base/token-buckets.ts'
import { sendMessage } from '../frames.ts'
import type { Stream } from '../types.ts'
import { BEAT_RATE, RESERVATION_MS, SILENT_BEATS } from './constants.ts'
import type { RelayCode } from './errors.ts'
import { type CircuitLimits, clientWord, type RelayWord, readHead } from './messages.ts'
import { sayLast } from './refuse.ts'

interface ReservationsInit {
  readonly clock: Clock
  readonly limits: CircuitLimits
  /** Hears of each that ends; an ending that the client wished has the code `given_back`. */
  readonly onEnd: (peer: string, code: RelayCode | 'given_back' | 'closed') => void
}

/** What is said to people with each code by which a relay ends a reservation. */
const WORDS = {
  removed: 'this node is not served any more',
  replaced: 'a newer stream of this node holds the reservation',
  silent: 'nothing was heard of this node',
  expired: 'it was not renewed',
  stopping: 'the relay stops',
  too_fast: 'too many beats',
} satisfies Partial<Record<RelayCode, string>>
type EndCode = keyof typeof WORDS

interface Held {
  readonly peer: string
  readonly since: number
  /** Ends it with a word to the client. */
  end(code: EndCode): void
}

/** The reservations of a relay, one a peer: each lives as long as its stream and its beats. */
export class Reservations {
  readonly #init: ReservationsInit
  readonly #held = new Map<string, Held>()
  readonly #beats: TokenBuckets
  readonly #leaving = new Set<Promise<void>>()

  constructor(init: ReservationsInit) {
    this.#init = init
    this.#beats = new TokenBuckets({ ...BEAT_RATE, clock: init.clock })
  }

  get size(): number {
    return this.#held.size
  }

  has(peer: string): boolean {
    return this.#held.has(peer)
  }

  list(): { peer: string; since: number }[] {
    return [...this.#held.values()].map(({ peer, since }) => ({ peer, since }))
  }

  /** Holds a reservation on this stream until it ends; one that the peer had before is replaced. */
  async hold(stream: Stream, options: { address: string | null; beatMs: number }): Promise<void> {
    const { clock, limits, onEnd } = this.#init
    const { peer } = stream
    this.#held.get(peer)?.end('replaced')
    const reservation = new Reservation(stream, {
      clock,
      beatMs: options.beatMs,
      mayBeat: () => this.#beats.take(peer),
    })
    this.#held.set(peer, reservation)
    try {
      const grant = { ok: true, expires_ms: RESERVATION_MS, address: options.address, limits }
      const code = await reservation.run(grant)
      this.#forget(reservation)
      onEnd(peer, code)
      if (code === 'given_back' || code === 'closed') return void stream.destroy()
      const said = sayLast(stream, { kind: 'end', code, message: WORDS[code] } satisfies RelayWord, clock)
      this.#leaving.add(said)
      await said
      this.#leaving.delete(said)
    } finally {
      this.#forget(reservation)
    }
  }

  /** Not the newer one that may be in its place. */
  #forget(reservation: Held): void {
    if (this.#held.get(reservation.peer) === reservation) this.#held.delete(reservation.peer)
  }

  end(peer: string, code: EndCode): void {
    this.#held.get(peer)?.end(code)
  }

  /** Ends all; resolves when the clients know. */
  async endAll(code: EndCode): Promise<void> {
    for (const held of [...this.#held.values()]) held.end(code)
    // Each says its last word a tick after it has ended.
    await new Promise((resolve) => setImmediate(resolve))
    await Promise.all(this.#leaving)
  }
}

interface ReservationInit {
  readonly clock: Clock
  readonly beatMs: number
  readonly mayBeat: () => boolean
}

class Reservation implements Held {
  readonly peer: string
  readonly since: number
  readonly #stream: Stream
  readonly #init: ReservationInit
  readonly #ended = new AbortController()
  #endCode: EndCode | undefined
  #silence: TimerHandle | undefined
  #expiry: TimerHandle | undefined
  #expiresAtMs = 0

  constructor(stream: Stream, init: ReservationInit) {
    this.#stream = stream
    this.#init = init
    this.peer = stream.peer
    this.since = init.clock.now()
  }

  end(code: EndCode): void {
    this.#endCode ??= code
    this.#ended.abort()
  }

  async run(grant: object): Promise<EndCode | 'given_back' | 'closed'> {
    try {
      this.#renew()
      this.#heard(this.#init.beatMs)
      await this.#send(grant)
      for (;;) {
        const word = await readHead(this.#stream, clientWord, this.#ended.signal)
        if (word.kind === 'end') return 'given_back'
        if (!this.#init.mayBeat()) return 'too_fast'
        this.#heard(word.beat_ms)
        if (word.renew) this.#renew()
        const expiresMs = Math.max(0, this.#expiresAtMs - this.#init.clock.monotonicMs())
        await this.#send({ kind: 'beat', seq: word.seq, expires_ms: expiresMs } satisfies RelayWord)
      }
    } catch {
      return this.#endCode ?? 'closed'
    } finally {
      const { clock } = this.#init
      if (this.#silence !== undefined) clock.clearTimeout(this.#silence)
      if (this.#expiry !== undefined) clock.clearTimeout(this.#expiry)
    }
  }

  /** A client that takes no answers must not keep its reservation from ending. */
  #send(word: object): Promise<void> {
    const { signal } = this.#ended
    const aborted = Promise.withResolvers<never>()
    const onAbort = (): void => aborted.reject(signal.reason)
    if (signal.aborted) onAbort()
    signal.addEventListener('abort', onAbort, { once: true })
    const sent = sendMessage(this.#stream, word)
    sent.catch(() => undefined)
    return Promise.race([sent, aborted.promise]).finally(() => signal.removeEventListener('abort', onAbort))
  }

  #heard(beatMs: number): void {
    const { clock } = this.#init
    if (this.#silence !== undefined) clock.clearTimeout(this.#silence)
    this.#silence = clock.setTimeout(() => this.end('silent'), beatMs * SILENT_BEATS)
  }

  #renew(): void {
    const { clock } = this.#init
    if (this.#expiry !== undefined) clock.clearTimeout(this.#expiry)
    this.#expiresAtMs = clock.monotonicMs() + RESERVATION_MS
    this.#expiry = clock.setTimeout(() => this.end('expired'), RESERVATION_MS)
  }
}
