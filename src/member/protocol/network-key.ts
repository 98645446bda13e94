import { z } from 'zod'
import { fromHex, toHex } from '../../base/bytes.ts'
import type { Clock, TimerHandle } from '../../base/clock.ts'
import type { Counters } from '../../base/counters.ts'
import type { TellDecision } from '../../base/decisions.ts'
import type { Logger } from '../../base/log.ts'
import { TokenBuckets } from '../../base/token-buckets.ts'
import { withTimeout } from '../../base/wait.ts'
import type { Roster } from '../../identity/index.ts'
import { type Network, type Refusal, readMessage, type Stream, sendMessage } from '../../net/index.ts'
import type { NetworkKeys } from '../network-keys.ts'
import { renewAdmission } from './ask-admission.ts'

const KEY_PROTOCOL = '/warren/network-key/1'
const MAX_MESSAGE_BYTES = 1024
const ASK_TIMEOUT_MS = 5000
/** While the announced key is lacking all are asked again this often. */
const RETRY_MS = 10_000
const MAX_STREAMS = 2
/** A peer asks at each rotation, on each connection and every 10 s: twenty at once and one in two seconds is plenty. */
const ASK_RATE = { perSecond: 0.5, burst: 20, maxKeys: 4096 }
/** A renewal costs the other side a handshake; one that did not help will not help a second later. */
const RENEW_INTERVAL_MS = 60_000

const question = z.object({ type: z.literal('ask'), check: z.string().regex(/^[0-9a-f]{64}$/) })
const answer = z.object({
  type: z.literal('key'),
  key: z
    .string()
    .regex(/^[0-9a-f]{64}$/)
    .nullable(),
})

export interface KeyHandOverOptions {
  readonly network: Pick<Network, 'id' | 'open' | 'handle' | 'events' | 'connections' | 'connect'>
  readonly keys: NetworkKeys
  readonly roster: Pick<Roster, 'state' | 'rightsOf' | 'onChange' | 'networkId'>
  /** Seed of the node key, for a renewal. */
  readonly privateKey: Uint8Array
  readonly clock: Clock
  readonly log: Logger
  readonly counters: Counters
  /** Hears who was refused the key, and from whom this node has taken one. */
  readonly tell?: TellDecision
}

/**
 * Hands network keys over between members: serves what this node holds to members of its roster, asks for the announced
 * one while it is lacking, and where a member does not take this node's keys at all, asks that one for admission. Gives
 * the function that ends it.
 */
export function startKeyHandOver(options: KeyHandOverOptions): () => void {
  const stopping = new AbortController()
  const seeker = new KeySeeker(options, stopping.signal)
  const renewer = new KeyRenewer(options, stopping.signal)
  const { network, roster } = options
  const rate = new TokenBuckets({ ...ASK_RATE, clock: options.clock })
  const stops = [
    network.handle(KEY_PROTOCOL, (stream) => serve(stream, rate, options), {
      maxStreamsPerPeer: MAX_STREAMS,
      always: true,
    }),
    roster.onChange(() => seeker.seek()),
    network.events.on('connected', () => seeker.seek()),
    network.events.on('refused', (refusal) => void renewer.consider(refusal)),
  ]
  seeker.seek()
  return () => {
    stopping.abort(new Error('the node is stopping'))
    for (const stop of stops) stop()
    seeker.stop()
  }
}

/** Never to somebody who was removed, waits or has expired: to learn the new key is what they are kept from. */
async function serve(stream: Stream, rate: TokenBuckets, options: KeyHandOverOptions): Promise<void> {
  const { peer } = stream
  const { roster, keys, counters, clock, tell } = options
  const isMember = roster.rightsOf(peer) !== undefined
  if (!isMember || !rate.take(peer)) {
    counters.add('member_network_key_refused')
    if (!isMember) {
      const reason = 'not_admitted: it has no rights in the roster'
      tell?.({ what: 'network-key', outcome: 'refused', by: peer, subject: 'hand-over of the network key', reason })
    }
    stream.destroy()
    return
  }
  stream.on('error', () => undefined)
  await withTimeout(
    'a question for a network key',
    ASK_TIMEOUT_MS,
    async (signal) => {
      const bytes = await readMessage(stream, { maxBytes: MAX_MESSAGE_BYTES, signal })
      if (bytes === undefined) return void stream.end()
      const { check } = question.parse(JSON.parse(bytes.toString('utf8')))
      // Looked at again: it was a moment ago that the question began.
      const key = roster.rightsOf(peer) === undefined ? undefined : keys.keyOf(check)
      if (key !== undefined) counters.add('member_network_keys_given')
      await sendMessage(stream, { type: 'key', key: key === undefined ? null : toHex(key) })
      stream.end()
      stream.resume()
    },
    { clock },
  )
}

