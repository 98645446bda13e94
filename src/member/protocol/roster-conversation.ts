import { z } from 'zod'
import { encodeEnvelope, type MergeResult, type Roster } from '../../identity/index.ts'
import { readMessages, type Stream, sendMessage } from '../../net/index.ts'
import { memberErrors } from '../errors.ts'

/** Statements travel in bunches that fit a message of the default size. */
const BUNCH_BYTES = 512 * 1024
/** As many as a roster may hold. */
const MAX_STATEMENTS = 20_000
/** One log an admin, and there are few of those. */
const MAX_AUTHORS = 1000
/** A statement of 16 KiB in its envelope, in base64. */
const MAX_STATEMENT_CHARACTERS = 64 * 1024

const head = z.object({ author: z.string().max(128), seq: z.int().min(0), hash: z.string().max(64) })
const message = z.discriminatedUnion('type', [
  z.object({ type: z.literal('heads'), heads: z.array(head).max(MAX_AUTHORS) }),
  z.object({ type: z.literal('statements'), statements: z.array(z.string().max(MAX_STATEMENT_CHARACTERS)) }),
  z.object({ type: z.literal('end') }),
])
type Heads = z.output<typeof head>[]

/**
 * One exchange of rosters over a stream, the same on both sides: each says its heads, and sends what the other lacks by
 * those. Resolves when both have said all, with the stream ended; on failure it is reset.
 */
export async function converse(stream: Stream, roster: Roster, onMerged: (result: MergeResult) => void): Promise<void> {
  // Sent while the other side's are read: two long rosters that both wait to be read would wait for ever.
  let sending: Promise<void> | undefined
  let received = 0
  try {
    await sendMessage(stream, { type: 'heads', heads: roster.heads() })
    for await (const bytes of readMessages(stream)) {
      const said = message.parse(JSON.parse(Buffer.from(bytes).toString('utf8')))
      if (said.type === 'end') break
      if (said.type === 'heads') {
        // Each would be answered with the whole roster, faster than it is read.
        if (sending !== undefined) throw memberErrors.roster_exchange_invalid('a peer said its heads twice')
        sending = sendMissing(stream, roster, said.heads)
        sending.catch((error) => stream.destroy(error))
      } else {
        received += said.statements.length
        if (received > MAX_STATEMENTS)
          throw memberErrors.roster_too_long(`a peer sent more than ${MAX_STATEMENTS} statements`)
        const result = await roster.merge(said.statements.map((text) => Buffer.from(text, 'base64')))
        onMerged(result)
        // Every node checks before it keeps: this one has made them up, and each costs us a verification.
        if (result.rejected.some(({ reason }) => reason === 'bad_signature'))
          throw memberErrors.roster_exchange_invalid('a peer sent a statement that its author did not sign')
      }
    }
    await sending
    stream.end()
  } catch (error) {
    stream.destroy(error as Error)
    throw error
  }
}

async function sendMissing(stream: Stream, roster: Roster, heads: Heads): Promise<void> {
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
