import type { Clock, TimerHandle } from '../../base/clock.ts'
import { sendMessage } from '../frames.ts'
import type { Stream } from '../types.ts'
import {
  FIRST_ANSWER_MS,
  FIRST_BEAT_MS,
  MAX_ANSWER_MS,
  MISSED_BEATS,
  OTHER_ANSWER_MS,
  OTHER_BEAT_MS,
} from './constants.ts'
import { type ClientWord, type RelayWord, type Reservation, readHead, relayWord } from './messages.ts'
import { sayLast } from './refuse.ts'

/** How a reservation was lost. `silent`: its connection may be dead without anybody having said so. */
export interface Loss {
  readonly code: string
  readonly reason: string
}

interface HeldReservationInit {
  readonly stream: Stream
  readonly grant: Reservation
  readonly clock: Clock
  /** Whether this relay is the first one, whose loss must be noticed soon. */
  readonly first: boolean
  /** Called once, not after `giveBack`. */
  readonly onLost: (loss: Loss) => void
}

/** A reservation that this node holds at a relay: it beats, renews, and notices when the relay is gone. */
export class HeldReservation {
  readonly since: number
  readonly address: string | null
  expires: number
  rttMs: number | null = null
  readonly #init: HeldReservationInit
  readonly #over = new AbortController()
  /** When each beat without an answer was sent. */
  readonly #unanswered = new Map<number, number>()
  #first: boolean
  #renewAt: number
  #seq = 0
  #missed = 0
  #timer: TimerHandle | undefined

  constructor(init: HeldReservationInit) {
    const { clock, grant } = init
    this.#init = init
    this.#first = init.first
    this.since = clock.now()
    this.address = grant.address
    this.expires = clock.now() + grant.expires_ms
    this.#renewAt = clock.monotonicMs() + grant.expires_ms / 2
    this.#schedule()
    void this.#read()
  }

  /** Which beat it has; takes effect at once. */
  setFirst(first: boolean): void {
    if (this.#first === first || this.#over.signal.aborted) return
    this.#first = first
    if (this.#unanswered.size === 0) this.beat()
  }

  /** Asks now whether the relay is there; if two such questions are not answered, it is lost. */
  beat(): void {
    if (this.#over.signal.aborted || this.#unanswered.size > this.#missed) return
    const { clock, stream } = this.#init
    this.#seq++
    this.#unanswered.set(this.#seq, clock.monotonicMs())
    const renew = clock.monotonicMs() >= this.#renewAt
    const word: ClientWord = { kind: 'beat', seq: this.#seq, beat_ms: beatMs(this.#first), renew }
    // A failure is that of the stream, which the reader sees.
    sendMessage(stream, word).catch(() => undefined)
    this.#setTimer(() => this.#onMissed(), this.#answerMs())
  }

  /** Ends it without a loss; resolves when the relay has heard of it, or is not there to. */
  giveBack(code: 'not_needed' | 'stopping'): Promise<void> {
    if (this.#over.signal.aborted) return Promise.resolve()
    this.#close()
    const message = code === 'stopping' ? 'the node stops' : 'the node has no more use for it'
    return sayLast(this.#init.stream, { kind: 'end', code, message } satisfies ClientWord, this.#init.clock)
  }

  #schedule(): void {
    this.#setTimer(() => this.beat(), beatMs(this.#first))
  }

  #setTimer(run: () => void, delayMs: number): void {
    const { clock } = this.#init
    if (this.#timer !== undefined) clock.clearTimeout(this.#timer)
    this.#timer = clock.setTimeout(run, delayMs)
    this.#timer.unref?.()
  }

  #answerMs(): number {
    const least = this.#first ? FIRST_ANSWER_MS : OTHER_ANSWER_MS
    return Math.min(MAX_ANSWER_MS, Math.max(least, 4 * (this.rttMs ?? 0)))
  }

  #onMissed(): void {
    this.#missed++
    if (this.#missed < MISSED_BEATS) this.beat()
    else this.#lose({ code: 'silent', reason: `it has not answered ${MISSED_BEATS} beats` })
  }

  async #read(): Promise<void> {
    const { stream } = this.#init
    try {
      for (;;) {
        const word = await readHead(stream, relayWord, this.#over.signal)
        if (word.kind === 'end') return this.#lose({ code: word.code, reason: word.message })
        this.#onBeat(word)
      }
    } catch (error) {
      this.#lose({ code: 'closed', reason: error instanceof Error ? error.message : String(error) })
    }
  }

  #onBeat({ seq, expires_ms }: Extract<RelayWord, { kind: 'beat' }>): void {
    const { clock } = this.#init
    const sentMs = this.#unanswered.get(seq)
    if (sentMs === undefined) return
    this.rttMs = clock.monotonicMs() - sentMs
    this.#unanswered.clear()
    this.#missed = 0
    this.expires = clock.now() + expires_ms
    if (clock.monotonicMs() >= this.#renewAt) this.#renewAt = clock.monotonicMs() + expires_ms / 2
    this.#schedule()
  }

  #lose(loss: Loss): void {
    if (this.#over.signal.aborted) return
    this.#close()
    const { stream, clock, onLost } = this.#init
    // Where the relay is there after all, it should know.
    const word: ClientWord = { kind: 'end', code: 'silent', message: 'the relay was silent' }
    if (loss.code === 'silent') void sayLast(stream, word, clock)
    else stream.destroy()
    onLost(loss)
  }

  #close(): void {
    if (this.#timer !== undefined) this.#init.clock.clearTimeout(this.#timer)
    this.#over.abort()
  }
}

/** The distance of beats. */
export function beatMs(first: boolean): number {
  return first ? FIRST_BEAT_MS : OTHER_BEAT_MS
}
