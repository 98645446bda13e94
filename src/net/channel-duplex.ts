import { Duplex } from 'node:stream'
import type { MessageStream, StreamMessageEvent } from '@libp2p/interface'

type Done = (error?: Error | null) => void

interface ChannelDuplexOptions {
  /** More than this is not read: the channel is given up. So what waits for a slow reader has an end too. */
  readonly maxReadBytes: number
}

/** A secured channel as a Duplex that carries a few bytes: for another channel inside it. Takes the channel over whole. */
export class ChannelDuplex extends Duplex {
  readonly #channel: MessageStream
  readonly #maxReadBytes: number
  #received = 0
  #blockedWrite: Done | undefined

  constructor(channel: MessageStream, { maxReadBytes }: ChannelDuplexOptions) {
    super({ allowHalfOpen: false })
    this.#channel = channel
    this.#maxReadBytes = maxReadBytes
    // The failure reaches whoever reads or writes; one that nobody listens for must not end the process.
    this.on('error', () => undefined)
    channel.addEventListener('drain', () => this.#onDrain())
    channel.addEventListener('close', () => this.#onClose())
    channel.addEventListener('message', (event) => this.#onMessage(event))
    if (channel.status !== 'open') queueMicrotask(() => this.#onClose())
  }

  // What comes is pushed as it comes: there is little of it.
  override _read(): void {}

  override _write(chunk: Buffer, _encoding: string, done: Done): void {
    try {
      if (this.#channel.send(chunk)) done()
      else this.#blockedWrite = done
    } catch (error) {
      done(error as Error)
    }
  }

  override _final(done: Done): void {
    // It has no halves; and what was written is sent first.
    this.#channel.close().then(
      () => done(),
      (error: Error) => done(error),
    )
  }

  override _destroy(error: Error | null, done: Done): void {
    this.#channel.abort(error ?? new Error('the channel was given up'))
    const blocked = this.#blockedWrite
    this.#blockedWrite = undefined
    blocked?.(error)
    done(error)
  }

  #onDrain(): void {
    const done = this.#blockedWrite
    this.#blockedWrite = undefined
    done?.()
  }

  #onMessage({ data }: StreamMessageEvent): void {
    if (this.destroyed) return
    this.#received += data.byteLength
    if (this.#received > this.#maxReadBytes) {
      this.destroy(new Error(`the other side has sent more than ${this.#maxReadBytes} bytes`))
      return
    }
    for (const part of data instanceof Uint8Array ? [data] : data) this.push(part)
  }

  /** The bytes before it are still read. */
  #onClose(): void {
    if (!this.destroyed && !this.readableEnded) this.push(null)
  }
}
