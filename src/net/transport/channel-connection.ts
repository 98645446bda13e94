import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { Logger } from '@libp2p/interface'
import { AbstractMultiaddrConnection } from '@libp2p/utils'
import type { Multiaddr } from '@multiformats/multiaddr'
import type { Direction } from '../types.ts'
import { MAX_UNREAD_BYTES, MAX_UNSENT_BYTES } from './limits.ts'

interface ChannelConnectionInit {
  /** What is read and written: the TLS socket, or the channel itself where libp2p secures it. */
  socket: Duplex
  /** What lies below; the same as `socket` where nothing does. */
  channel: Duplex
  remoteAddr: Multiaddr
  direction: Direction
  log: Logger
}

/**
 * A channel as libp2p's connection below the muxer. What the other side does not read stays with the writer: `send` says
 * when to wait, and beyond 16 MiB unsent the connection is given up.
 */
export class ChannelConnection extends AbstractMultiaddrConnection {
  readonly socket: Duplex
  readonly #channel: Duplex

  constructor({ socket, channel, ...init }: ChannelConnectionInit) {
    super({ ...init, maxReadBufferLength: MAX_UNREAD_BYTES, maxWriteBufferLength: MAX_UNSENT_BYTES })
    this.socket = socket
    this.#channel = channel
    socket.on('data', (bytes: Buffer) => this.onData(bytes))
    socket.on('drain', () => this.safeDispatchEvent('drain'))
    socket.on('error', (error: Error) => this.abort(error))
    // The other side has closed the whole connection, for none of ours closes half of one.
    socket.once('end', () => this.#closed())
    socket.once('close', () => this.#closed())
    if (socket.destroyed) queueMicrotask(() => this.#closed())
  }

  override sendData(data: Iterable<Uint8Array> & { readonly byteLength: number }): {
    sentBytes: number
    canSendMore: boolean
  } {
    const sentBytes = data.byteLength
    let canSendMore = true
    // A frame's header shares the record, and the system call, of its body.
    this.socket.cork()
    for (const bytes of data) canSendMore = this.socket.write(bytes)
    this.socket.uncork()
    return { sentBytes, canSendMore }
  }

  override sendClose(): Promise<void> {
    const { socket } = this
    if (socket.destroyed) return Promise.resolve()
    const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()))
    if (socket instanceof Socket) socket.destroySoon()
    else socket.end(() => socket.destroy())
    return closed
  }

  override sendReset(): void {
    this.socket.destroy()
    // Closing TLS closes what is below it in order, and what was not sent would be sent first.
    if (this.#channel instanceof Socket && this.#channel.constructor === Socket && !this.#channel.writableEnded) {
      this.#channel.resetAndDestroy()
    } else this.#channel.destroy()
  }

  override sendPause(): void {
    this.socket.pause()
  }

  override sendResume(): void {
    this.socket.resume()
  }

  #closed(): void {
    this.onTransportClosed()
    this.socket.destroy()
    this.#channel.destroy()
  }
}
