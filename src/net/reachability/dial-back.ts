/** The side that is asked: connects to a peer at the address from which it sees it, and nowhere else. */
import type { Clock } from '../../base/clock.ts'
import type { Counters } from '../../base/counters.ts'
import { scopeOf } from '../../base/ip-scope.ts'
import { TokenBuckets } from '../../base/token-buckets.ts'
import { withTimeout } from '../../base/wait.ts'
import type { Handle } from '../channel.ts'
import { readMessage, sendMessage } from '../frames.ts'
import { bindingTcp } from '../stun/index.ts'
import type { ConnectionInfo, Stream } from '../types.ts'
import {
  DIAL_BACK_TIMEOUT_MS,
  MAX_MESSAGE_BYTES,
  PEER_RATE,
  REACH_PROTOCOL,
  TALK_TIMEOUT_MS,
  TOTAL_RATE,
} from './constants.ts'
import { type DialBackOutcome, parseRequest, type ReachAnswer, type ReachRequest } from './messages.ts'
import { ipOf } from './peer-address.ts'

interface HelperInit {
  readonly handle: Handle
  readonly connections: () => readonly ConnectionInfo[]
  readonly clock: Clock
  readonly counters: Counters
}

/** Helps peers with their check until the returned function is called, which ends the dial-backs on their way too. */
export function serveDialBacks({ handle, connections, clock, counters }: HelperInit): () => void {
  const ends = new AbortController()
  const ofPeer = new TokenBuckets({ ...PEER_RATE, clock })
  const ofAll = new TokenBuckets({ ...TOTAL_RATE, clock })
  const answer = async (peer: string, request: ReachRequest, signal: AbortSignal): Promise<ReachAnswer> => {
    if (!ofPeer.take(peer) || !ofAll.take('all')) return { declined: 'limited' }
    const host = publicAddressOf(peer, connections())
    if (host === undefined) return { declined: 'no_public_address' }
    const dial = async ({ port, nonce }: ReachRequest['probes'][number]) => {
      return { port, outcome: await dialBack({ host, port }, { nonce, signal, clock }) }
    }
    return { seen: host, results: await Promise.all(request.probes.map(dial)) }
  }
  const serve = async (stream: Stream): Promise<void> => {
    await withTimeout('a dial-back', TALK_TIMEOUT_MS, (signal) => help(stream, signal, answer), {
      signal: ends.signal,
      clock,
    })
  }
  const unhandle = handle(
    REACH_PROTOCOL,
    async (stream) => {
      await serve(stream)
      counters.add('net_reach_helped')
    },
    { maxStreamsPerPeer: 1 },
  )
  return () => {
    unhandle()
    ends.abort(new Error('this node stops'))
  }
}

type Answer = (peer: string, request: ReachRequest, signal: AbortSignal) => Promise<ReachAnswer>

async function help(stream: Stream, signal: AbortSignal, answer: Answer): Promise<void> {
  const message = await readMessage(stream, { maxBytes: MAX_MESSAGE_BYTES, signal })
  if (message === undefined) return
  await sendMessage(stream, await answer(stream.peer, parseRequest(message), signal))
  stream.end()
}

/**
 * The public address of a peer as this node sees it, of a connection that the peer made rather than one that was made
 * to it. Undefined on a common network or machine, where a connection says nothing about what others reach.
 */
function publicAddressOf(peer: string, connections: readonly ConnectionInfo[]): string | undefined {
  const own = connections.filter((connection) => connection.peer === peer && !connection.relayed)
  const inbound = own.filter(({ direction }) => direction === 'inbound')
  const hosts = [...inbound, ...own].map(({ address }) => ipOf(address))
  return hosts.find((host) => host !== undefined && scopeOf(host) === 'public')
}

async function dialBack(
  server: { host: string; port: number },
  { nonce, signal, clock }: { nonce: string; signal: AbortSignal; clock: Clock },
): Promise<DialBackOutcome> {
  try {
    const transaction = Buffer.from(nonce, 'hex')
    const { socket } = await bindingTcp({ server, transaction, signal, clock, timeoutMs: DIAL_BACK_TIMEOUT_MS })
    socket.destroy()
    return 'answered'
  } catch (thrown) {
    signal.throwIfAborted()
    const { cause } = thrown as { cause?: { code?: unknown } }
    return cause?.code === 'ECONNREFUSED' ? 'refused' : 'silent'
  }
}
