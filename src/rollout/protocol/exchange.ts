import { readMessage, type Stream, sendMessage } from '../../net/index.ts'
import { rolloutErrors } from '../errors.ts'
import type { Ledger, Rollout, Statement } from '../ledger.ts'
import { MAX_EXCHANGED, MAX_GATHERED_BYTES, MAX_MESSAGE_BYTES } from './constants.ts'
import { type Message, parseMessage, statementMessage } from './messages.ts'

export interface ExchangeDeps {
  readonly ledger: Ledger
  /** The other side. */
  readonly peer: string
  /** The statement in a message; undefined where it holds none, or a malformed one, which is then counted. */
  statementOf(message: Message): Omit<Statement, 'id'> | undefined
  /** Takes statements in that belong together; never throws, since a bad one must not keep the good ones out. */
  acceptAll(statements: readonly Omit<Statement, 'id'>[]): Promise<void>
}

/** Opens an exchange on a fresh stream: both sides then hold what either held. Fails when it was cut short. */
export async function leadExchange(stream: Stream, deps: ExchangeDeps, signal: AbortSignal): Promise<void> {
  const held = deps.ledger.exchanged(deps.peer)
  await sendMessage(stream, haveOf(held))
  const first = await receive(stream, signal)
  if (first?.type !== 'have') throw rolloutErrors.rollout_invalid('the exchange was not answered with what is held')
  await receiveAll(stream, deps, signal)
  await sendMissing(stream, held, first.rollouts)
  stream.end()
}

/** Answers an exchange whose first message has been read. */
export async function answerExchange(
  stream: Stream,
  { first, deps, signal }: { first: Extract<Message, { type: 'have' }>; deps: ExchangeDeps; signal: AbortSignal },
): Promise<void> {
  const held = deps.ledger.exchanged(deps.peer)
  await sendMessage(stream, haveOf(held))
  await sendMissing(stream, held, first.rollouts)
  await receiveAll(stream, deps, signal)
  stream.end()
}

/** The next message; undefined at the end of the stream. */
export async function receive(stream: Stream, signal: AbortSignal): Promise<Message | undefined> {
  const bytes = await readMessage(stream, { maxBytes: MAX_MESSAGE_BYTES, signal })
  return bytes === undefined ? undefined : parseMessage(bytes)
}

async function receiveAll(stream: Stream, deps: ExchangeDeps, signal: AbortSignal): Promise<void> {
  let statements: Omit<Statement, 'id'>[] = []
  let bytes = 0
  for (let count = 0; count < MAX_EXCHANGED; count++) {
    const raw = await readMessage(stream, { maxBytes: MAX_MESSAGE_BYTES, signal })
    if (raw === undefined) throw rolloutErrors.rollout_invalid('the exchange ended before it was complete')
    const message = parseMessage(raw)
    if (message.type === 'end') return await deps.acceptAll(statements)
    // Parsed JSON may take twenty times its bytes: only what was read out of it is kept.
    const statement = deps.statementOf(message)
    if (statement === undefined) continue
    statements.push(statement)
    bytes += raw.length
    if (bytes < MAX_GATHERED_BYTES) continue
    await deps.acceptAll(statements)
    statements = []
    bytes = 0
  }
  throw rolloutErrors.rollout_invalid(`the exchange has more than ${MAX_EXCHANGED} statements`)
}

async function sendMissing(
  stream: Stream,
  held: readonly { rollout: Rollout; digest: string }[],
  theirs: readonly { id: string; digest: string }[],
): Promise<void> {
  const known = new Map(theirs.map(({ id, digest }) => [id, digest]))
  let left = MAX_EXCHANGED - 1
  for (const { rollout, digest } of held) {
    if (known.get(rollout.id) === digest) continue
    for (const message of messagesOf(rollout, !known.has(rollout.id))) {
      if (left-- <= 0) break
      await sendMessage(stream, message)
    }
  }
  await sendMessage(stream, { type: 'end' })
}

/** The document first, since nothing else can be judged without it. */
function* messagesOf(rollout: Rollout, withDocument: boolean): Generator<Message> {
  if (withDocument) yield statementMessage('document', rollout.envelope)
  for (const { envelope } of rollout.evidence.values()) yield statementMessage('evidence', envelope)
  for (const { envelope } of rollout.halts.values()) yield statementMessage('halt', envelope)
}

function haveOf(held: readonly { rollout: Rollout; digest: string }[]): Message {
  return { type: 'have', rollouts: held.map(({ rollout, digest }) => ({ id: rollout.id, digest })) }
}
