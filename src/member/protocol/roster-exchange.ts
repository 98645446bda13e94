import { z } from 'zod'
import type { Counters } from '../../base/counters.ts'
import type { Logger } from '../../base/log.ts'
import { SerialQueue, withTimeout } from '../../base/wait.ts'
import { encodeEnvelope, type Roster } from '../../identity/index.ts'
import { type Network, readMessages, type Stream, sendMessage } from '../../net/index.ts'

export const ROSTER_PROTOCOL = '/warren/roster/1'
/** A whole roster of 20,000 statements on a slow link. */
const EXCHANGE_TIMEOUT_MS = 60_000
/** Time for an exchange before a caller is answered with the rights known by then. */
const WAIT_TIMEOUT_MS = 5000
/** Statements travel in bunches that fit a message of the default size. */
const BUNCH_BYTES = 512 * 1024
/** As many as a roster may hold. */
const MAX_STATEMENTS = 20_000
/** One log an admin, and there are few of those. */
const MAX_AUTHORS = 1000

export interface RosterExchange {
  /** Resolves once the rosters were compared on this connection, or after a while all the same. Never rejects. */
  whenExchanged(peer: string): Promise<void>
  stop(): void
}

export interface RosterExchangeOptions {
  readonly network: Network
  readonly roster: Roster
  readonly log: Logger
  readonly counters: Counters
}

const headSchema = z.object({ author: z.string().max(128), seq: z.int().min(0), hash: z.string().max(64) })

const messageSchema = z.discriminatedUnion('type', [
  z.object({ type: z.literal('heads'), heads: z.array(headSchema).max(MAX_AUTHORS) }),
  z.object({ type: z.literal('statements'), statements: z.array(z.string().max(32 * 1024)).max(MAX_STATEMENTS) }),
  z.object({ type: z.literal('end') }),
])

/**
 * Keeps the rosters of connected nodes equal: compared on every new connection, and again with every peer when this
 * one grows. One stream an exchange: both say their heads, then each sends what the other lacks.
 */
export function startRosterExchange({ network, roster, log, counters }: RosterExchangeOptions): RosterExchange {
  const exchanged = new Map<string, Promise<void>>()
  const queues = new Map<string, SerialQueue>()
  const stopping = new AbortController()

  const exchange = (peer: string): Promise<void> => {
    const queue = queues.get(peer) ?? new SerialQueue()
    queues.set(peer, queue)
    const work = queue.run(() =>
      withTimeout(
        'the exchange of rosters',
        EXCHANGE_TIMEOUT_MS,
        async (signal) => {
          const stream = await network.open(peer, ROSTER_PROTOCOL, { signal })
          await converse(stream, signal)
        },
        { signal: stopping.signal },
      ),
    )
    return work.catch((error) => {
      if (!stopping.signal.aborted) log.debug({ peer, err: error }, 'exchange of rosters failed')
    })
  }

  const converse = async (stream: Stream, signal: AbortSignal): Promise<void> => {
    const onAbort = (): void => void stream.destroy()
    signal.addEventListener('abort', onAbort, { once: true })
    try {
      await sendMessage(stream, { type: 'heads', heads: roster.heads() })
      for await (const bytes of readMessages(stream)) {
        const message = messageSchema.parse(JSON.parse(Buffer.from(bytes).toString('utf8')))
        if (message.type === 'heads') await sendMissing(stream, message.heads)
        else if (message.type === 'statements') await take(stream.peer, message.statements)
        else break
      }
      stream.end()
    } catch (error) {
      stream.destroy(error as Error)
      throw error
    } finally {
      signal.removeEventListener('abort', onAbort)
    }
  }

  const sendMissing = async (stream: Stream, heads: z.output<typeof headSchema>[]): Promise<void> => {
    let bunch: string[] = []
    let bytes = 0
    const flush = async (): Promise<void> => {
      if (bunch.length > 0) await sendMessage(stream, { type: 'statements', statements: bunch })
      bunch = []
      bytes = 0
    }
    for (const envelope of roster.entriesAfter(heads)) {
      const text = encodeEnvelope(envelope).toString('base64')
      if (bytes + text.length > BUNCH_BYTES) await flush()
      bunch.push(text)
      bytes += text.length
    }
    await flush()
    await sendMessage(stream, { type: 'end' })
  }

  const take = async (peer: string, statements: readonly string[]): Promise<void> => {
    const { added, rejected } = await roster.merge(statements.map((text) => Buffer.from(text, 'base64')))
    counters.add('member_statements_added', added.length)
    if (rejected.length > 0) {
      counters.add('member_statements_rejected', rejected.length)
      log.warn({ peer, rejected: rejected.length, reason: rejected[0]?.reason }, 'statements of a peer were refused')
    }
  }

  const stops = [
    network.handle(
      ROSTER_PROTOCOL,
      (stream) =>
        withTimeout('the exchange of rosters', EXCHANGE_TIMEOUT_MS, (signal) => converse(stream, signal), {
          signal: stopping.signal,
        }),
      { maxStreamsPerPeer: 4 },
    ),
    network.events.on('connected', ({ peer }) => void exchanged.set(peer, exchange(peer))),
    network.events.on('disconnected', ({ peer }) => {
      exchanged.delete(peer)
      queues.delete(peer)
    }),
    roster.onChange(() => {
      for (const peer of exchanged.keys()) void exchange(peer)
    }),
  ]
  return {
    whenExchanged: async (peer) => {
      const waited = AbortSignal.timeout(WAIT_TIMEOUT_MS)
      await Promise.race([
        exchanged.get(peer),
        new Promise<void>((resolve) => waited.addEventListener('abort', () => resolve())),
      ])
    },
    stop() {
      stopping.abort()
      for (const stop of stops) stop()
    },
  }
}
