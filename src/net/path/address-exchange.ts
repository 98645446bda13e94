import type { Clock, TimerHandle } from '../../base/clock.ts'
import type { Counters } from '../../base/counters.ts'
import type { Logger } from '../../base/log.ts'
import { TokenBuckets } from '../../base/token-buckets.ts'
import { withTimeout } from '../../base/wait.ts'
import type { Signer } from '../../identity/index.ts'
import type { Handle } from '../channel.ts'
import type { Stream } from '../types.ts'
import { type AddressRecord, type SignedRecord, signRecord } from './address-record.ts'
import { type AddressTalk, answerTalk, leadTalk, tellRecords } from './address-talk.ts'
import {
  BROUGHT_RATE,
  COMPARE_AFTER_GATE_MS,
  COMPARE_INTERVAL_MS,
  FAN_OUT,
  PASS_ON_AFTER_MS,
  RECORDS_PER_MESSAGE,
  SETTLE_MS,
  TALK_RATE,
  TALK_TIMEOUT_MS,
} from './limits.ts'
import type { RecordStore } from './record-store.ts'
import type { ClockOffset } from './types.ts'

/** Id of the protocol on the wire; see docs/protocols/addresses.md. */
export const ADDRESSES_PROTOCOL = '/warren/addresses/1'
/** A conversation of each side, news of a few changes, and one to spare. */
const MAX_STREAMS = 6

/** What the exchange of addresses needs. */
export interface AddressExchangeInit {
  readonly self: string
  /** The program that this node is. */
  readonly agent: string
  readonly signer: Signer
  readonly store: RecordStore
  readonly handle: Handle
  /** A stream over a connection that is there. */
  open(peer: string, protocol: string, options: { signal: AbortSignal }): Promise<Stream>
  connected(): string[]
  /** What this node has to say of itself now; undefined where it can be reached in no way. */
  describe(): Omit<AddressRecord, 'id' | 'sequence'> | undefined
  /** Hears of every record of another node that is newer than what was known. */
  onRecord(record: AddressRecord): void
  /** Hears what a peer says that it is. */
  onAgent(peer: string, agent: string): void
  readonly clock: Clock
  readonly log: Logger
  readonly counters: Counters
}

/**
 * Keeps the addresses of members equal on all of them: compared on every new connection and with one peer every ten
 * minutes; what is new is told by its author to everybody, and passed on to four more.
 */
export class AddressExchange {
  readonly #init: AddressExchangeInit
  readonly #offsets = new Map<string, ClockOffset>()
  readonly #talks: TokenBuckets
  readonly #brought: TokenBuckets
  /** Records to be passed on, with who brought them. */
  readonly #passing = new Map<string, { signed: SignedRecord; from: string }>()
  readonly #stopping = new AbortController()
  readonly #timers = new Map<Task, TimerHandle>()
  #unhandle: (() => void) | undefined

  constructor(init: AddressExchangeInit) {
    this.#init = init
    this.#talks = new TokenBuckets({ ...TALK_RATE, clock: init.clock })
    this.#brought = new TokenBuckets({ ...BROUGHT_RATE, clock: init.clock })
  }

