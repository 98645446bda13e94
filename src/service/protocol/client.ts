import type { Duplex } from 'node:stream'
import { Backoff } from '../../base/backoff.ts'
import { toWarrenError } from '../../base/errors.ts'
import { sleep, withTimeout } from '../../base/wait.ts'
import { type Network, readMessage, sendMessage } from '../../net/index.ts'
import { serviceErrors } from '../errors.ts'
import { OPEN_TIMEOUT_MS } from '../limits.ts'
import { LIST_PROTOCOL, MAX_ANSWER_BYTES, MAX_LIST_BYTES, SERVICE_PROTOCOL } from './constants.ts'
import { decodeList, type Head, type ListedService, requireYes } from './messages.ts'

/** What befalls a connection that breaks before an answer: the next try has a new one, perhaps by another way. */
const PASSING = new Set(['connection_lost', 'stream_reset', 'message_incomplete'])

interface AskOptions {
  readonly signal: AbortSignal
  readonly timeoutMs?: number
}

/** A stream to begin with: over the network, or to this node's own server. */
export type OpenStream = (protocol: string, signal: AbortSignal) => Promise<Duplex>

/**
 * Connects to a service and gives the stream of its bytes or datagrams, which the caller ends. Tries again where the
 * connection breaks before an answer, all within 30 s. Fails with the refusal's code, as `network.open`, and with
 * `timed_out`.
 */
export async function openService(open: OpenStream, head: Head, options: AskOptions): Promise<Duplex> {
  const { timeoutMs = OPEN_TIMEOUT_MS, signal } = options
  const work = async (limit: AbortSignal): Promise<Duplex> => {
    const backoff = new Backoff({ minMs: 100, maxMs: 2_000 })
    for (;;) {
      try {
        return await ask(open, head, limit)
      } catch (error) {
        if (limit.aborted || !PASSING.has(toWarrenError(error).code)) throw error
      }
      await sleep(backoff.next(), { signal: limit })
    }
  }
  return await withTimeout(`connecting to ${head.service}`, timeoutMs, work, { signal })
}

async function ask(open: OpenStream, head: Head, signal: AbortSignal): Promise<Duplex> {
  const stream = await open(SERVICE_PROTOCOL, signal)
  stream.on('error', () => undefined)
  try {
    await sendMessage(stream, head)
    const answer = await readMessage(stream, { maxBytes: MAX_ANSWER_BYTES, signal })
    if (answer === undefined) throw serviceErrors.service_malformed('a stream that ended without an answer')
    requireYes(answer)
    return stream
  } catch (error) {
    stream.destroy()
    throw error
  }
}

/** What a node exposes, as it tells this one. Fails as `network.open`, with `timed_out` and `service_malformed`. */
export async function listServices(
  network: Pick<Network, 'open'>,
  peer: string,
  { signal, timeoutMs }: Required<AskOptions>,
): Promise<ListedService[]> {
  return await withTimeout(
    'the list of services',
    timeoutMs,
    async (limit) => {
      const stream = await network.open(peer, LIST_PROTOCOL, { signal: limit })
      stream.on('error', () => undefined)
      try {
        stream.end()
        const bytes = await readMessage(stream, { maxBytes: MAX_LIST_BYTES, signal: limit })
        if (bytes === undefined) throw serviceErrors.service_malformed('a stream that ended without a list')
        return decodeList(bytes)
      } finally {
        stream.destroy()
      }
    },
    { signal },
  )
}
