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

interface AdmissionDeskInit {
  /** Undefined where nobody is heard. */
  server: AdmissionServer | undefined
  clock: Clock
  log: Logger
  counters: Counters
  onRefused: (refusal: Refusal) => void
}

/** A dialler that has asked for admission, over a channel on which it sends its request next. */
interface Asking extends Pick<AdmissionRequest, 'peer' | 'address' | 'transcript'> {
  readonly channel: MessageStream
}

/** How a talk ended; all but `answered` with a reason for the log. */
type Outcome = 'answered' | Failure
interface Failure {
  readonly outcome: 'not_open' | 'limited' | 'garbled' | 'refused'
  readonly reason: string
}

const NOT_OPEN: Failure = { outcome: 'not_open', reason: 'it asked for admission, which this node does not give it' }
const TOO_MANY: Failure = { outcome: 'limited', reason: 'too many failed requests for admission from its address' }
const TOO_MANY_IN_ALL: Failure = { outcome: 'limited', reason: 'too many failed requests for admission' }

/** Where strangers may ask for admission, one question and one answer: who is heard, how often, and for how long. */
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

  /** Holds the talk to its end; the caller then closes the channel. Never rejects. */
  async attend(asking: Asking): Promise<void> {
    const { peer, address, channel } = asking
    const { counters, log, onRefused, clock } = this.#init
    const ends = endOf(channel, ADMISSION_TIMEOUT_MS, clock)
    try {
      const outcome = await this.#talk(asking, ends.signal)
      counters.add('net_admission', 1, { outcome: outcome === 'answered' ? outcome : outcome.outcome })
      if (outcome === 'answered') {
        log.info({ peer, address }, 'a request for admission was answered')
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
    const { server } = this.#init
    if (server === undefined || !isOpen(server, facts.peer)) return NOT_OPEN
    const source = sourceOf(facts.address)
    if (!this.#bySource.hasRoom(source)) return TOO_MANY
    const message = await receiveFrame(channel, REQUEST_FRAME, signal)
    if (!Buffer.isBuffer(message)) {
      this.#bySource.charge(source)
      return { outcome: 'garbled', reason: `no request for admission came: ${message}` }
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
    endForSource(outcome === 'answered')
    endInAll(outcome === 'answered')
    return outcome
  }

  async #answer(server: AdmissionServer, channel: MessageStream, request: AdmissionRequest): Promise<Outcome> {
    try {
      const answer = await Promise.race([server.answer(request), rejectOnAbort(request.signal)])
      if (answer.length > ANSWER_FRAME.maxBytes) throw new Error(`an answer of ${answer.length} bytes is too long`)
      sendFrame(channel, answer, ANSWER_FRAME)
      return 'answered'
    } catch (thrown) {
      return { outcome: 'refused', reason: `it was not admitted: ${toWarrenError(thrown).message}` }
    }
  }
}

function isOpen(server: AdmissionServer, peer: string): boolean {
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
