import { randomBytes } from 'node:crypto'
import type { Connection, StreamMessageEvent } from '@libp2p/interface'
import type { Clock } from '../base/clock.ts'
import { WarrenError } from '../base/errors.ts'
import { withTimeout } from '../base/wait.ts'
import { EARLY, PING_BYTES, PING_PROTOCOL } from './constants.ts'
import { netErrors } from './errors.ts'
import type { SignalOptions } from './types.ts'

/**
 * The round trip over one connection in milliseconds, without the time for opening the stream. Rejects with
 * `timed_out`, with `peer_unreachable` where the stream or its connection ends before, or with the signal's reason.
 */
export function pingConnection(
  connection: Connection,
  { timeoutMs, signal, clock }: SignalOptions & { timeoutMs: number; clock: Clock },
): Promise<number> {
  const peer = connection.remotePeer.toString()
  return withTimeout(`a ping to ${peer}`, timeoutMs, (inner) => roundTrip(connection, inner), { signal, clock }).catch(
    (thrown: unknown) => {
      if (thrown instanceof WarrenError || signal?.aborted) throw thrown
      throw netErrors.peer_unreachable(`the connection with ${peer} ended before a ping was answered`, {
        hint: 'Try again: a connection that is lost is replaced. Which path there is now: warren peers',
        cause: thrown,
      })
    },
  )
}

/**
 * As `pingConnection`, by the muxer's own ping: 224 bytes with their packets in place of 1,400, but answered below the
 * streams, so that it says only that the other process lives. A peer whose muxer has none is asked over a stream.
 */
export function beatConnection(connection: Connection, options: { timeoutMs: number; clock: Clock }): Promise<number> {
  const { muxer } = connection as { muxer?: { ping?: () => Promise<number> } }
  if (muxer?.ping === undefined) return pingConnection(connection, options)
  const ping = muxer.ping.bind(muxer)
  // Yamux ends a connection on an answer that nobody waits for: a late ping is left to the next beat, not given up.
  return withTimeout(
    `a beat to ${connection.remotePeer.toString()}`,
    options.timeoutMs,
    async () => {
      const startedMs = performance.now()
      await ping()
      return Math.round((performance.now() - startedMs) * 100) / 100
    },
    { clock: options.clock },
  )
}

async function roundTrip(connection: Connection, signal: AbortSignal): Promise<number> {
  const stream = await connection.newStream(PING_PROTOCOL, { ...EARLY, signal, runOnLimitedConnection: true })
  try {
    const sent = randomBytes(PING_BYTES)
    const startedMs = performance.now()
    const elapsedMs = await new Promise<number>((resolve, reject) => {
      let received = Buffer.alloc(0)
      stream.addEventListener('message', ({ data }: StreamMessageEvent) => {
        received = Buffer.concat([received, data.subarray()])
        if (received.length < PING_BYTES) return
        if (received.equals(sent)) resolve(performance.now() - startedMs)
        else reject(new Error('the answer to a ping has other bytes than the ping'))
      })
      stream.addEventListener('close', ({ error }) => reject(error ?? new Error('the connection closed')))
      signal.addEventListener('abort', () => reject(signal.reason), { once: true })
      stream.send(sent)
    })
    stream.close().catch((error: Error) => stream.abort(error))
    return Math.round(elapsedMs * 100) / 100
  } catch (error) {
    stream.abort(error as Error)
    throw error
  }
}
