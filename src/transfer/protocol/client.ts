import type { Clock } from '../../base/clock.ts'
import { MAX_INDEX_BYTES } from '../../bundle/index.ts'
import { type Network, readMessages, type Stream, sendMessage } from '../../net/index.ts'
import type { ChunkPool } from '../chunk-pool.ts'
import { transferErrors } from '../errors.ts'
import type { Layout, Run } from '../layout.ts'
import type { TransferLimits } from '../limits.ts'
import type { HeaderBytes } from '../package-header.ts'
import { unpack } from './compression.ts'
import { ANSWER_BYTES, MAX_ASK_CHUNKS, MAX_ASK_RUNS, MAX_MESSAGE_BYTES, TRANSFER_PROTOCOL } from './constants.ts'
import { type Answer, decodeAnswer, encodeAsk, type RefusalReason } from './messages.ts'
import { startWatchdog, type Watchdog } from './watchdog.ts'

export interface SourceContext {
  readonly network: Pick<Network, 'open'>
  readonly clock: Clock
  readonly limits: TransferLimits
  readonly peer: string
  readonly signal: AbortSignal
}

/** The parts of a package but its content. */
export interface AnsweredHeader extends HeaderBytes {
  readonly indexBytes: Uint8Array
}

/**
 * The header of a package as a source gives it, not yet verified. Fails with `source_refused`, `source_slow`,
 * `transfer_broken`, `source_dishonest`, or as the network does.
 */
export function askHeader(context: SourceContext, digest: string): Promise<AnsweredHeader> {
  return converse(context, async ({ ask, answers }) => {
    await ask(encodeAsk({ kind: 'header', id: 1, digest }))
    let header: Extract<Answer, { kind: 'header' }> | undefined
    const parts: Uint8Array[] = []
    let received = 0
    for await (const answer of answers) {
      if (answer.kind === 'refused') throw refused(context.peer, answer.reason)
      if (answer.kind === 'header' && header === undefined) header = answer
      else if (answer.kind === 'index' && header !== undefined) {
        parts.push(answer.bytes)
        received += answer.bytes.length
      } else throw unexpected(answer)
      if (header.indexBytes > MAX_INDEX_BYTES || header.encodedBytes > header.indexBytes) throw unexpected(answer)
      if (received > header.encodedBytes) throw unexpected(answer)
      if (received === header.encodedBytes) return assemble(header, parts)
    }
    throw ended(context.peer)
  })
}

/**
 * Asks a source for chunks of the pool until none is left that it has. `store` gets each run verified or refuses it
 * with `source_dishonest`. What was asked for and did not come goes back to the pool. Fails as `askHeader`.
 */
export async function askChunks(
  context: SourceContext,
  work: { digest: string; layout: Layout; pool: ChunkPool; store(run: Run, bytes: Uint8Array): Promise<void> },
): Promise<void> {
  const { digest, layout, pool, store } = work
  const { pieceBytes, pipeline } = context.limits
  const asked = new Map<number, Set<number>>()
  const lacking = new Set<number>()
  let lastId = 0
  if (!pool.offers(lacking)) return
  const conversation = converse(context, async ({ ask, answers }) => {
    const askMore = async (): Promise<void> => {
      while (asked.size < pipeline) {
        const runs = pool.take({ maxBytes: pieceBytes, maxRuns: MAX_ASK_RUNS, maxCount: MAX_ASK_CHUNKS, lacking })
        if (runs.length === 0) return
        const id = ++lastId
        asked.set(id, new Set(ordinalsOf(runs)))
        await ask(encodeAsk({ kind: 'chunks', id, digest, runs }))
      }
    }
    await askMore()
    if (asked.size === 0) return
    for await (const answer of answers) {
      if (answer.kind === 'refused') throw refused(context.peer, answer.reason)
      const waiting = asked.get(answer.id)
      if ((answer.kind !== 'chunks' && answer.kind !== 'absent') || waiting === undefined) throw unexpected(answer)
      requireAsked(answer, waiting, layout)
      if (answer.kind === 'chunks') {
        await store(answer.run, await unpack(answer.encoding, answer.bytes, layout.bytesOf(answer.run)))
        pool.done(answer.run)
      } else {
        for (const ordinal of ordinalsOf([answer.run])) lacking.add(ordinal)
        pool.giveBack(ordinalsOf([answer.run]))
      }
      for (const ordinal of ordinalsOf([answer.run])) waiting.delete(ordinal)
      if (waiting.size === 0) asked.delete(answer.id)
      await askMore()
      if (asked.size === 0) return
    }
    throw ended(context.peer)
  })
  await conversation.finally(() => {
    for (const waiting of asked.values()) pool.giveBack(waiting)
  })
}

