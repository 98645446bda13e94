import { randomBytes } from 'node:crypto'
import { TokenBuckets } from '../../base/token-buckets.ts'
import { sleep, withTimeout } from '../../base/wait.ts'
import { BoundedLog } from '../bounded-log.ts'
import { sendMessage } from '../frames.ts'
import type { Stream } from '../types.ts'
import { callTarget, type Refusal } from './call-target.ts'
import { Circuit, type CircuitEnd } from './circuit.ts'
import {
  CIRCUITS_PER_PAIR,
  EXTRA_STREAMS,
  HEAD_TIMEOUT_MS,
  MAX_SEEN,
  NOTICE_TIMEOUT_MS,
  RELAY_PROTOCOL,
  REQUEST_RATE,
  STOP_PROTOCOL,
  TARGET_TIMEOUT_MS,
} from './constants.ts'
import { type CircuitLimits, readHead, requestHead, type StopHead } from './messages.ts'
import { Pacer } from './pacer.ts'
import { Passages } from './passages.ts'
import { sayLast } from './refuse.ts'
import { Reservations } from './reservations.ts'
import type { PassageWish, RelayServer, RelayServerInit, RelayServerStatus } from './types.ts'

/** What both ends of a circuit are told when the relay ends it. */
const END_WORDS: Partial<Record<CircuitEnd, string>> = {
  circuit_bytes: 'it carried as many bytes as this relay lets a circuit carry',
  circuit_time: 'it lasted as long as this relay lets a circuit last',
  displaced: 'another node needed its place, and these two have others',
  removed: 'one of the two nodes is not served any more',
  stopping: 'the relay stops',
}

/** A relay that does not serve yet. */
export function createRelayServer(init: RelayServerInit): RelayServer {
  return new Server({ ...init, log: init.log.child({ folder: 'net', part: 'relay' }) })
}

class Server implements RelayServer {
  readonly #init: RelayServerInit
  readonly #log: BoundedLog
  readonly #circuitLimits: CircuitLimits
  readonly #reservations: Reservations
  /** Those under way and those that stand: both take room. */
  readonly #circuits = new Map<string, Circuit>()
  readonly #requests: TokenBuckets
  readonly #pacer: Pacer
  readonly #passages: Passages
  #serving: { end: () => void; stop: AbortController } | undefined