  /** Makes this node's own record, and serves and holds conversations from now on. */
  start(): void {
    this.#renew()
    this.#unhandle = this.#init.handle(ADDRESSES_PROTOCOL, (stream) => this.#answer(stream), {
      maxStreamsPerPeer: MAX_STREAMS,
      // Where members are is what makes the rest work, and is said to members alone.
      always: true,
    })
    this.#compareLater()
  }

  stop(): void {
    this.#stopping.abort(new Error('the node is stopping'))
    this.#unhandle?.()
    for (const timer of this.#timers.values()) this.#init.clock.clearTimeout(timer)
    this.#timers.clear()
  }

  /** Call it when a peer is connected. One side leads: the other one answers. */
  joined(peer: string): void {
    if (this.#init.self < peer) void this.#lead(peer)
  }

  /** Call it when something that the record says may have changed; it is told to all if it has. */
  changed(): void {
    this.#later('renew', SETTLE_MS, () => this.#renew())
  }

  /** Compares with two peers soon: what the gate did not let in before may be wanted now. */
  compareSoon(): void {
    this.#later('gate', COMPARE_AFTER_GATE_MS, () => {
      for (const peer of pick(this.#init.connected(), 2)) void this.#lead(peer)
    })
  }

  /** The clocks of those whom this node has met. */
  offsets(): ClockOffset[] {
    return [...this.#offsets.values()]
  }

  #renew(): void {
    const { self, store, signer, describe, clock } = this.#init
    const said = describe()
    const before = store.of(self)
    if (said === undefined && before === undefined) return
    const content = said ?? { addresses: [], relays: [], reachability: 'unknown', serves: false }
    if (before !== undefined && sameContent(before.record, content)) return
    // Time, so that a node that has lost its disk still goes on after what it has said before.
    const sequence = Math.max(Math.floor(clock.now()), (before?.record.sequence ?? 0) + 1)
    const signed = signRecord({ id: self, sequence, ...content }, signer)
    store.setOwn(signed)
    this.#init.log.debug({ ...content }, 'this node says anew where it is')
    for (const peer of this.#init.connected()) void this.#tell(peer, [signed])
  }

  #take(bytes: Uint8Array, from: string): void {
    const { self, store, log, counters, onRecord } = this.#init
    if (!this.#brought.take(from)) return void counters.add('net_address_records', 1, { outcome: 'limited' })
    let signed: SignedRecord | undefined
    try {
      signed = store.add(bytes)
    } catch (error) {
      counters.add('net_address_records', 1, { outcome: 'invalid' })
      log.debug({ peer: from, error: String(error) }, 'a record of addresses was refused')
      return
    }
    counters.add('net_address_records', 1, { outcome: signed === undefined ? 'known' : 'new' })
    if (signed === undefined) return
    // Said by this node in an earlier life: what it says now has to be newer.
    if (signed.record.id === self) return void this.changed()
    this.#passing.set(signed.record.id, { signed, from })
    this.#later('pass', PASS_ON_AFTER_MS, () => this.#passOn())
    onRecord(signed.record)
  }

  #passOn(): void {
    const passing = [...this.#passing.values()].slice(0, RECORDS_PER_MESSAGE)
    for (const { signed } of passing) this.#passing.delete(signed.record.id)
    for (const peer of pick(this.#init.connected(), FAN_OUT)) {
      const told = passing.filter(({ signed, from }) => from !== peer && signed.record.id !== peer)
      if (told.length > 0)
        void this.#tell(
          peer,
          told.map(({ signed }) => signed),
        )
    }
    if (this.#passing.size > 0) this.#later('pass', PASS_ON_AFTER_MS, () => this.#passOn())
  }

  #compareLater(): void {
    this.#later('compare', COMPARE_INTERVAL_MS, () => {
      for (const peer of pick(this.#init.connected(), 1)) void this.#lead(peer)
      this.#compareLater()
    })
  }

  #lead(peer: string): Promise<void> {
    return this.#speak(peer, (stream, signal) => leadTalk(stream, this.#talkWith(peer, signal)))
  }

  #tell(peer: string, told: readonly SignedRecord[]): Promise<void> {
    return this.#speak(peer, (stream, signal) => tellRecords(stream, this.#talkWith(peer, signal), told))
  }

  async #speak(peer: string, work: (stream: Stream, signal: AbortSignal) => Promise<void>): Promise<void> {
    const { open, clock, log } = this.#init
    let stream: Stream | undefined
    try {
      await withTimeout(
        `a conversation about addresses with ${peer}`,
        TALK_TIMEOUT_MS,
        async (signal) => {
          stream = await open(peer, ADDRESSES_PROTOCOL, { signal })
          await work(stream, signal)
        },
        { signal: this.#stopping.signal, clock },
      )
    } catch (error) {
      stream?.destroy()
      log.debug({ peer, error: String(error) }, 'a conversation about addresses failed')
    }
  }

  async #answer(stream: Stream): Promise<void> {
    const { peer } = stream
    if (!this.#talks.take(peer)) {
      this.#init.counters.add('net_address_talks_limited')
      stream.destroy()
      return
    }
    await withTimeout(
      `a conversation about addresses with ${peer}`,
      TALK_TIMEOUT_MS,
      (signal) => answerTalk(stream, this.#talkWith(peer, signal)),
      { signal: this.#stopping.signal, clock: this.#init.clock },
    )
  }

  #talkWith(peer: string, signal: AbortSignal): AddressTalk {
    const { self, agent, store, clock, counters, onAgent } = this.#init
    return {
      self,
      agent,
      store,
      clock,
      signal,
      onSent: (bytes) => counters.add('net_address_bytes', bytes),
      take: (bytes) => this.#take(bytes, peer),
      onAgent: (said) => onAgent(peer, said),
      onOffset: (offset) => this.#noteOffset(offset),
    }
  }

  /** The tighter bound counts, until it is old. */
  #noteOffset(offset: ClockOffset): void {
    const known = this.#offsets.get(offset.peer)
    if (known !== undefined && known.boundMs < offset.boundMs && offset.at - known.at < COMPARE_INTERVAL_MS) return
    this.#offsets.delete(offset.peer)
    this.#offsets.set(offset.peer, offset)
    if (this.#offsets.size > MAX_OFFSETS) this.#offsets.delete(this.#offsets.keys().next().value as string)
  }

  #later(name: Task, delayMs: number, run: () => void): void {
    if (this.#timers.has(name) || this.#stopping.signal.aborted) return
    const timer = this.#init.clock.setTimeout(() => {
      this.#timers.delete(name)
      run()
    }, delayMs)
    timer.unref?.()
    this.#timers.set(name, timer)
  }
}

type Task = 'renew' | 'pass' | 'compare' | 'gate'

/** Clocks that are remembered; doctor shows those that are wrong. */
const MAX_OFFSETS = 500

function sameContent(a: AddressRecord, b: Omit<AddressRecord, 'id' | 'sequence'>): boolean {
  const { id: _id, sequence: _sequence, ...content } = a
  return JSON.stringify(sorted(content)) === JSON.stringify(sorted(b))
}

/** The order of a machine's interfaces means nothing, and changes. */
function sorted({ addresses, relays, reachability, serves }: Omit<AddressRecord, 'id' | 'sequence'>): unknown {
  return [[...addresses].sort(), [...relays].sort(), reachability, serves]
}

function pick(peers: readonly string[], count: number): string[] {
  const left = [...peers]
  return Array.from({ length: Math.min(count, left.length) }, () => {
    const [picked] = left.splice(Math.floor(Math.random() * left.length), 1)
    return picked as string
  })
}
