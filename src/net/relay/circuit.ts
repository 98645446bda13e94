import type { Duplex } from 'node:stream'
import type { Clock, TimerHandle } from '../../base/clock.ts'
import { relayErrors } from './errors.ts'
import type { CircuitLimits } from './messages.ts'

/** Timers do not go further: 24 days. */
const MAX_TIMER_MS = 2 ** 31 - 1

/** How a circuit ended: by its own ends, by a broken one, or by the relay. */
export type CircuitEnd = 'done' | 'broken' | 'circuit_bytes' | 'circuit_time' | 'displaced' | 'removed' | 'stopping'

interface CircuitInit {
  readonly id: string
  readonly from: string
  readonly to: string
  readonly limits: CircuitLimits
  readonly clock: Clock
  /** Counts bytes that were passed on; the milliseconds to wait before the next. */
  readonly onBytes: (bytes: number) => number
  /** Tells both ends why the relay ends it; what it takes is waited for before the reset. */
  readonly tellEnd: (end: CircuitEnd) => Promise<void>
}

/** Two streams of two peers, joined: bytes go both ways at the pace of the slower side, and halves close apart. */
export class Circuit {
  readonly id: string
  readonly from: string
  readonly to: string
  readonly since: number
  bytes = 0
  /** When bytes last passed, by the monotonic clock; at first when it was made. */
  usedMs: number
  readonly #init: CircuitInit
  readonly #directions: Direction[] = []
  readonly #over = Promise.withResolvers<CircuitEnd>()
  #streams: readonly Duplex[] = []
  #open = 0
  #end: CircuitEnd | undefined
  #timer: TimerHandle | undefined

  constructor(init: CircuitInit) {
    this.#init = init
    this.id = init.id
    this.from = init.from
    this.to = init.to
    this.since = init.clock.now()
    this.usedMs = init.clock.monotonicMs()
  }

  /** Whether it has been ended; it takes its place until both ends have heard why. */
  get ends(): boolean {
    return this.#end !== undefined
  }

  /** Takes both streams over; resolves when both are closed. */
  join(near: Duplex, far: Duplex): Promise<CircuitEnd> {
    const { limits, clock } = this.#init
    this.#streams = [near, far]
    this.#open = 2
    if (limits.ms > 0) this.#timer = clock.setTimeout(() => this.end('circuit_time'), Math.min(limits.ms, MAX_TIMER_MS))
    for (const [source, sink] of [
      [near, far],
      [far, near],
    ] as const) {
      // The cause is in `close`; without a listener the process would end.
      source.on('error', () => undefined)
      source.once('close', () => this.#closed(source, sink))
      this.#directions.push(new Direction({ source, sink, clock, take: (bytes) => this.#take(bytes) }))
    }
    // One of them may be gone by now.
    for (const stream of this.#streams) if (stream.closed) this.#closed(stream, stream === near ? far : near)
    // Where it was ended before it began.
    if (this.#end !== undefined) void this.#reset(this.#end)
    return this.#over.promise
  }

  /** Resets both sides, having told them why. */
  end(end: CircuitEnd): void {
    if (this.#end !== undefined) return
    this.#end = end
    if (this.#streams.length > 0) void this.#reset(end)
  }

  async #reset(end: CircuitEnd): Promise<void> {
    for (const direction of this.#directions) direction.stop()
    await this.#init.tellEnd(end).catch(() => undefined)
    for (const stream of this.#streams) stream.destroy(relayErrors.relay_circuit_ended(`the relay ended it: ${end}`))
  }

  #take(bytes: number): number {
    const { limits, onBytes } = this.#init
    this.bytes += bytes
    this.usedMs = this.#init.clock.monotonicMs()
    if (limits.bytes > 0 && this.bytes >= limits.bytes) this.end('circuit_bytes')
    return onBytes(bytes)
  }

  #closed(stream: Duplex, other: Duplex): void {
    if (this.#open === 0) return
    const whole = stream.readableEnded && stream.writableFinished
    if (!whole) {
      this.#end ??= 'broken'
      other.destroy(stream.errored ?? undefined)
    }
    this.#open--
    if (this.#open > 0) return
    if (this.#timer !== undefined) this.#init.clock.clearTimeout(this.#timer)
    for (const direction of this.#directions) direction.stop()
    this.#over.resolve(this.#end ?? 'done')
  }
}

interface DirectionInit {
  readonly source: Duplex
  readonly sink: Duplex
  readonly clock: Clock
  readonly take: (bytes: number) => number
}

/** One way through a circuit. Holds nothing itself: a sink that is full, or a rate, pauses the source. */
class Direction {
  readonly #init: DirectionInit
  #full = false
  #timer: TimerHandle | undefined
  #stopped = false

  constructor(init: DirectionInit) {
    this.#init = init
    const { source, sink } = init
    source.on('data', this.#onData)
    source.once('end', this.#onEnd)
    sink.on('drain', this.#onDrain)
    source.resume()
  }

  /** Passes nothing on from now on. */
  stop(): void {
    this.#stopped = true
    const { source, sink, clock } = this.#init
    source.off('data', this.#onData)
    source.off('end', this.#onEnd)
    sink.off('drain', this.#onDrain)
    source.pause()
    if (this.#timer !== undefined) clock.clearTimeout(this.#timer)
  }

  readonly #onData = (chunk: Buffer): void => {
    const { source, sink, clock, take } = this.#init
    if (sink.destroyed || sink.writableEnded) return
    this.#full = !sink.write(chunk)
    const waitMs = take(chunk.length)
    if (this.#stopped) return
    if (waitMs > 0) {
      this.#timer = clock.setTimeout(() => {
        this.#timer = undefined
        this.#goOn()
      }, waitMs)
    }
    if (this.#full || waitMs > 0) source.pause()
  }

  readonly #onEnd = (): void => void this.#init.sink.end()

  readonly #onDrain = (): void => {
    this.#full = false
    this.#goOn()
  }

  #goOn(): void {
    if (!this.#full && this.#timer === undefined && !this.#stopped) this.#init.source.resume()
  }
}