  constructor(init: RelayServerInit) {
    const { clock, counters, limits } = init
    this.#init = init
    this.#log = new BoundedLog(init.log, clock)
    this.#circuitLimits = { bytes: limits.circuitBytes, ms: limits.circuitTimeMs }
    this.#requests = new TokenBuckets({ ...REQUEST_RATE, clock })
    this.#pacer = new Pacer(limits.ratePerPeer, clock)
    this.#passages = new Passages({
      opener: init.opener,
      reaches: (peer) => init.mayUse(peer) && this.#reservations.has(peer),
      clock,
      counters,
    })
    this.#reservations = new Reservations({
      clock,
      limits: this.#circuitLimits,
      onEnd: (peer, code) => {
        counters.add('relay_reservations_ended', 1, { reason: code })
        init.log.debug({ peer, code }, 'a reservation ended')
      },
    })
  }

  start(): void {
    if (this.#serving !== undefined) return
    const { handle, limits } = this.#init
    const end = handle(RELAY_PROTOCOL, (stream) => this.#serve(stream), {
      maxStreamsPerPeer: limits.circuitsPerPeer + EXTRA_STREAMS,
      // What makes a node current may come over a relay; who is served is judged by `mayUse`.
      always: true,
    })
    this.#serving = { end, stop: new AbortController() }
  }

  async stop(): Promise<void> {
    const serving = this.#serving
    if (serving === undefined) return
    this.#serving = undefined
    serving.end()
    serving.stop.abort()
    const told = this.#reservations.endAll('stopping')
    for (const circuit of this.#circuits.values()) circuit.end('stopping')
    this.#passages.endAll()
    await Promise.race([told, sleep(NOTICE_TIMEOUT_MS, { clock: this.#init.clock })])
  }

  recheck(): void {
    const { mayUse } = this.#init
    for (const { peer } of this.#reservations.list()) if (!mayUse(peer)) this.#reservations.end(peer, 'removed')
    for (const circuit of this.#circuits.values()) {
      if (!mayUse(circuit.from) || !mayUse(circuit.to)) circuit.end('removed')
    }
  }

  passage(wish: PassageWish) {
    return this.#passages.open(wish)
  }

  status(): RelayServerStatus {
    const circuits = [...this.#circuits.values()].map(({ from, to, since, bytes }) => ({ from, to, since, bytes }))
    return {
      reservations: this.#reservations
        .list()
        .map((each) => ({ ...each, circuits: this.#circuitsOf(each.peer).length })),
      circuits,
      limits: this.#init.limits,
    }
  }

  async #serve(stream: Stream): Promise<void> {
    const { clock, counters } = this.#init
    const { peer } = stream
    const stop = this.#serving?.stop.signal
    if (!this.#requests.take(peer)) {
      return this.#refuse(stream, { code: 'too_fast', message: 'too many requests; try again in some seconds' })
    }
    const head = await withTimeout(
      'a request to this relay',
      HEAD_TIMEOUT_MS,
      (s) => readHead(stream, requestHead, s),
      {
        signal: stop,
        clock,
      },
    ).catch((error: unknown) => {
      counters.add('relay_refused', 1, { code: 'malformed' })
      throw error
    })
    if (!this.#init.mayUse(peer)) {
      return this.#refuse(stream, { code: 'not_allowed', message: 'this relay serves members of its network only' })
    }
    const [address] = this.#init.observed(peer)
    if (address === undefined) {
      // Else circuits could be led through relay after relay.
      return this.#refuse(stream, { code: 'not_allowed', message: 'a request to this relay needs a direct connection' })
    }
    if (head.kind === 'connect') return this.#connect(stream, head.peer)
    const refusal = this.#refusalOfReservation(peer)
    if (refusal !== undefined) return this.#refuse(stream, refusal)
    counters.add('relay_reservations')
    await this.#reservations.hold(stream, { address, beatMs: head.beat_ms })
  }

  #refusalOfReservation(peer: string): Refusal | undefined {
    const { maxReservations } = this.#init.limits
    if (this.#reservations.has(peer) || this.#reservations.size < maxReservations) return undefined
    return { code: 'limit_reached', message: `this relay holds ${maxReservations} reservations, and no more` }
  }

  #refusalOfCircuit(from: string, to: string): Refusal | undefined {
    const { maxCircuits, circuitsPerPeer } = this.#init.limits
    if (from === to || !this.#reservations.has(to)) {
      return { code: 'no_reservation', message: 'that node holds no reservation here' }
    }
    if (!this.#init.mayUse(to)) return { code: 'not_allowed', message: 'this relay does not serve that node' }
    const ofPair = this.#circuitsOf(from).filter((each) => each.from === to || each.to === to).length
    if (ofPair >= CIRCUITS_PER_PAIR) return full(`these two nodes have ${ofPair} circuits already`)
    if (this.#circuits.size >= maxCircuits) return full(`this relay has ${maxCircuits} circuits already`)
    const displaced: Circuit[] = []
    for (const peer of [from, to]) {
      const circuits = this.#circuitsOf(peer).filter((each) => !displaced.includes(each))
      if (circuits.length < circuitsPerPeer) continue
      const dialled = circuits.filter((each) => each.to === peer)
      const circuit = leastOfLargestShare(dialled, ofPair + 1)
      if (circuit === undefined) return full(`${peer} has ${circuitsPerPeer} circuits already`)
      displaced.push(circuit)
    }
    for (const circuit of displaced) circuit.end('displaced')
    return undefined
  }

  /** Those that a peer has and keeps. */
  #circuitsOf(peer: string): Circuit[] {
    return [...this.#circuits.values()].filter(({ from, to, ends }) => !ends && (from === peer || to === peer))
  }

  async #connect(near: Stream, to: string): Promise<void> {
    const { counters } = this.#init
    const refusal = this.#refusalOfCircuit(near.peer, to)
    if (refusal !== undefined) return this.#refuse(near, refusal)
    const circuit = this.#createCircuit(near.peer, to)
    this.#circuits.set(circuit.id, circuit)
    try {
      const far = await this.#reach(near, circuit)
      if ('code' in far) return await this.#refuse(near, far)
      // Sent without waiting: a dialler that reads nothing is held by its circuit, which has an end.
      const answer = { ok: true, circuit: circuit.id, limits: this.#circuitLimits, seen: this.#seenAt(to) }
      sendMessage(near, answer).catch(() => undefined)
      counters.add('relay_circuits')
      const end = await circuit.join(near, far)
      this.#account(circuit, end)
    } finally {
      this.#circuits.delete(circuit.id)
    }
  }

  #createCircuit(from: string, to: string): Circuit {
    const { clock, counters } = this.#init
    const id = randomBytes(8).toString('hex')
    return new Circuit({
      id,
      from,
      to,
      limits: this.#circuitLimits,
      clock,
      onBytes: (bytes) => {
        counters.add('relay_bytes', bytes)
        return Math.max(this.#pacer.take(from, bytes), this.#pacer.take(to, bytes))
      },
      tellEnd: (end) => this.#tellEnd([from, to], { circuit: id, end }),
    })
  }

  #account({ from, to, since, bytes }: Circuit, end: CircuitEnd): void {
    const { clock, counters, log } = this.#init
    counters.add('relay_circuits_ended', 1, { reason: end })
    const fields = { from, to, bytes, ms: clock.now() - since, reason: end }
    if (END_WORDS[end] === undefined) log.debug(fields, 'a circuit ended')
    else this.#log.warn(fields, 'a circuit was ended by this relay')
  }

  /** The target's side of a circuit, or why there is none. Leaves no stream behind. */
  async #reach(near: Stream, circuit: Circuit): Promise<Stream | Refusal> {
    const { clock } = this.#init
    const given = new AbortController()
    const onClose = (): void => given.abort()
    near.once('close', onClose)
    const signals = [given.signal, this.#serving?.stop.signal].filter((signal) => signal !== undefined)
    try {
      return await withTimeout('the answer of the target', TARGET_TIMEOUT_MS, (s) => this.#callTarget(circuit, s), {
        signal: AbortSignal.any(signals),
        clock,
      })
    } catch {
      return {
        code: 'target_silent',
        message: `that node has not answered this relay in ${TARGET_TIMEOUT_MS / 1000} s`,
      }
    } finally {
      near.off('close', onClose)
    }
  }

  #callTarget({ id, from, to }: Circuit, signal: AbortSignal): Promise<Stream | Refusal> {
    const seen = this.#seenAt(from)
    const head = { kind: 'stop', peer: from, circuit: id, limits: this.#circuitLimits, seen } satisfies StopHead
    return callTarget(this.#init.opener, to, { head, signal })
  }

  /** The addresses from which a peer is connected here, which the other end has from nobody else. */
  #seenAt(peer: string): string[] {
    const hosts = this.#init.observed(peer).flatMap((text) => /^\/ip[46]\/([^/]+)\//.exec(text)?.[1] ?? [])
    return [...new Set(hosts)].slice(0, MAX_SEEN)
  }

  async #tellEnd(peers: readonly string[], { circuit, end }: { circuit: string; end: CircuitEnd }): Promise<void> {
    const { clock, opener } = this.#init
    const notice = { kind: 'ended', circuit, code: end, message: END_WORDS[end] ?? end } satisfies StopHead
    const tell = async (peer: string, signal: AbortSignal): Promise<void> => {
      const stream = await opener.openOn(peer, STOP_PROTOCOL, { direct: true, signal })
      // Closed by who has read it: a reset that overtakes its reason would leave none.
      await sayLast(stream, notice, clock)
    }
    await withTimeout('a notice', NOTICE_TIMEOUT_MS, (s) => Promise.allSettled(peers.map((peer) => tell(peer, s))), {
      clock,
    })
  }

  async #refuse(stream: Stream, { code, message }: Refusal): Promise<void> {
    this.#init.counters.add('relay_refused', 1, { code })
    this.#log.warn({ peer: stream.peer, code }, `a request to this relay was refused: ${message}`)
    await sayLast(stream, { ok: false, code, message }, this.#init.clock)
  }
}

/**
 * Of the circuits that others have dialled to a peer the one to give up for a newcomer: of those of whoever has most, the
 * one that has been silent longest. None where nobody has more than `above`, so that two never take each other's place in
 * turn.
 */
function leastOfLargestShare(circuits: readonly Circuit[], above: number): Circuit | undefined {
  const shares = Map.groupBy(circuits, ({ from }) => from)
  const [largest = []] = [...shares.values()].sort((a, b) => b.length - a.length)
  return largest.length > above ? largest.toSorted((a, b) => a.usedMs - b.usedMs)[0] : undefined
}

function full(message: string): Refusal {
  return { code: 'limit_reached', message }
}
