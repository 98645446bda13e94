import { z } from 'zod'
import type { Clock } from '../../base/clock.ts'
import { netErrors } from '../errors.ts'
import { readMessage, sendMessage } from '../frames.ts'
import type { Stream } from '../types.ts'
import type { SignedRecord } from './address-record.ts'
import { MAX_RECORD_BYTES, MAX_RECORDS, MAX_TALK_MESSAGE_BYTES, RECORDS_PER_MESSAGE } from './limits.ts'
import type { RecordStore } from './record-store.ts'
import type { ClockOffset } from './types.ts'

const envelope = z.string().max(MAX_RECORD_BYTES)
const records = z.array(envelope).max(RECORDS_PER_MESSAGE)
const time = z.number().finite()
/** The program that a node is, for people. */
const agent = z.string().max(256).optional()
const message = z.discriminatedUnion('type', [
  z.object({ type: z.literal('hello'), now: time, digest: z.string().max(64), record: envelope.nullable(), agent }),
  z.object({ type: z.literal('same'), now: time }),
  z.object({ type: z.literal('have'), now: time, sequences: z.record(z.string().max(16), z.number()) }),
  z.object({ type: z.literal('records'), records }),
])
type Message = z.output<typeof message>
type Of<T extends Message['type']> = Extract<Message, { type: T }>

/** What both sides of a conversation about addresses need. */
export interface AddressTalk {
  readonly self: string
  /** The program that this node is. */
  readonly agent: string
  readonly store: RecordStore
  readonly clock: Clock
  readonly signal: AbortSignal
  /** Hears of the bytes of each message that this side sends. */
  onSent(bytes: number): void
  /** Takes a record that the other side sent. */
  take(bytes: Uint8Array): void
  /** Hears what the other side says that it is. */
  onAgent(agent: string): void
  /** Hears how far the other side's clock is from this one's. */
  onOffset(offset: ClockOffset): void
}

/** Compares what is known with the side that answers, and gives and takes what is missing. */
export async function leadTalk(stream: Stream, talk: AddressTalk): Promise<void> {
  const sentMs = talk.clock.monotonicMs()
  await send(stream, talk, helloOf(stream, talk))
  const hello = await expectMessage(stream, talk, 'hello')
  if (hello.agent !== undefined) talk.onAgent(hello.agent)
  noteOffset(stream.peer, { talk, theirs: hello.now, sentMs })
  takeAll(hello.record === null ? [] : [hello.record], talk)
  await goOn(stream, talk, hello.digest)
}

/** Answers a conversation, or takes the news that it consists of. */
export async function answerTalk(stream: Stream, talk: AddressTalk): Promise<void> {
  const first = await nextMessage(stream, talk)
  if (first?.type === 'records') {
    takeAll(first.records, talk)
    return void stream.end()
  }
  if (first?.type !== 'hello') throw unexpected(first)
  const sentMs = talk.clock.monotonicMs()
  const own = helloOf(stream, talk)
  await send(stream, talk, own)
  if (first.agent !== undefined) talk.onAgent(first.agent)
  takeAll(first.record === null ? [] : [first.record], talk)
  const next = await nextMessage(stream, talk)
  if (next?.type !== 'same' && next?.type !== 'have') throw unexpected(next)
  noteOffset(stream.peer, { talk, theirs: next.now, sentMs })
  if (next.type === 'same') return void stream.end()
  await send(stream, talk, { type: 'have', now: talk.clock.now(), sequences: talk.store.sequences() })
  await exchange(stream, talk, next.sequences)
}

/** Tells news: a stream of one message. */
export async function tellRecords(
  stream: Stream,
  talk: Pick<AddressTalk, 'onSent'>,
  told: readonly SignedRecord[],
): Promise<void> {
  await send(stream, talk, recordsMessage(told.slice(0, RECORDS_PER_MESSAGE)))
  stream.end()
  stream.resume()
}

async function goOn(stream: Stream, talk: AddressTalk, theirDigest: string): Promise<void> {
  const now = talk.clock.now()
  if (theirDigest === talk.store.digestWithout(talk.self, stream.peer)) {
    await send(stream, talk, { type: 'same', now })
    stream.end()
    await readToEnd(stream, talk)
    return
  }
  await send(stream, talk, { type: 'have', now, sequences: talk.store.sequences() })
  const { sequences } = await expectMessage(stream, talk, 'have')
  await exchange(stream, talk, sequences)
}

/** Both sides send what the other lacks, and end. */
async function exchange(stream: Stream, talk: AddressTalk, theirs: Readonly<Record<string, number>>): Promise<void> {
  const reading = readToEnd(stream, talk)
  const missing = talk.store.newerThan(theirs).filter(({ record }) => record.id !== stream.peer)
  for (let index = 0; index < missing.length; index += RECORDS_PER_MESSAGE) {
    await send(stream, talk, recordsMessage(missing.slice(index, index + RECORDS_PER_MESSAGE)))
  }
  stream.end()
  await reading
}

async function readToEnd(stream: Stream, talk: AddressTalk): Promise<void> {
  let taken = 0
  for (;;) {
    const next = await nextMessage(stream, talk)
    if (next === undefined) return
    if (next.type !== 'records') throw unexpected(next)
    taken += next.records.length
    if (taken > MAX_RECORDS) throw netErrors.message_malformed(`more than ${MAX_RECORDS} records of addresses`)
    takeAll(next.records, talk)
  }
}

function helloOf(stream: Stream, { self, store, clock, agent }: AddressTalk): Of<'hello'> {
  const own = store.of(self)
  const record = own === undefined ? null : textOf(own)
  return { type: 'hello', now: clock.now(), digest: store.digestWithout(self, stream.peer), record, agent }
}

function recordsMessage(told: readonly SignedRecord[]): Of<'records'> {
  return { type: 'records', records: told.map(textOf) }
}

function textOf({ bytes }: SignedRecord): string {
  return Buffer.from(bytes).toString('utf8')
}

function takeAll(texts: readonly string[], talk: AddressTalk): void {
  for (const text of texts) talk.take(Buffer.from(text, 'utf8'))
}

/** As NTP does it: the other clock was read somewhere between question and answer. */
function noteOffset(
  peer: string,
  { talk, theirs, sentMs }: { talk: AddressTalk; theirs: number; sentMs: number },
): void {
  const roundTripMs = talk.clock.monotonicMs() - sentMs
  const at = talk.clock.now()
  talk.onOffset({
    peer,
    offsetMs: Math.round(theirs - (at - roundTripMs / 2)),
    boundMs: Math.ceil(roundTripMs / 2),
    at,
  })
}

function send(stream: Stream, { onSent }: Pick<AddressTalk, 'onSent'>, said: Message): Promise<void> {
  const bytes = Buffer.from(JSON.stringify(said))
  onSent(bytes.length)
  return sendMessage(stream, bytes)
}

async function expectMessage<T extends Message['type']>(stream: Stream, talk: AddressTalk, type: T): Promise<Of<T>> {
  const next = await nextMessage(stream, talk)
  if (next?.type !== type) throw unexpected(next)
  return next as Of<T>
}

async function nextMessage(stream: Stream, { signal }: AddressTalk): Promise<Message | undefined> {
  const bytes = await readMessage(stream, { maxBytes: MAX_TALK_MESSAGE_BYTES, signal })
  return bytes === undefined ? undefined : message.parse(JSON.parse(bytes.toString('utf8')))
}

function unexpected(got: Message | undefined): Error {
  return netErrors.message_malformed(`a conversation about addresses has ${got?.type ?? 'its end'} where it must not`)
}
