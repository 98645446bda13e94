import type { Connection, Stream as Libp2pStream } from '@libp2p/interface'
import type { Clock } from '../../base/clock.ts'
import type { Counters } from '../../base/counters.ts'
import { sleep, withTimeout } from '../../base/wait.ts'
import type { StreamOpener } from '../channel.ts'
import type { ConnectionTable } from '../connections.ts'
import { EARLY, OPEN_TIMEOUT_MS } from '../constants.ts'
import { dialError } from '../dial-errors.ts'
import { netErrors } from '../errors.ts'
import { pingConnection } from '../ping.ts'
import { wrapStream } from '../stream.ts'
import type { SignalOptions, Stream } from '../types.ts'
import { SUSPECT_AFTER_MS } from './limits.ts'

/** What requests over connections need. */
export interface RequestsInit {
  readonly table: ConnectionTable
  /** Sees to a connection with a peer; fails as `Network.connect`. */
  connect(peer: string, options: SignalOptions): Promise<unknown>
  /** A new connection with a peer, whatever connections there are. */
  find(peer: string, options: { signal: AbortSignal }): Promise<Connection>
  /** What people call a peer. */
  nameOf(peer: string): string
  readonly clock: Clock
  readonly counters: Counters
}

interface Asking<T> {
  readonly signal: AbortSignal | undefined
  /** May be done twice, and one outcome is thrown away: nothing is said to the other side yet. */
  work(connection: Connection, signal: AbortSignal): Promise<T>
  discard(outcome: T): void
}

/**
 * Streams and pings over whichever path answers. One that a connection leaves unanswered for 1.5 s is also sent over a
 * new one, over all paths; whichever answers first has it.
 */
export class Requests implements StreamOpener {
  readonly #init: RequestsInit

  constructor(init: RequestsInit) {
    this.#init = init
  }

  /** See `Network.open`. */
  async open(peer: string, protocol: string, { signal }: SignalOptions = {}): Promise<Stream> {
    const inner = await this.#ask(peer, {
      signal,
      work: (connection, over) => this.#newStream(connection, protocol, { signal: over }),
      discard: (stream) => stream.abort(new Error('another path was faster')),
    }).catch((error: unknown) => {
      if (signal?.aborted) throw signal.reason
      throw openError(error, peer, protocol)
    })
    return wrapStream(inner, { peer, protocol })
  }

  async openOn(
    peer: string,
    protocol: string,
    { direct = false, over, signal }: { direct?: boolean; over?: Connection; signal?: AbortSignal } = {},
  ): Promise<Stream> {
    const connection = over ?? this.#init.table.preferred(peer, { direct })
    if (connection === undefined) {
      throw netErrors.peer_unreachable(`${peer} is not connected${direct ? ' directly' : ''}`)
    }
    const inner = await this.#newStream(connection, protocol, { ...EARLY, signal }).catch((error: unknown) => {
      if (signal?.aborted) throw signal.reason
      throw openError(error, peer, protocol)
    })
    return wrapStream(inner, { peer, protocol })
  }

  /** See `Network.ping`. */
  ping(peer: string, { signal, timeoutMs }: SignalOptions & { timeoutMs: number }): Promise<number> {
    const { clock } = this.#init
    return withTimeout(
      `a ping to ${this.#init.nameOf(peer)}`,
      timeoutMs,
      (inner) =>
        this.#ask(peer, {
          signal: inner,
          work: (connection, over) => pingConnection(connection, { timeoutMs, signal: over, clock }),
          discard: () => undefined,
        }),
      { signal, clock },
    )
  }

  async #newStream(
    connection: Connection,
    protocol: string,
    { signal, ...early }: { signal: AbortSignal | undefined } & Partial<typeof EARLY>,
  ): Promise<Libp2pStream> {
    return withTimeout(
      `opening a stream to ${connection.remotePeer.toString()}`,
      OPEN_TIMEOUT_MS,
      (inner) =>
        connection.newStream(protocol, {
          ...early,
          signal: inner,
          maxOutboundStreams: Number.MAX_SAFE_INTEGER,
          runOnLimitedConnection: true,
        }),
      { signal, clock: this.#init.clock },
    )
  }

  async #ask<T>(peer: string, asking: Asking<T>): Promise<T> {
    const over = new AbortController()
    const signal = asking.signal === undefined ? over.signal : AbortSignal.any([over.signal, asking.signal])
    const connection = await this.#connection(peer, asking.signal)
    const first = asking.work(connection, signal)
    try {
      const answered = await this.#inTime(first)
      if (!answered) return await this.#hedge(peer, { connection, first, signal, asking })
      return await first
    } catch (error) {
      if (connection.status === 'open' || asking.signal?.aborted) throw error
      // It broke meanwhile: nothing was asked yet.
      return await asking.work(await this.#connection(peer, asking.signal), signal)
    } finally {
      over.abort(new Error('another path was faster'))
    }
  }

  /** False where the time is over before there is an outcome, good or bad. */
  async #inTime(first: Promise<unknown>): Promise<boolean> {
    const stop = new AbortController()
    const settled = first.then(
      () => true,
      () => true,
    )
    const waited = sleep(SUSPECT_AFTER_MS, { signal: stop.signal, clock: this.#init.clock }).then(
      () => false,
      () => false,
    )
    try {
      return await Promise.race([settled, waited])
    } finally {
      stop.abort()
    }
  }

  async #hedge<T>(
    peer: string,
    {
      connection,
      first,
      signal,
      asking,
    }: { connection: Connection; first: Promise<T>; signal: AbortSignal; asking: Asking<T> },
  ): Promise<T> {
    const { table, find, counters } = this.#init
    table.suspect(connection)
    counters.add('net_requests_hedged')
    const second = find(peer, { signal }).then((other) => asking.work(other, signal))
    let done = false
    for (const attempt of [first, second]) {
      void attempt.then(
        (outcome) => {
          if (done) asking.discard(outcome)
          done = true
        },
        () => undefined,
      )
    }
    try {
      return await Promise.any([first, second])
    } catch (thrown) {
      // What the connection itself says is nearer to the matter than why there is no other.
      const errors = (thrown as AggregateError).errors as unknown[]
      throw connection.status === 'open' ? errors[0] : (errors[1] ?? errors[0])
    } finally {
      done = true
    }
  }

  async #connection(peer: string, signal: AbortSignal | undefined): Promise<Connection> {
    const { table, connect } = this.#init
    const open = table.preferred(peer)
    if (open !== undefined) return open
    await connect(peer, { signal })
    return table.mustPrefer(peer)
  }
}

function openError(error: unknown, peer: string, protocol: string): Error {
  if (error instanceof Error && error.name === 'UnsupportedProtocolError') {
    return netErrors.protocol_unsupported(`${peer} does not speak ${protocol}`, {
      hint: 'Compare the versions: warren nodes',
      cause: error,
    })
  }
  return dialError(error, peer)
}
