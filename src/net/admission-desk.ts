import type { MessageStream } from '@libp2p/interface'
import type { Clock, TimerHandle } from '../base/clock.ts'
import type { Counters } from '../base/counters.ts'
import { toWarrenError } from '../base/errors.ts'
import type { Logger } from '../base/log.ts'
import { rejectOnAbort } from '../base/wait.ts'
import { Attempts } from './attempts.ts'
import { ANSWER_FRAME, closedChannel, REQUEST_FRAME, receiveFrame, sendFrame } from './channel-frames.ts'
import {
  ADMISSION_REFUSAL_DELAY_MS,
  ADMISSION_SOURCE_RATE,
  ADMISSION_TIMEOUT_MS,
  ADMISSION_TOTAL_RATE,
} from './constants.ts'
import { sourceOf } from './pending.ts'
import type { AdmissionRequest, AdmissionServer, Refusal } from './types.ts'

/** An answer after which the talk goes on. */
export interface Reply {
  readonly answer: Uint8Array
  /** Takes the channel over until the signal, which fires when the time is over or the other side has left. */
  goOn(channel: MessageStream, signal: AbortSignal): Promise<void>
}

/** Who answers: those who ask for admission, or those who ask a relay for a passage. */
interface DeskServer {
  isOpen(peer: string): boolean
  answer(request: AdmissionRequest): Promise<Uint8Array | Reply>
}

interface AdmissionDeskInit {
  /** Undefined where nobody is heard. */
  server: DeskServer | AdmissionServer | undefined
  /** What is asked for, in the log and the counters; admission by default. */
  subject?: 'admission' | 'passage'
  /** Of a talk; a quarter of a minute by default. */
  timeoutMs?: number
  clock: Clock
  log: Logger
  counters: Counters
  onRefused: (refusal: Refusal) => void
}

/** A dialler that has asked for admission, over a channel on which it sends its request next. */
interface Asking extends Pick<AdmissionRequest, 'peer' | 'address' | 'transcript'> {
  readonly channel: MessageStream
}

/** How a talk ended; a failure with a reason for the log. */
type Outcome = Answered | Failure
interface Answered {
  readonly outcome: 'answered'
  readonly goOn?: Reply['goOn'] | undefined
}
interface Failure {
  readonly outcome: 'not_open' | 'limited' | 'garbled' | 'refused'
  readonly reason: string
}

const COUNTERS = { admission: 'net_admission', passage: 'net_passages' } as const
const WORDS = { admission: 'admission', passage: 'a passage' } as const
const TOO_MANY: Failure = { outcome: 'limited', reason: 'too many failed requests from its address' }
const TOO_MANY_IN_ALL: Failure = { outcome: 'limited', reason: 'too many failed requests' }

/**
 * Where strangers may ask for admission, or a relay for a passage, one question and one answer: who is heard, how
 * often, and for how long.
 */
export class AdmissionDesk {
  readonly #init: AdmissionDeskInit
  readonly #bySource: Attempts
  readonly #inAll: Attempts

  constructor(init: AdmissionDeskInit) {
    this.#init = init
    this.#bySource = new Attempts({ ...ADMISSION_SOURCE_RATE, clock: init.clock })
    this.#inAll = new Attempts({ ...ADMISSION_TOTAL_RATE, clock: init.clock })
  }

  /** Attempts under way, and those that still count against somebody. */
  get size(): number {
    return this.#bySource.size + this.#inAll.size
  }

  /** Whether this peer would be heard now. */
  isOpen(peer: string): boolean {
    const { server } = this.#init
    return server !== undefined && isOpen(server, peer)
  }

  /** Holds the talk to its end; the caller then closes the channel. Never rejects. */
  async attend(asking: Asking): Promise<void> {
    const { peer, address, channel } = asking
    const { counters, log, onRefused, clock, subject = 'admission', timeoutMs = ADMISSION_TIMEOUT_MS } = this.#init
    const ends = endOf(channel, timeoutMs, clock)
    try {
      const outcome = await this.#talk(asking, ends.signal)
      counters.add(COUNTERS[subject], 1, { outcome: outcome.outcome })
      if (outcome.outcome === 'answered') {
        log.info({ peer, address }, `a request for ${WORDS[subject]} was answered`)
        await outcome.goOn?.(channel, ends.signal)
        await closedChannel(channel, ends.signal)
        return
      }
      const { reason } = outcome
      onRefused({ peer, address, code: 'admission_refused', reason, cause: 'admission', direction: 'inbound' })
      if (outcome.outcome !== 'garbled' && outcome.outcome !== 'refused') return
      const delay = endOf(channel, ADMISSION_REFUSAL_DELAY_MS, clock)
      await closedChannel(channel, delay.signal)
      delay.stop()
    } finally {
      ends.stop()
    }
  }

  async #talk({ channel, ...facts }: Asking, signal: AbortSignal): Promise<Outcome> {
    const { server, subject = 'admission' } = this.#init
    if (server === undefined || !isOpen(server, facts.peer)) {
      return { outcome: 'not_open', reason: `it asked for ${WORDS[subject]}, which this node does not give it` }
    }
    const source = sourceOf(facts.address)
    if (!this.#bySource.hasRoom(source)) return TOO_MANY
    const message = await receiveFrame(channel, REQUEST_FRAME, signal)
    if (!Buffer.isBuffer(message)) {
      this.#bySource.charge(source)
      return { outcome: 'garbled', reason: `no request for ${WORDS[subject]} came: ${message}` }
    }
    const endForSource = await this.#bySource.begin(source, signal)
    if (endForSource === undefined) return TOO_MANY
    const endInAll = await this.#inAll.begin('all', signal)
    if (endInAll === undefined) {
      // Others have used up what there was.
      endForSource(true)
      return TOO_MANY_IN_ALL
    }
    const outcome = await this.#answer(server, channel, { ...facts, message, signal })
    endForSource(outcome.outcome === 'answered')
    endInAll(outcome.outcome === 'answered')
    return outcome
  }

  async #answer(server: DeskServer, channel: MessageStream, request: AdmissionRequest): Promise<Outcome> {
    try {
      const said = await Promise.race([server.answer(request), rejectOnAbort(request.signal)])
      const { answer, goOn } = said instanceof Uint8Array ? { answer: said, goOn: undefined } : said
      if (answer.length > ANSWER_FRAME.maxBytes) throw new Error(`an answer of ${answer.length} bytes is too long`)
      sendFrame(channel, answer, ANSWER_FRAME)
      return { outcome: 'answered', goOn }
    } catch (thrown) {
      return { outcome: 'refused', reason: `it was not admitted: ${toWarrenError(thrown).message}` }
    }
  }
}

function isOpen(server: DeskServer, peer: string): boolean {
  try {
    return server.isOpen(peer)
  } catch {
    return false
  }
}

/** A signal that fires when the time is over or the channel is closed; `stop` ends the waiting. */
function endOf(channel: MessageStream, timeoutMs: number, clock: Clock): { signal: AbortSignal; stop: () => void } {
  const controller = new AbortController()
  const fire = (): void => controller.abort(new Error('the talk about admission is over'))
  const timer: TimerHandle = clock.setTimeout(fire, timeoutMs)
  channel.addEventListener('close', fire)
  if (channel.status !== 'open') fire()
  return {
    signal: controller.signal,
    stop: () => {
      clock.clearTimeout(timer)
      channel.removeEventListener('close', fire)
    },
  }
}
