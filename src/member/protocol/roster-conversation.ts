import { z } from 'zod'
import {
  type Envelope,
  encodeEnvelope,
  type MergeResult,
  type Roster,
  type SignedHead,
  type SignedHeads,
} from '../../identity/index.ts'
import { readMessages, type Stream, sendMessage } from '../../net/index.ts'
import { memberErrors } from '../errors.ts'

/** Statements travel in bunches that fit a message of the default size. */
const BUNCH_BYTES = 512 * 1024
/** As many as a roster may hold, and those of the root, which are beyond that limit. */
const MAX_STATEMENTS = 24_000
/** One log an admin, and there are few of those. */
const MAX_AUTHORS = 1000
/** One of each admin, and there are at most so many at a time. */
export const MAX_SIGNED_HEADS = 64
/** The longest envelope there is, of a signed head that names 256 logs, in base64. */
export const MAX_ENVELOPE_CHARACTERS = 96 * 1024

const head = z.object({ author: z.string().max(128), seq: z.int().min(0), hash: z.string().max(64) })
const envelopes = z.array(z.string().max(MAX_ENVELOPE_CHARACTERS))
const message = z.discriminatedUnion('type', [
  z.object({ type: z.literal('heads'), heads: z.array(head).max(MAX_AUTHORS) }),
  z.object({ type: z.literal('statements'), statements: envelopes }),
  z.object({ type: z.literal('signed-heads'), heads: envelopes.max(MAX_SIGNED_HEADS) }),
  z.object({ type: z.literal('end') }),
])
const KNOWN_TYPES: ReadonlySet<string> = new Set(['heads', 'statements', 'signed-heads', 'end'])
type Message = z.output<typeof message>
type Heads = z.output<typeof head>[]

/** What taking signed heads came to. */
export type TakenHeads = Awaited<ReturnType<SignedHeads['take']>>

/** Hears what a peer has brought, as it comes. */
export interface Heard {
  merged(result: MergeResult): void
  heads(result: TakenHeads): void
}

/** The part of a roster that is compared. */
export type ComparedRoster = Pick<Roster, 'heads' | 'entriesAfter' | 'merge'> & {
  readonly signedHeads: Pick<SignedHeads, 'list' | 'take'>
}

/**
 * One exchange of rosters over a stream, the same on both sides: each says its heads, and sends what the other lacks by
 * those, then the signed heads that it holds. Messages of other types are skipped. Resolves when both have said all,
 * with the stream ended; on failure it is reset.
 */
export async function converse(stream: Stream, roster: ComparedRoster, heard: Heard): Promise<void> {
  // Sent while the other side's are read: two long rosters that both wait to be read would wait for ever.
  let sending: Promise<void> | undefined
  let received = 0
  let headsReceived = 0
  const take = async (said: Exclude<Message, { type: 'end' }>): Promise<void> => {
    if (said.type === 'heads') {
      // Each would be answered with the whole roster, faster than it is read.
      if (sending !== undefined) throw memberErrors.roster_exchange_invalid('a peer said its heads twice')
      sending = sendMissing(stream, roster, said.heads)
      sending.catch((error) => stream.destroy(error))
    } else if (said.type === 'statements') {
      received += said.statements.length
      if (received > MAX_STATEMENTS)
        throw memberErrors.roster_too_long(`a peer sent more than ${MAX_STATEMENTS} statements`)
      const result = await roster.merge(decodeAll(said.statements))
      heard.merged(result)
      refuseForged(result)
    } else {
      headsReceived += said.heads.length
      if (headsReceived > MAX_SIGNED_HEADS)
        throw memberErrors.roster_exchange_invalid(`a peer sent more than ${MAX_SIGNED_HEADS} signed heads`)
      const result = await roster.signedHeads.take(decodeAll(said.heads))
      heard.heads(result)
      refuseForged(result)
    }
  }
  try {
    await sendMessage(stream, { type: 'heads', heads: roster.heads() })
    for await (const bytes of readMessages(stream)) {
      const said = parseMessage(bytes)
      if (said?.type === 'end') break
      if (said !== undefined) await take(said)
    }
    await sending
    stream.end()
  } catch (error) {
    stream.destroy(error as Error)
    throw error
  }
}

/**
 * Fails with `roster_exchange_invalid` where there was something among it that its author has not signed: every node
 * checks before it keeps, so whoever sent it has made it up, and each costs a verification.
 */
export function refuseForged({ rejected }: Pick<MergeResult, 'rejected'>): void {
  if (rejected.some(({ reason }) => reason === 'bad_signature'))
    throw memberErrors.roster_exchange_invalid('a peer sent a statement that its author did not sign')
}

/** Envelopes as they travel. */
export function encodeForWire({ envelope }: Pick<SignedHead, 'envelope'>): string {
  return encodeEnvelope(envelope).toString('base64')
}

/** The bytes of envelopes as they travelled; what is none is refused by whoever takes them. */
export function decodeAll(texts: readonly string[]): Buffer[] {
  return texts.map((text) => Buffer.from(text, 'base64'))
}

/** Undefined for a message of a type that this release does not know. */
function parseMessage(bytes: Uint8Array): Message | undefined {
  const value: unknown = JSON.parse(Buffer.from(bytes).toString('utf8'))
  const { type } = z.object({ type: z.string() }).parse(value)
  return KNOWN_TYPES.has(type) ? message.parse(value) : undefined
}

async function sendMissing(stream: Stream, roster: ComparedRoster, heads: Heads): Promise<void> {
  for (const bunch of bunches(encodeEach(roster.entriesAfter(heads))))
    await sendMessage(stream, { type: 'statements', statements: bunch })
  // Last: only then the other side knows all admins whose heads these are.
  const signed = roster.signedHeads.list().slice(0, MAX_SIGNED_HEADS).map(encodeForWire)
  for (const bunch of bunches(signed)) await sendMessage(stream, { type: 'signed-heads', heads: bunch })
  await sendMessage(stream, { type: 'end' })
}

/** As they are sent: a roster that somebody has filled, for several peers at once, would fill the memory. */
function* encodeEach(envelopes: readonly Envelope[]): Generator<string> {
  for (const envelope of envelopes) yield encodeForWire({ envelope })
}

function* bunches(texts: Iterable<string>): Generator<string[]> {
  let bunch: string[] = []
  let bytes = 0
  for (const text of texts) {
    if (bunch.length > 0 && bytes + text.length > BUNCH_BYTES) {
      yield bunch
      bunch = []
      bytes = 0
    }
    bunch.push(text)
    bytes += text.length
  }
  if (bunch.length > 0) yield bunch
}
