import type { Connection } from '@libp2p/interface'
import type { z } from 'zod'
import { toWarrenError } from '../../base/errors.ts'
import { EventBus } from '../../base/events.ts'
import { plainHost } from '../../base/ip-scope.ts'
import { TokenBuckets } from '../../base/token-buckets.ts'
import { withTimeout } from '../../base/wait.ts'
import { BoundedLog } from '../bounded-log.ts'
import { PASSAGE_TIMEOUT_MS } from '../constants.ts'
import { sendMessage } from '../frames.ts'
import type { Direction, SignalOptions, Stream } from '../types.ts'
import {
  CONNECT_TIMEOUT_MS,
  HEAD_TIMEOUT_MS,
  MAX_SEEN,
  MAX_SEEN_PEERS,
  RELAY_PROTOCOL,
  STOP_PROTOCOL,
  STOP_RATE,
  STOP_STREAMS,
  STRANGER_RATE,
  UPGRADE_TIMEOUT_MS,
} from './constants.ts'
import { errorOf, relayErrors } from './errors.ts'
import { beatMs } from './held.ts'
import { ReservationKeeper } from './keeper.ts'
import {
  connectAnswer,
  type RequestHead,
  type Reservation,
  readHead,
  reserveAnswer,
  type StopHead,
  stopHead,
} from './messages.ts'
import { sayLast } from './refuse.ts'
import type { RelayClient, RelayClientEvents, RelayClientInit, RelayReservation } from './types.ts'

interface OwnCircuit {
  readonly relay: string
  readonly peer: string
  readonly stream: Stream
}

/** A client of relays that does nothing yet. */
export function createRelayClient(init: RelayClientInit): RelayClient {
  return new Client({ ...init, log: init.log.child({ folder: 'net', part: 'relay' }) })
}

class Client implements RelayClient {
  readonly events: EventBus<RelayClientEvents>
  readonly #init: RelayClientInit
  readonly #keeper: ReservationKeeper
  readonly #log: BoundedLog
  readonly #arrivals: TokenBuckets
  readonly #strangers: TokenBuckets
  /** By relay and circuit: the relay may say why it ends one. */
  readonly #circuits = new Map<string, OwnCircuit>()
  /** Where relays have seen peers. */
  readonly #seen = new Map<string, Set<string>>()
  #endHandling: (() => void) | undefined

  constructor(init: RelayClientInit) {
    const { clock, log, counters } = init
    this.#init = init
    this.events = new EventBus((error) => log.error({ error: String(error) }, 'a listener of the relay client failed'))
    this.#log = new BoundedLog(log, clock)
    this.#arrivals = new TokenBuckets({ ...STOP_RATE, clock })
    this.#strangers = new TokenBuckets({ ...STRANGER_RATE, clock })
    const reserve = (relay: string, options: ReserveOptions) => this.#reserve(relay, options)
    this.#keeper = new ReservationKeeper({ reserve, clock, log, counters, events: this.events })
  }

