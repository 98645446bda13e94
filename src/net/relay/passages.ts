import { randomBytes } from 'node:crypto'
import type { Clock } from '../../base/clock.ts'
import type { Counters } from '../../base/counters.ts'
import { TokenBuckets } from '../../base/token-buckets.ts'
import { withTimeout } from '../../base/wait.ts'
import type { StreamOpener } from '../channel.ts'
import { PASSAGE_BYTES, PASSAGE_TIMEOUT_MS } from '../constants.ts'
import type { Stream } from '../types.ts'
import { callTarget, type Refusal } from './call-target.ts'
import { Circuit } from './circuit.ts'
import { PASSAGE_RATE, PASSAGES, TARGET_TIMEOUT_MS } from './constants.ts'
import type { Passage, PassageWish } from './types.ts'

interface PassagesInit {
  readonly opener: StreamOpener
  /** Whether a node is reached over this relay now. */
  readonly reaches: (peer: string) => boolean
  readonly clock: Clock
  readonly counters: Counters
}

interface UnderWay {
  readonly circuit: Circuit
  readonly source: string
}

/** Strangers on their way to an admin: a few bytes for a few seconds, and few at a time. */
export class Passages {
  readonly #init: PassagesInit
  readonly #underWay = new Set<UnderWay>()
  readonly #rate: TokenBuckets

  constructor(init: PassagesInit) {
    this.#init = init
    this.#rate = new TokenBuckets({ ...PASSAGE_RATE, clock: init.clock })
  }

  /** See `RelayServer.passage`. */
  async open(wish: PassageWish): Promise<Passage | Refusal> {
    const refusal = this.#refusalOf(wish)
    if (refusal !== undefined) return refusal
    const { from, to, source, signal } = wish
    const underWay = { circuit: this.#createCircuit(from, to), source }
    this.#underWay.add(underWay)
    const far = await this.#call(wish)
    if ('code' in far) {
      this.#underWay.delete(underWay)
      return far
    }
    const giveUp = (): void => void far.destroy()
    far.once('close', () => this.#underWay.delete(underWay))
    if (far.closed) this.#underWay.delete(underWay)
    signal.addEventListener('abort', giveUp, { once: true })
    if (signal.aborted) giveUp()
    return {
      join: async (near) => {
        const end = await underWay.circuit.join(near, far)
        this.#init.counters.add('relay_passages_ended', 1, { reason: end })
        signal.removeEventListener('abort', giveUp)
      },
    }
  }

  endAll(): void {
    for (const { circuit } of this.#underWay) circuit.end('stopping')
  }

  #refusalOf({ to, source }: PassageWish): Refusal | undefined {
    if (!this.#rate.take(source)) {
      return { code: 'too_fast', message: 'too many have asked to join over this relay; try again in some seconds' }
    }
    if (!this.#init.reaches(to)) return { code: 'no_reservation', message: 'that admin holds no reservation here' }
    const count = (matches: (each: UnderWay) => boolean): number => [...this.#underWay].filter(matches).length
    const full =
      this.#underWay.size >= PASSAGES.inAll ||
      count((each) => each.source === source) >= PASSAGES.bySource ||
      count(({ circuit }) => circuit.to === to) >= PASSAGES.byAdmin
    return full
      ? { code: 'limit_reached', message: 'too many join over this relay at once; try again soon' }
      : undefined
  }

  /** The admin's side, or why there is none. */
  async #call({ from, to, signal }: PassageWish): Promise<Stream | Refusal> {
    const { opener, clock } = this.#init
    const head = { kind: 'passage', peer: from } as const
    try {
      return await withTimeout(
        'the answer of the admin',
        TARGET_TIMEOUT_MS,
        (bound) => callTarget(opener, to, { head, signal: bound }),
        { signal, clock },
      )
    } catch {
      return { code: 'target_silent', message: 'that admin has not answered this relay' }
    }
  }

  #createCircuit(from: string, to: string): Circuit {
    const { clock, counters } = this.#init
    return new Circuit({
      id: randomBytes(8).toString('hex'),
      from,
      to,
      limits: { bytes: PASSAGE_BYTES, ms: PASSAGE_TIMEOUT_MS },
      clock,
      onBytes: (bytes) => {
        counters.add('relay_bytes', bytes)
        return 0
      },
      // A stranger knows no protocol on which it could be told; the admin sees the end.
      tellEnd: () => Promise.resolve(),
    })
  }
}
