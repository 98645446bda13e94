import type { Connection, Stream as Libp2pStream } from '@libp2p/interface'
import type { Clock } from '../base/clock.ts'
import type { Counters } from '../base/counters.ts'
import { toWarrenError } from '../base/errors.ts'
import type { Logger } from '../base/log.ts'
import { TokenBuckets } from '../base/token-buckets.ts'
import { MAX_STREAMS_PER_CONNECTION, MAX_STREAMS_PER_PEER, STREAM_RATE } from './constants.ts'
import type { Host } from './host.ts'
import { wrapStream } from './stream.ts'
import type { HandleOptions, Stream } from './types.ts'

type Handler = (stream: Stream) => void | Promise<void>

interface Served {
  readonly handler: Handler
  readonly maxStreamsPerPeer: number
  readonly openByPeer: Map<string, number>
}

/** The protocols that this node serves, how many streams of each a peer holds open, and how fast it opens them (NET-12). */
export class ProtocolTable {
  readonly #served = new Map<string, Served>()
  readonly #log: Logger
  readonly #counters: Counters
  readonly #rate: TokenBuckets
  #host: Host | undefined

  constructor({ clock, log, counters }: { clock: Clock; log: Logger; counters: Counters }) {
    this.#log = log
    this.#counters = counters
    this.#rate = new TokenBuckets({ ...STREAM_RATE, clock })
  }

  /** Serves a protocol until the returned function is called; a second handler of one protocol is a mistake in the program. */
  handle(protocol: string, handler: Handler, { maxStreamsPerPeer = MAX_STREAMS_PER_PEER }: HandleOptions): () => void {
    if (this.#served.has(protocol)) throw new Error(`${protocol} has a handler already`)
    this.#served.set(protocol, { handler, maxStreamsPerPeer, openByPeer: new Map() })
    if (this.#host !== undefined) this.#inBackground(this.#register(this.#host, protocol))
    return () => {
      this.#served.delete(protocol)
      if (this.#host !== undefined) this.#inBackground(this.#host.unhandle(protocol))
    }
  }

  /** Registers what was served before the host was there. */
  async attach(host: Host): Promise<void> {
    this.#host = host
    for (const protocol of this.#served.keys()) await this.#register(host, protocol)
  }

  #register(host: Host, protocol: string): Promise<void> {
    return host.handle(protocol, (stream, connection) => this.#accept(protocol, stream, connection), {
      maxInboundStreams: MAX_STREAMS_PER_CONNECTION,
      maxOutboundStreams: MAX_STREAMS_PER_CONNECTION,
      runOnLimitedConnection: true,
    })
  }

  #accept(protocol: string, inner: Libp2pStream, connection: Connection): void {
    const served = this.#served.get(protocol)
    const peer = connection.remotePeer.toString()
    const open = served?.openByPeer.get(peer) ?? 0
    if (served === undefined || open >= served.maxStreamsPerPeer || !this.#rate.take(peer)) {
      this.#counters.add('net_streams_refused', 1, { protocol })
      this.#log.debug({ peer, protocol, open }, 'a stream over the limits of its protocol was refused')
      inner.abort(new Error('too many streams'))
      return
    }
    served.openByPeer.set(peer, open + 1)
    const stream = wrapStream(inner, { peer, protocol })
    // The close of the inner one: the wrapper has none where nobody reads on to the end of what the peer sent.
    const uncount = (): void => {
      const left = (served.openByPeer.get(peer) ?? 1) - 1
      if (left > 0) served.openByPeer.set(peer, left)
      else served.openByPeer.delete(peer)
    }
    if (inner.status === 'open') inner.addEventListener('close', uncount, { once: true })
    else uncount()
    void this.#serve(served.handler, stream)
  }

  async #serve(handler: Handler, stream: Stream): Promise<void> {
    try {
      await handler(stream)
    } catch (thrown) {
      const { code, message } = toWarrenError(thrown)
      if (!stream.destroyed)
        this.#log.warn({ peer: stream.peer, protocol: stream.protocol, code, message }, 'a protocol failed')
      stream.destroy(thrown instanceof Error ? thrown : new Error(message))
    }
  }

  #inBackground(work: Promise<void>): void {
    work.catch((error: unknown) => this.#log.error({ error: String(error) }, 'a protocol could not be registered'))
  }
}