/** Asks connected members for the announced key, one after another, until one has it. */
class KeySeeker {
  readonly #options: KeyHandOverOptions
  readonly #signal: AbortSignal
  #seeking = false
  #again = false
  #timer: TimerHandle | undefined

  constructor(options: KeyHandOverOptions, signal: AbortSignal) {
    this.#options = options
    this.#signal = signal
  }

  /** Starts to ask, or asks once more after the round that is under way. */
  seek(): void {
    if (this.#signal.aborted || this.#options.keys.lacking() === undefined) return
    this.#again = this.#seeking
    if (!this.#seeking) void this.#round()
  }

  stop(): void {
    if (this.#timer !== undefined) this.#options.clock.clearTimeout(this.#timer)
  }

  async #round(): Promise<void> {
    this.#seeking = true
    const { keys, clock, log } = this.#options
    for (const peer of this.#whomToAsk()) {
      const check = keys.lacking()
      if (check === undefined || this.#signal.aborted) break
      try {
        await this.#ask(peer, check)
      } catch (error) {
        log.debug({ peer, err: error }, 'a member gave no network key')
      }
    }
    this.#seeking = false
    if (this.#signal.aborted || keys.lacking() === undefined) return
    if (this.#again) return this.seek()
    if (this.#timer !== undefined) clock.clearTimeout(this.#timer)
    this.#timer = clock.setTimeout(() => this.seek(), RETRY_MS)
    this.#timer.unref?.()
  }

  /** Whoever announced it has it surely. */
  #whomToAsk(): string[] {
    const { network, roster } = this.#options
    const author = roster.state.networkKey?.author
    const peers = new Set(network.connections().map(({ peer }) => peer))
    const members = [...peers].filter((peer) => roster.rightsOf(peer) !== undefined)
    return members.sort((a, b) => Number(b === author) - Number(a === author))
  }

  async #ask(peer: string, check: string): Promise<void> {
    const { network, keys, counters, log, clock, tell } = this.#options
    const ask = async (signal: AbortSignal): Promise<string | null> => {
      const stream = await network.open(peer, KEY_PROTOCOL, { signal })
      stream.on('error', () => undefined)
      try {
        await sendMessage(stream, { type: 'ask', check })
        stream.end()
        const bytes = await readMessage(stream, { maxBytes: MAX_MESSAGE_BYTES, signal })
        stream.resume()
        return bytes === undefined ? null : answer.parse(JSON.parse(bytes.toString('utf8'))).key
      } catch (error) {
        stream.destroy()
        throw error
      }
    }
    const found = await withTimeout('asking for the network key', ASK_TIMEOUT_MS, ask, { signal: this.#signal, clock })
    const key = found === null ? undefined : fromHex(found)
    if (key === undefined) return
    const subject = `network key ${check.slice(0, 8)}`
    if (await keys.take(key)) return tell?.({ what: 'network-key', outcome: 'done', by: peer, subject })
    if (keys.lacking() !== check) return
    const reason = 'network_key_mismatch: it is not the announced one'
    tell?.({ what: 'network-key', outcome: 'refused', by: peer, subject, reason })
    counters.add('member_network_keys_rejected')
    log.warn({ peer }, 'a member gave a network key that is not the announced one')
  }
}

/** Asks a member that did not take this node's proof for the keys of today. */
class KeyRenewer {
  readonly #options: KeyHandOverOptions
  readonly #signal: AbortSignal
  readonly #askedMs = new Map<string, number>()

  constructor(options: KeyHandOverOptions, signal: AbortSignal) {
    this.#options = options
    this.#signal = signal
  }

  async consider({ peer, address, code, cause, direction }: Refusal): Promise<void> {
    const { network, keys, roster, clock, log, privateKey, counters, tell } = this.#options
    if (peer === null || cause !== 'proof' || direction !== 'outbound' || code !== 'network_key_mismatch') return
    if (roster.rightsOf(peer) === undefined || this.#signal.aborted) return
    const nowMs = clock.monotonicMs()
    if (nowMs - (this.#askedMs.get(peer) ?? Number.NEGATIVE_INFINITY) < RENEW_INTERVAL_MS) return
    this.#askedMs.set(peer, nowMs)
    try {
      const nodes = [{ id: peer, addresses: [address] }]
      const signal = this.#signal
      const renewal = await renewAdmission({ privateKey, networkId: roster.networkId, nodes, log, signal })
      if (this.#signal.aborted || !keys.tryOut(renewal.networkKeys)) return
      counters.add('member_network_keys_renewed')
      tell?.({ what: 'network-key', outcome: 'done', by: peer, subject: 'renewal of the network key' })
      log.info({ peer }, 'a member has handed over the network key, which changed while this node was away')
      await network.connect(address, { signal })
    } catch (error) {
      if (!this.#signal.aborted) log.debug({ peer, err: error }, 'no renewal of the network key by this member')
    }
  }
}