  start(): void {
    if (this.#endHandling !== undefined) return
    this.#endHandling = this.#init.handle(STOP_PROTOCOL, (stream) => this.#onStop(stream), {
      maxStreamsPerPeer: STOP_STREAMS,
      // What makes this node current may come over a relay; the connection in it is judged as every other.
      always: true,
    })
    this.#keeper.start()
  }

  async stop(): Promise<void> {
    this.#endHandling?.()
    this.#endHandling = undefined
    await this.#keeper.stop()
  }

  setCandidates(relays: readonly string[]): void {
    this.#keeper.setCandidates(relays)
  }

  needed(needed: boolean): void {
    this.#keeper.setNeeded(needed)
  }

  checkNow(): void {
    this.#keeper.checkNow()
  }

  reservations(): RelayReservation[] {
    return this.#keeper.list()
  }

  wasSeenAt(peer: string, host: string): boolean {
    return this.#seen.get(peer)?.has(plainHost(host)) === true
  }

  async dial(relay: string, peer: string, { signal }: SignalOptions): Promise<Connection> {
    const stream = await withTimeout(
      `reaching ${peer} over the relay ${relay}`,
      CONNECT_TIMEOUT_MS,
      (bound) => this.#connect(relay, peer, bound),
      { signal, clock: this.#init.clock },
    )
    return this.#upgrade({ relay, peer, stream }, 'outbound', signal)
  }

  async #connect(relay: string, peer: string, signal: AbortSignal): Promise<Stream> {
    const request = { kind: 'connect', peer } satisfies RequestHead
    const { stream, answer } = await this.#ask(relay, { request, schema: connectAnswer, fresh: false, signal })
    if (!answer.ok) {
      stream.destroy()
      throw errorOf(answer.code, `the relay ${relay}: ${answer.message}`)
    }
    this.#noteSeen(peer, answer.seen)
    this.#track(answer.circuit, { relay, peer, stream })
    return stream
  }

  async #reserve(
    relay: string,
    { fresh, first, signal }: ReserveOptions,
  ): Promise<{ stream: Stream; grant: Reservation }> {
    const request = { kind: 'reserve', beat_ms: beatMs(first) } satisfies RequestHead
    const { stream, answer } = await this.#ask(relay, { request, schema: reserveAnswer, fresh, signal })
    if (answer.ok) return { stream, grant: answer }
    stream.destroy()
    throw errorOf(answer.code, `the relay ${relay}: ${answer.message}`)
  }

  /** A stream to a relay with its answer to a request; none is left behind where it fails. */
  async #ask<S extends typeof connectAnswer | typeof reserveAnswer>(
    relay: string,
    { request, schema, fresh, signal }: { request: RequestHead; schema: S; fresh: boolean; signal: AbortSignal },
  ): Promise<{ stream: Stream; answer: z.output<S> }> {
    const { connect, opener } = this.#init
    await connect(relay, { fresh, signal })
    signal.throwIfAborted()
    const stream = await opener.openOn(relay, RELAY_PROTOCOL, { direct: true, signal })
    const onAbort = (): void => void stream.destroy()
    signal.addEventListener('abort', onAbort, { once: true })
    try {
      signal.throwIfAborted()
      await sendMessage(stream, request)
      return { stream, answer: (await readHead(stream, schema, signal)) as z.output<S> }
    } catch (error) {
      stream.destroy()
      throw error
    } finally {
      signal.removeEventListener('abort', onAbort)
    }
  }

  async #upgrade(circuit: OwnCircuit, direction: Direction, signal: AbortSignal | undefined): Promise<Connection> {
    const { upgrader, addressOf, clock, counters } = this.#init
    const { relay, peer, stream } = circuit
    try {
      const connection = await withTimeout(
        `the connection with ${peer} over ${relay}`,
        UPGRADE_TIMEOUT_MS,
        (bound) =>
          upgrader.upgrade(stream, {
            direction,
            address: `${addressOf(relay)}/p2p-circuit/p2p/${peer}`,
            peer,
            kind: 'relayed',
            signal: bound,
          }),
        { signal, clock },
      )
      counters.add('relay_client_connections', 1, { direction })
      this.events.emit('connected', { peer, connection })
      return connection
    } catch (error) {
      stream.destroy()
      throw error
    }
  }

  /** A relay brings a circuit, or says why it ends one. */
  async #onStop(stream: Stream): Promise<void> {
    const { clock } = this.#init
    const relay = stream.peer
    const head = await withTimeout(
      'a word of a relay',
      HEAD_TIMEOUT_MS,
      (signal) => readHead(stream, stopHead, signal),
      {
        clock,
      },
    )
    if (head.kind === 'ended') {
      stream.destroy()
      return this.#onEnded(relay, head)
    }
    const refusal = this.#refusalOf(relay, head)
    if (refusal !== undefined) {
      this.#init.counters.add('relay_client_refused', 1, { code: refusal.code })
      this.#log.warn({ relay, peer: head.peer, ...refusal }, 'a connection over a relay was refused')
      return sayLast(stream, { ok: false, ...refusal }, clock)
    }
    if (head.kind === 'passage') return this.#onStranger({ relay, peer: head.peer, stream })
    this.#noteSeen(head.peer, head.seen)
    const circuit = { relay, peer: head.peer, stream }
    this.#track(head.circuit, circuit)
    await sendMessage(stream, { ok: true })
    await this.#upgrade(circuit, 'inbound', undefined).catch((thrown: unknown) => {
      const { code, message } = toWarrenError(thrown)
      this.#init.counters.add('relay_client_refused', 1, { code })
      this.#log.warn({ relay, peer: head.peer, code, reason: message }, 'a connection over a relay did not come about')
    })
  }

  /** A stranger asks for admission, over a channel on which it can ask for nothing else. */
  async #onStranger({ relay, peer, stream }: OwnCircuit): Promise<void> {
    const { strangers, addressOf, clock, counters } = this.#init
    const address = `${addressOf(relay)}/p2p-circuit/p2p/${peer}`
    try {
      await sendMessage(stream, { ok: true })
      const hear = async (signal: AbortSignal) => strangers?.hear(stream, { peer, address, signal })
      await withTimeout('a talk over a relay', PASSAGE_TIMEOUT_MS, hear, { clock })
      counters.add('relay_client_strangers', 1, { outcome: 'heard' })
    } catch (thrown) {
      const { code, message } = toWarrenError(thrown)
      counters.add('relay_client_strangers', 1, { outcome: code })
      this.#log.warn({ relay, peer, code, reason: message }, 'a stranger over a relay was not heard')
    } finally {
      stream.destroy()
    }
  }

  #refusalOf(relay: string, { kind, peer }: Exclude<StopHead, { kind: 'ended' }>) {
    const { mayAnswer, strangers } = this.#init
    const isStranger = kind === 'passage'
    if (!this.#keeper.holds(relay)) return { code: 'no_reservation', message: 'this node has no reservation there' }
    if (!(isStranger ? strangers?.mayAsk(peer) === true : mayAnswer(peer)))
      return { code: 'not_allowed', message: 'the node does not admit that peer' }
    if (!(isStranger ? this.#strangers : this.#arrivals).take(relay))
      return { code: 'too_fast', message: 'too many circuits; try again in some seconds' }
    return undefined
  }

  #noteSeen(peer: string, hosts: readonly string[]): void {
    if (hosts.length === 0) return
    const all = [...(this.#seen.get(peer) ?? []), ...hosts.map(plainHost)]
    this.#seen.delete(peer)
    // Of several relays, and the latest: a laptop moves.
    this.#seen.set(peer, new Set(all.slice(-2 * MAX_SEEN)))
    if (this.#seen.size > MAX_SEEN_PEERS) this.#seen.delete(this.#seen.keys().next().value as string)
  }

  #track(circuit: string, own: OwnCircuit): void {
    const key = `${own.relay} ${circuit}`
    if (own.stream.closed || this.#circuits.has(key)) return
    this.#circuits.set(key, own)
    own.stream.once('close', () => this.#circuits.delete(key))
  }

  #onEnded(relay: string, { circuit, code, message }: Extract<StopHead, { kind: 'ended' }>): void {
    const own = this.#circuits.get(`${relay} ${circuit}`)
    if (own === undefined) return
    const { peer } = own
    this.#init.counters.add('relay_client_circuits_ended', 1, { code: KNOWN_ENDS.has(code) ? code : 'other' })
    this.#log.warn({ relay, peer, code, reason: message }, 'a relay has ended a connection over it')
    own.stream.destroy(
      relayErrors.relay_circuit_ended(`the relay ${relay} has ended the connection with ${peer}: ${message}`),
    )
    this.events.emit('ended', { relay, peer, code, reason: message })
  }
}

/** What a relay names comes from outside: it must not make counters without end. */
const KNOWN_ENDS = new Set(['circuit_bytes', 'circuit_time', 'displaced', 'removed', 'stopping'])

interface ReserveOptions {
  readonly fresh: boolean
  readonly first: boolean
  readonly signal: AbortSignal
}
