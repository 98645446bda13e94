import type { Duplex } from 'node:stream'
import type { Clock, TimerHandle } from '../base/clock.ts'
import { serviceErrors } from './errors.ts'
import { FLOW_QUEUE_BYTES, MAX_DATAGRAM_BYTES } from './limits.ts'

const LENGTH_BYTES = 2

/** A datagram as it stands in a stream: two bytes of length, then its payload. */
export function encodeDatagram(datagram: Uint8Array): Buffer {
  const frame = Buffer.allocUnsafe(LENGTH_BYTES + datagram.length)
  frame.writeUInt16BE(datagram.length)
  frame.set(datagram, LENGTH_BYTES)
  return frame
}

/** Takes datagrams out of the bytes of a stream, however these are cut. */
export class DatagramReader {
  #rest: Buffer = Buffer.alloc(0)

  /** The datagrams that are complete with these bytes. Fails with `service_malformed` for one that UDP cannot carry. */
  read(bytes: Buffer): Buffer[] {
    const all = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes])
    const found: Buffer[] = []
    let at = 0
    while (all.length - at >= LENGTH_BYTES) {
      const size = all.readUInt16BE(at)
      if (size > MAX_DATAGRAM_BYTES) throw serviceErrors.service_malformed(`a datagram of ${size} bytes`)
      if (all.length - at < LENGTH_BYTES + size) break
      found.push(all.subarray(at + LENGTH_BYTES, at + LENGTH_BYTES + size))
      at += LENGTH_BYTES + size
    }
    this.#rest = all.subarray(at)
    return found
  }
}

/** Datagrams that wait: at most so many bytes, and the oldest make room for new ones. */
export class DatagramQueue {
  readonly #waiting: Uint8Array[] = []
  readonly #maxBytes: number
  #bytes = 0
  #dropped = 0

  constructor(maxBytes = FLOW_QUEUE_BYTES) {
    this.#maxBytes = maxBytes
  }

  /** How many were dropped so far. */
  get dropped(): number {
    return this.#dropped
  }

  push(datagram: Uint8Array): void {
    this.#waiting.push(datagram)
    this.#bytes += datagram.length + LENGTH_BYTES
    while (this.#bytes > this.#maxBytes && this.#waiting.length > 1) {
      this.shift()
      this.#dropped++
    }
  }

  shift(): Uint8Array | undefined {
    const first = this.#waiting.shift()
    if (first !== undefined) this.#bytes -= first.length + LENGTH_BYTES
    return first
  }
}

export interface FlowOptions {
  /** Gets each datagram of the other side. */
  readonly deliver: (datagram: Buffer) => void
  /** Ends after so long without a datagram either way. */
  readonly idleMs: number
  readonly clock: Clock
}

/** Datagrams of one client both ways over one stream. */
export interface Flow {
  /** Sends one as soon as the stream takes it; when too many wait, the oldest are dropped. */
  send(datagram: Uint8Array): void
  readonly dropped: number
}

/** Carries datagrams over a stream, which it takes over, until either side ends it or it is idle. */
export function startFlow(stream: Duplex, { deliver, idleMs, clock }: FlowOptions): Flow {
  const reader = new DatagramReader()
  const queue = new DatagramQueue()
  let lastMs = clock.monotonicMs()
  let timer: TimerHandle
  const watch = (delayMs: number): void => {
    timer = clock.setTimeout(() => {
      const leftMs = lastMs + idleMs - clock.monotonicMs()
      if (leftMs > 0) watch(leftMs)
      else stream.destroy()
    }, delayMs)
    timer.unref?.()
  }
  watch(idleMs)
  const flush = (): void => {
    while (!stream.writableNeedDrain && !stream.destroyed) {
      const next = queue.shift()
      if (next === undefined) return
      stream.write(encodeDatagram(next))
    }
  }
  stream.on('error', () => undefined)
  stream.on('drain', flush)
  stream.on('data', (bytes: Buffer) => {
    lastMs = clock.monotonicMs()
    try {
      for (const datagram of reader.read(bytes)) deliver(datagram)
    } catch (error) {
      stream.destroy(error as Error)
    }
  })
  stream.once('end', () => stream.end())
  stream.once('close', () => clock.clearTimeout(timer))
  return {
    send(datagram) {
      lastMs = clock.monotonicMs()
      queue.push(datagram)
      flush()
    },
    get dropped() {
      return queue.dropped
    },
  }
}
