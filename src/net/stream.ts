import { Duplex } from 'node:stream'
import type { Stream as Libp2pStream, StreamCloseEvent, StreamMessageEvent } from '@libp2p/interface'
import { apiErrors } from '../api/index.ts'
import type { WarrenError } from '../base/errors.ts'
import { STREAM_QUEUE_BYTES } from './constants.ts'
import { netErrors } from './errors.ts'
import type { Stream } from './types.ts'

/** Writes that came while one was under way are joined up to this size. */
const MERGED_WRITE_BYTES = 32 * 1024

type Done = (error?: Error | null) => void

interface WrapOptions {
  peer: string
  protocol: string
}

/** A libp2p stream as an ordinary Duplex; see `Stream` for what it promises. Takes the libp2p stream over whole. */
export function wrapStream(inner: Libp2pStream, options: WrapOptions): Stream {
  return new NetStream(inner, options)
}

class NetStream extends Duplex implements Stream {
  readonly peer: string
  readonly protocol: string
  readonly #inner: Libp2pStream
  /** The write that waits until the muxer takes more. */
  #blockedWrite: Done | undefined
  #pausing: NodeJS.Immediate | undefined
  /** The other side has closed its half by itself; only then may reading end without an error. */
  #remoteEnded: boolean
  #ending = false

  constructor(inner: Libp2pStream, { peer, protocol }: WrapOptions) {
    super({ highWaterMark: STREAM_QUEUE_BYTES, allowHalfOpen: true })
    this.peer = peer
    this.protocol = protocol
    this.#inner = inner
    // The failure reaches whoever reads or writes; one that nobody listens for must not end the process.
    this.on('error', () => undefined)
    this.#remoteEnded = inner.status === 'open' && inner.remoteWriteStatus === 'closed'
    inner.addEventListener('remoteCloseWrite', () => {
      this.#remoteEnded = true
    })
    inner.addEventListener('end', () => this.#onReadable())
    inner.addEventListener('drain', () => this.#onDrain())
    inner.addEventListener('close', (event) => this.#onClose(event))
    inner.addEventListener('message', (event) => this.#onMessage(event))
    if (inner.status !== 'open') process.nextTick(() => this.#onClose())
    else if (inner.readableEnded) process.nextTick(() => this.#onReadable())
  }

  override _read(): void {
    if (this.#pausing !== undefined) {
      clearImmediate(this.#pausing)
      this.#pausing = undefined
    }
    // A closed stream may still hold bytes from before; `resume` hands them over.
    if ((this.#inner as { readStatus: string }).readStatus === 'paused') this.#inner.resume()
  }

  override _write(chunk: Buffer, _encoding: string, done: Done): void {
    this.#send([chunk], done)
  }

  override _writev(chunks: { chunk: Buffer }[], done: Done): void {
    const buffers = chunks.map((part) => part.chunk)
    const bytes = buffers.reduce((sum, buffer) => sum + buffer.length, 0)
    // Small ones share a frame and a TLS record; copying large ones costs more than it saves.
    if (bytes <= MERGED_WRITE_BYTES) this.#send([Buffer.concat(buffers, bytes)], done)
    else this.#send(buffers, done)
  }

  override _final(done: Done): void {
    this.#ending = true
    this.#inner.close().then(
      () => done(),
      (error: unknown) => done(lost(this, error)),
    )
  }

  override _destroy(error: Error | null, done: Done): void {
    clearImmediate(this.#pausing)
    const blocked = this.#blockedWrite
    this.#blockedWrite = undefined
    this.#inner.abort(error ?? new Error('the stream was given up'))
    blocked?.(error)
    done(error)
  }

  #send(buffers: readonly Buffer[], done: Done): void {
    try {
      let wantsMore = true
      for (const buffer of buffers) wantsMore = this.#inner.send(buffer)
      if (wantsMore) done()
      else this.#blockedWrite = done
    } catch (error) {
      done(lost(this, error))
    }
  }

  /**
   * `drain` also comes when the connection has room but this stream's window has none, so the write goes on only when
   * its bytes have left the queue; else the queue would grow by a chunk each time.
   */
  #onDrain(): void {
    queueMicrotask(() => {
      const done = this.#blockedWrite
      if (done === undefined || this.#inner.writableNeedsDrain || this.#inner.writeBufferLength > 0) return
      this.#blockedWrite = undefined
      done()
    })
  }

  #onMessage({ data }: StreamMessageEvent): void {
    let wantsMore = true
    for (const part of data instanceof Uint8Array ? [data] : data) wantsMore = this.push(part)
    if (wantsMore || this.#pausing !== undefined) return
    // A pause made while libp2p hands out a message is undone right after it.
    this.#pausing = setImmediate(() => {
      this.#pausing = undefined
      if (!this.destroyed && (this.#inner as { readStatus: string }).readStatus === 'readable') this.#inner.pause()
    })
  }

  #onReadable(): void {
    if (this.#remoteEnded && !this.destroyed) this.push(null)
  }

  #onClose(event?: StreamCloseEvent): void {
    if (this.destroyed) return
    const complete = this.#remoteEnded && this.#ending
    if (complete && event?.error === undefined) return
    const reset = this.#inner.status === 'reset'
    const error = reset
      ? netErrors.stream_reset(`${this.peer} gave up the stream ${this.protocol}`)
      : lost(this, event?.error)
    this.destroy(error)
  }
}

function lost({ peer, protocol }: WrapOptions, cause: unknown): WarrenError {
  if (cause instanceof Error && cause.name === 'UnsupportedProtocolError') {
    return netErrors.protocol_unsupported(`${peer} does not speak ${protocol}`, {
      hint: 'Compare the versions: warren nodes',
      cause,
    })
  }
  return apiErrors.connection_lost(`the connection to ${peer} broke during ${protocol}`, {
    cause,
    hint: 'See whether it is back: warren peers',
  })
}
