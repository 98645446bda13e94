import type { Connection, Stream as Libp2pStream } from '@libp2p/interface'
import type { Clock } from '../base/clock.ts'
import type { Counters } from '../base/counters.ts'
import { toWarrenError, type WarrenError } from '../base/errors.ts'
import type { Logger } from '../base/log.ts'
import { TokenBuckets } from '../base/token-buckets.ts'
import { withTimeout } from '../base/wait.ts'
import { BoundedLog } from './bounded-log.ts'
import { MAX_STREAMS_PER_CONNECTION, MAX_STREAMS_PER_PEER, MAY_SERVE_TIMEOUT_MS, STREAM_RATE } from './constants.ts'
import { netErrors } from './errors.ts'
import type { Host } from './host.ts'
import { wrapStream } from './stream.ts'
import type { HandleOptions, Stream } from './types.ts'

type Handler = (stream: Stream) => void | Promise<void>

interface ProtocolTableInit {
  clock: Clock
  log: Logger
  counters: Counters
  /** See `NetworkInit`. */
  mayServe: ((peer: string, protocol: string) => boolean | Promise<boolean>) | undefined
  /** Hears of each stream that `mayServe` did not allow. */
  onRefused: (refused: { peer: string; protocol: string }) => void
}

interface Served {
  readonly handler: Handler
  readonly always: boolean
  readonly maxStreamsPerPeer: number
  readonly openByPeer: Map<string, number>
}

/** The protocols that this node serves, how many streams of each a peer holds open, and how fast it opens them (NET-12). */
export class ProtocolTable {
  readonly #served = new Map<string, Served>()
  readonly #init: ProtocolTableInit
  readonly #rate: TokenBuckets
  readonly #failures: BoundedLog
  #host: Host | undefined

  constructor(init: ProtocolTableInit) {
    this.#init = init
    this.#rate = new TokenBuckets({ ...STREAM_RATE, clock: init.clock })
    this.#failures = new BoundedLog(init.log, init.clock)
  }

  /** Serves a protocol until the returned function is called; a second handler of one protocol is a mistake in the program. */
  handle(protocol: string, handler: Handler, options: HandleOptions): () => void {
    const { maxStreamsPerPeer = MAX_STREAMS_PER_PEER, always = false } = options
    if (this.#served.has(protocol)) throw new Error(`${protocol} has a handler already`)
    this.#served.set(protocol, { handler, always, maxStreamsPerPeer, openByPeer: new Map() })
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
      this.#init.counters.add('net_streams_refused', 1, { protocol })
      this.#init.log.debug({ peer, protocol, open }, 'a stream over the limits of its protocol was refused')
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
    const verdict = this.#mayServe(served, stream)
    if (verdict === true) void this.#serve(served.handler, stream)
    else void this.#serveLater(served, stream, verdict)
  }

  /** A yes that is there at once costs no wait; what throws is a no. */
  #mayServe({ always }: Served, { peer, protocol }: Stream): boolean | Promise<boolean> {
    const { mayServe } = this.#init
    if (always || mayServe === undefined) return true
    try {
      return mayServe(peer, protocol)
    } catch (error) {
      this.#init.log.error({ peer, protocol, error: String(error) }, 'it is not known whether to serve a peer')
      return false
    }
  }

  /** The bytes of the stream wait in it; its window bounds them. */
  async #serveLater(served: Served, stream: Stream, verdict: boolean | Promise<boolean>): Promise<void> {
    const { peer, protocol } = stream
    const { clock, counters, log, onRefused } = this.#init
    const closed = new AbortController()
    const onClose = (): void => closed.abort()
    stream.once('close', onClose)
    const allowed = await withTimeout('whether to serve a peer', MAY_SERVE_TIMEOUT_MS, async () => verdict, {
      signal: closed.signal,
      clock,
    }).catch(() => false)
    stream.off('close', onClose)
    if (stream.destroyed) return
    if (allowed && this.#served.get(protocol) === served) return await this.#serve(served.handler, stream)
    stream.destroy()
    if (allowed) return
    counters.add('net_streams_refused', 1, { protocol })
    log.debug({ peer, protocol }, 'a stream of a peer that is not served was refused')
    onRefused({ peer, protocol })
  }

  async #serve(handler: Handler, stream: Stream): Promise<void> {
    try {
      await handler(stream)
    } catch (thrown) {
      const { code, message } = failureOf(thrown, stream.protocol)
      // Also what a peer brings about, a hundred times a second if it likes.
      if (!stream.destroyed)
        this.#failures.warn(
          { peer: stream.peer, protocol: stream.protocol, code, reason: message },
          'a protocol failed',
        )
      stream.destroy(thrown instanceof Error ? thrown : new Error(message))
    }
  }

  #inBackground(work: Promise<void>): void {
    work.catch((error: unknown) => this.#init.log.error({ error: String(error) }, 'a protocol could not be registered'))
  }
}

/** Parsers throw in their own words: what a peer has sent is no bug of this program. */
function failureOf(thrown: unknown, protocol: string): WarrenError {
  const isMalformed = thrown instanceof Error && (thrown.name === 'SyntaxError' || thrown.name === 'ZodError')
  if (!isMalformed) return toWarrenError(thrown)
  return netErrors.message_malformed(`a message of ${protocol} is not of the form that it must have`, { cause: thrown })
}
