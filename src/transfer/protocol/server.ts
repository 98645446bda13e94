import type { Clock } from '../../base/clock.ts'
import type { Counters } from '../../base/counters.ts'
import type { Logger } from '../../base/log.ts'
import { type Network, readMessages, type Stream, sendParts } from '../../net/index.ts'
import type { Run } from '../layout.ts'
import type { HeldPackage } from '../store.ts'
import { Packer } from './compression.ts'
import {
  ANSWER_BYTES,
  ANSWER_CHUNKS,
  INDEX_PART_BYTES,
  MAX_ASK_BYTES,
  MAX_ASK_CHUNKS,
  MAX_MESSAGE_BYTES,
  MAX_SERVED_STREAMS,
  MAX_STREAMS_PER_PEER,
  SERVE_IDLE_MS,
  TRANSFER_PROTOCOL,
} from './constants.ts'
import { type Answer, type Ask, decodeAsk, encodeAnswer, type RefusalReason } from './messages.ts'
import { startWatchdog } from './watchdog.ts'

export interface ServerContext {
  readonly network: Pick<Network, 'handle'>
  /** What is served: a package and its chunks, held until released. */
  readonly hold: (digest: string) => Promise<HeldPackage | undefined>
  /** May this peer have packages? */
  readonly mayServe: (peer: string) => boolean
  readonly clock: Clock
  readonly log: Logger
  readonly counters: Counters
}

/** Serves packages to other nodes until the returned function is called, which resets the open streams. */
export function serveTransfer(context: ServerContext): () => void {
  const streams = new Set<Stream>()
  const unhandle = context.network.handle(
    TRANSFER_PROTOCOL,
    async (stream) => {
      stream.on('error', (error) => context.log.debug({ peer: stream.peer, reason: error.message }, 'stream broke'))
      const refusal = refusalOf(context, stream, streams.size)
      streams.add(stream)
      try {
        await new ServedStream(context, stream, refusal).run()
        stream.end()
      } catch (error) {
        context.log.debug({ peer: stream.peer, reason: String(error) }, 'transfer stream ended')
        stream.destroy()
      } finally {
        streams.delete(stream)
      }
    },
    { maxStreamsPerPeer: MAX_STREAMS_PER_PEER },
  )
  return () => {
    unhandle()
    for (const stream of streams) stream.destroy()
  }
}

function refusalOf(context: ServerContext, stream: Stream, served: number): RefusalReason | undefined {
  if (!context.mayServe(stream.peer)) return 'not_allowed'
  return served >= MAX_SERVED_STREAMS ? 'busy' : undefined
}

/** One stream: questions are answered in their order, one at a time. */
class ServedStream {
  readonly #context: ServerContext
  readonly #stream: Stream
  readonly #refusal: RefusalReason | undefined
  readonly #packer = new Packer()
  #held: HeldPackage | undefined
  #touch: () => void = () => undefined

  constructor(context: ServerContext, stream: Stream, refusal: RefusalReason | undefined) {
    this.#context = context
    this.#stream = stream
    this.#refusal = refusal
  }

  async run(): Promise<void> {
    const watchdog = startWatchdog(this.#context.clock, SERVE_IDLE_MS, () => this.#stream.destroy())
    this.#touch = () => watchdog.touch()
    try {
      for await (const message of readMessages(this.#stream, { maxBytes: MAX_MESSAGE_BYTES })) {
        this.#touch()
        await this.#answer(decodeAsk(message))
      }
    } finally {
      watchdog.stop()
      await this.#held?.release()
    }
  }

  async #answer(ask: Ask): Promise<void> {
    if (ask.kind === 'unknown') return this.#refuse(ask, 'unsupported')
    // Asked each time: a stream outlasts a right.
    const refusal = this.#context.mayServe(this.#stream.peer) ? this.#refusal : 'not_allowed'
    if (refusal !== undefined) return this.#refuse(ask, refusal)
    const held = await this.#hold(ask.digest)
    if (held === undefined) return this.#refuse(ask, 'not_found')
    if (ask.kind === 'header') return this.#sendHeader(ask.id, held)
    const { count } = held.chunks.layout
    let chunks = 0
    let bytes = 0
    for (const run of ask.runs) {
      if (run.first + run.count > count) return this.#refuse(ask, 'invalid')
      chunks += run.count
      bytes += held.chunks.layout.bytesOf(run)
    }
    if (chunks > MAX_ASK_CHUNKS || bytes > MAX_ASK_BYTES) return this.#refuse(ask, 'invalid')
    await this.#sendChunks(ask.id, held, ask.runs)
  }

  /** Keeps the package of the last question open, since a stream is about one package. */
  async #hold(digest: string): Promise<HeldPackage | undefined> {
    if (this.#held?.header.digest === digest) return this.#held
    await this.#held?.release()
    this.#held = undefined
    this.#held = await this.#context.hold(digest)
    return this.#held
  }

  async #sendHeader(id: number, held: HeldPackage): Promise<void> {
    const index = await held.readIndexBytes()
    const { encoding, bytes } = await this.#packer.pack(index)
    await this.#send({
      kind: 'header',
      id,
      record: held.header.recordBytes,
      manifest: held.header.manifestBytes,
      signature: held.header.signatureBytes ?? new Uint8Array(),
      encoding,
      indexBytes: index.length,
      encodedBytes: bytes.length,
    })
    for (let from = 0; from < bytes.length; from += INDEX_PART_BYTES) {
      await this.#send({ kind: 'index', id, bytes: bytes.subarray(from, from + INDEX_PART_BYTES) })
    }
  }

  async #sendChunks(id: number, held: HeldPackage, runs: readonly Run[]): Promise<void> {
    const cuts = runs.flatMap((run) => [...held.chunks.layout.cut(run, ANSWER_BYTES, ANSWER_CHUNKS)])
    // The next answer is read and packed while this one is being sent.
    let next = this.#prepare(id, held, cuts[0])
    for (const [at] of cuts.entries()) {
      const answers = await next
      next = this.#prepare(id, held, cuts[at + 1])
      next.catch(() => undefined)
      for (const answer of answers) await this.#send(answer)
    }
  }

  /** The answers for one run: its content, or chunk by chunk where some are not here. */
  async #prepare(id: number, held: HeldPackage, run: Run | undefined): Promise<Answer[]> {
    if (run === undefined) return []
    const content = await held.chunks.read(run)
    if (content !== undefined) {
      this.#context.counters.add('transfer_sent_bytes', content.length)
      return [{ kind: 'chunks', id, run, ...(await this.#packer.pack(content)) }]
    }
    if (run.count === 1) return [{ kind: 'absent', id, run }]
    const answers: Answer[] = []
    for (let ordinal = run.first; ordinal < run.first + run.count; ordinal++) {
      answers.push(...(await this.#prepare(id, held, { first: ordinal, count: 1 })))
    }
    return answers
  }

  #refuse(ask: Ask, reason: RefusalReason): Promise<void> {
    return this.#send({ kind: 'refused', id: ask.id, reason })
  }

  async #send(answer: Answer): Promise<void> {
    await sendParts(this.#stream, encodeAnswer(answer))
    this.#touch()
  }
}
