import type { Counters } from '../../base/counters.ts'
import type { Logger } from '../../base/log.ts'
import { SerialQueue, withTimeout } from '../../base/wait.ts'
import type { MergeResult, Roster } from '../../identity/index.ts'
import type { Network, Stream } from '../../net/index.ts'
import { converse } from './roster-conversation.ts'

const ROSTER_PROTOCOL = '/warren/roster/1'
/** A whole roster of 20,000 statements on a slow link. */
const EXCHANGE_TIMEOUT_MS = 60_000
/** Time for an exchange before a caller is answered with the rights known by then. */
const WAIT_TIMEOUT_MS = 5000
/** Repeated although nothing seems to have changed, so that what got lost on the way is found. */
const REPEAT_MS = 10 * 60_000
/** An exchange of each side, one more that begins while they end, and one to spare. */
const MAX_STREAMS = 4

/** The rosters of connected nodes, kept equal. */
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

/**
 * Keeps the rosters of connected nodes equal: compared on every new connection, again with every peer when this one
 * grows, and every 10 minutes.
 */
export function startRosterExchange(options: RosterExchangeOptions): RosterExchange {
  const { network, roster, log } = options
  const exchanged = new Map<string, Promise<void>>()
  const queues = new Map<string, SerialQueue>()
  const stopping = new AbortController()

  const hold = (stream: Stream): Promise<void> =>
    limited((signal) => {
      signal.addEventListener('abort', () => stream.destroy(), { once: true })
      return converse(stream, roster, (result) => tellMerged(result, stream.peer, options))
    })
  const limited = (work: (signal: AbortSignal) => Promise<void>): Promise<void> =>
    withTimeout('the exchange of rosters', EXCHANGE_TIMEOUT_MS, work, { signal: stopping.signal })
  const exchange = async (peer: string): Promise<void> => {
    const queue = queues.get(peer) ?? new SerialQueue()
    queues.set(peer, queue)
    try {
      await queue.run(() => limited(async (signal) => hold(await network.open(peer, ROSTER_PROTOCOL, { signal }))))
    } catch (error) {
      if (!stopping.signal.aborted) log.debug({ peer, err: error }, 'exchange of rosters failed')
    }
  }
  const exchangeAll = (): void => {
    for (const peer of exchanged.keys()) void exchange(peer)
  }
  const repeat = setInterval(exchangeAll, REPEAT_MS)
  repeat.unref()
  const stops = [
    network.handle(ROSTER_PROTOCOL, hold, { maxStreamsPerPeer: MAX_STREAMS }),
    network.events.on('connected', ({ peer }) => void exchanged.set(peer, exchange(peer))),
    network.events.on('disconnected', ({ peer }) => {
      exchanged.delete(peer)
      queues.delete(peer)
    }),
    roster.onChange(exchangeAll),
    () => clearInterval(repeat),
  ]
  return {
    whenExchanged: (peer) => settledWithin(exchanged.get(peer), WAIT_TIMEOUT_MS),
    stop() {
      stopping.abort()
      for (const stop of stops) stop()
    },
  }
}

function tellMerged({ added, rejected }: MergeResult, peer: string, { counters, log }: RosterExchangeOptions): void {
  counters.add('member_statements_added', added.length)
  if (rejected.length === 0) return
  counters.add('member_statements_rejected', rejected.length)
  log.warn({ peer, rejected: rejected.length, reason: rejected[0]?.reason }, 'statements of a peer were refused')
}

/** Resolves with the work, or when the time is over. */
async function settledWithin(work: Promise<void> | undefined, timeoutMs: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const over = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, timeoutMs)
  })
  await Promise.race([work, over])
  clearTimeout(timer)
}