interface Conversation {
  ask(message: Buffer): Promise<void>
  readonly answers: AsyncIterable<Answer>
}

/** Opens a stream, watches that it does not stand still, and closes it in the end, whatever happens. */
async function converse<T>(context: SourceContext, talk: (conversation: Conversation) => Promise<T>): Promise<T> {
  const { network, clock, limits, peer, signal } = context
  signal.throwIfAborted()
  const stream = await network.open(peer, TRANSFER_PROTOCOL, { signal })
  let stopped: unknown
  const stop = (reason: unknown): void => {
    stopped ??= reason
    stream.destroy()
  }
  stream.on('error', ignore)
  const onAbort = (): void => stop(signal.reason)
  signal.addEventListener('abort', onAbort, { once: true })
  const watchdog = startWatchdog(clock, limits.chunkTimeoutMs, () =>
    stop(transferErrors.source_slow(`${peer} sent nothing for ${limits.chunkTimeoutMs} ms`)),
  )
  try {
    signal.throwIfAborted()
    return await talk({
      ask: (message) => sendMessage(stream, message),
      answers: readAnswers(stream, watchdog),
    })
  } catch (error) {
    throw stopped ?? error
  } finally {
    watchdog.stop()
    signal.removeEventListener('abort', onAbort)
    stream.destroy()
  }
}

/** The stream's failures reach whoever reads or writes; the event alone must not end the process. */
function ignore(): void {}

async function* readAnswers(stream: Stream, watchdog: Watchdog): AsyncGenerator<Answer> {
  for await (const message of readMessages(stream, { maxBytes: MAX_MESSAGE_BYTES })) {
    // The time that storing an answer takes is not the source's.
    watchdog.pause()
    yield decodeAnswer(message)
    watchdog.touch()
  }
}

async function assemble(header: Extract<Answer, { kind: 'header' }>, parts: Uint8Array[]): Promise<AnsweredHeader> {
  return {
    recordBytes: Buffer.from(header.record),
    manifestBytes: Buffer.from(header.manifest),
    signatureBytes: header.signature.length === 0 ? undefined : Buffer.from(header.signature),
    indexBytes: await unpack(header.encoding, Buffer.concat(parts), header.indexBytes),
  }
}

function requireAsked(answer: Extract<Answer, { run: Run }>, waiting: Set<number>, layout: Layout): void {
  const { first, count } = answer.run
  for (let ordinal = first; ordinal < first + count; ordinal++) {
    if (!waiting.has(ordinal)) throw unexpected(answer)
  }
  const single = count === 1 || answer.kind === 'absent'
  if (!single && layout.bytesOf(answer.run) > ANSWER_BYTES) throw unexpected(answer)
}

function* ordinalsOf(runs: readonly Run[]): Generator<number> {
  for (const { first, count } of runs) for (let ordinal = first; ordinal < first + count; ordinal++) yield ordinal
}

function refused(peer: string, reason: RefusalReason): Error {
  return transferErrors.source_refused(`${peer} refused: ${reason}`, { details: { reason } })
}

function unexpected(answer: Answer): Error {
  return transferErrors.transfer_malformed(`the other node sent an answer (${answer.kind}) that was not asked for`)
}

function ended(peer: string): Error {
  return transferErrors.transfer_broken(`${peer} ended the stream before everything had come`)
}
