import { finished } from 'node:stream/promises'
import { z } from 'zod'
import type { Clock } from '../../base/clock.ts'
import { withTimeout } from '../../base/wait.ts'
import type { SignedHead, Statement } from '../../identity/index.ts'
import { type Network, readMessage, type Stream, sendMessage } from '../../net/index.ts'
import { memberErrors } from '../errors.ts'
import {
  type ComparedRoster,
  decodeAll,
  encodeForWire,
  type Heard,
  MAX_ENVELOPE_CHARACTERS,
  MAX_SIGNED_HEADS,
  refuseForged,
} from './roster-conversation.ts'

/** A stream carries one message of news and ends. */
export const NEWS_PROTOCOL = '/warren/roster-news/1'
/** Longest message of news; who has more to tell holds an exchange. */
const MAX_NEWS_BYTES = 512 * 1024
/** Of which this much is envelopes: commas, quotes and names need the rest. */
const MAX_ENVELOPES_BYTES = 480 * 1024
/** More than fit, were they as short as statements are; each that is none costs its reader an error. */
const MAX_NEWS_STATEMENTS = 1024
/** What waits for a slow peer; beyond it an exchange brings the rest in less space. */
const MAX_WAITING_BYTES = 2 * MAX_NEWS_BYTES
/** A message on a slow link, and the time in which the other side stores what is in it. */
const NEWS_TIMEOUT_MS = 15_000

const envelopes = z.array(z.string().max(MAX_ENVELOPE_CHARACTERS))
const message = z.object({
  statements: envelopes.max(MAX_NEWS_STATEMENTS),
  signed_heads: envelopes.max(MAX_SIGNED_HEADS),
})

/** Something new, to be passed on. */
export interface News {
  readonly statements: readonly Statement[]
  readonly heads: readonly SignedHead[]
}

/** What waits to be told to one peer. */
export interface NewsOutbox {
  push(news: News): void
  /** Gives up what waits. */
  close(): void
}

export interface NewsOutboxOptions {
  readonly network: Pick<Network, 'open'>
  readonly peer: string
  readonly clock: Clock
  /** Called once news may not have arrived; the outbox is then empty and may be used again. */
  onLost(error: unknown): void
}

/**
 * An outbox for one peer: one message is on its way at a time, and what comes meanwhile goes with the next one. Of signed
 * heads only the newest of each admin waits.
 */
export function createNewsOutbox({ network, peer, clock, onLost }: NewsOutboxOptions): NewsOutbox {
  const waiting = { statements: new Map<string, string>(), signed_heads: new Map<string, string>() }
  const closing = new AbortController()
  let sending = false
  const clear = (): void => {
    waiting.statements.clear()
    waiting.signed_heads.clear()
  }
  const pump = async (): Promise<void> => {
    if (sending) return
    sending = true
    try {
      // In the same turn several statements may come.
      await Promise.resolve()
      while (waiting.statements.size + waiting.signed_heads.size > 0) {
        const next = takeMessage(waiting)
        const send = (signal: AbortSignal): Promise<void> => tell(network, { peer, next, signal })
        await withTimeout(`news for ${peer}`, NEWS_TIMEOUT_MS, send, { signal: closing.signal, clock })
      }
    } catch (error) {
      clear()
      if (!closing.signal.aborted) onLost(error)
    } finally {
      sending = false
    }
  }
  return {
    push({ statements, heads }) {
      if (closing.signal.aborted) return
      for (const statement of statements) waiting.statements.set(statement.hash, encodeForWire(statement))
      for (const signed of heads) waiting.signed_heads.set(signed.author, encodeForWire(signed))
      const bytes = [...waiting.statements.values()].reduce((sum, text) => sum + text.length, 0)
      if (bytes > MAX_WAITING_BYTES) {
        clear()
        onLost(new Error(`more than ${MAX_WAITING_BYTES} bytes of news wait`))
      } else void pump()
    },
    close() {
      closing.abort(new Error('the peer is gone'))
      clear()
    },
  }
}

/**
 * Takes in the one message of a stream of news, and ends the stream once it is stored. Fails with
 * `roster_exchange_invalid` where it breaks the rules, and as reading and storing do; the stream is then reset.
 */
export async function receiveNews(
  stream: Stream,
  { roster, heard, clock }: { roster: ComparedRoster; heard: Heard; clock: Clock },
): Promise<void> {
  const receive = async (signal: AbortSignal): Promise<void> => {
    const bytes = await readMessage(stream, { maxBytes: MAX_NEWS_BYTES, signal })
    if (bytes !== undefined) {
      const said = message.parse(JSON.parse(bytes.toString('utf8')))
      if (said.statements.length > 0) {
        const merged = await roster.merge(decodeAll(said.statements))
        heard.merged(merged)
        refuseForged(merged)
      }
      if (said.signed_heads.length > 0) {
        const taken = await roster.signedHeads.take(decodeAll(said.signed_heads))
        heard.heads(taken)
        refuseForged(taken)
      }
      if ((await readMessage(stream, { maxBytes: 0, signal })) !== undefined) {
        throw memberErrors.roster_exchange_invalid('a peer sent two messages on one stream of news')
      }
    }
    stream.end()
  }
  try {
    await withTimeout('news of the roster', NEWS_TIMEOUT_MS, receive, { clock })
  } catch (error) {
    stream.destroy(error as Error)
    throw error
  }
}

type Waiting = { readonly statements: Map<string, string>; readonly signed_heads: Map<string, string> }

/** As much of what waits as fits a message, in the order in which it came. */
function takeMessage(waiting: Waiting): z.output<typeof message> {
  let bytes = 0
  const takeFrom = (map: Map<string, string>, most: number): string[] => {
    const taken: string[] = []
    for (const [key, text] of map) {
      if (taken.length >= most || (bytes > 0 && bytes + text.length > MAX_ENVELOPES_BYTES)) break
      bytes += text.length
      map.delete(key)
      taken.push(text)
    }
    return taken
  }
  const statements = takeFrom(waiting.statements, MAX_NEWS_STATEMENTS)
  return { statements, signed_heads: takeFrom(waiting.signed_heads, MAX_SIGNED_HEADS) }
}

/** Resolves when the other side has stored it. */
async function tell(
  network: Pick<Network, 'open'>,
  { peer, next, signal }: { peer: string; next: object; signal: AbortSignal },
): Promise<void> {
  const stream = await network.open(peer, NEWS_PROTOCOL, { signal })
  stream.on('error', () => undefined)
  try {
    await sendMessage(stream, next)
    stream.end()
    stream.resume()
    await finished(stream, { signal })
  } catch (error) {
    stream.destroy()
    throw error
  }
}
