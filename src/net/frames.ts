import type { Duplex, Writable } from 'node:stream'
import { netErrors } from './errors.ts'

/** Longest message unless the protocol says otherwise (NET-12). */
export const DEFAULT_MESSAGE_BYTES = 1024 * 1024
const LENGTH_BYTES = 4
/** A message up to this size is written in one piece: the most that Yamux and TLS put into one frame each. */
const JOINED_BYTES = 16 * 1024

/** Limits of reading a message. */
export interface ReadMessageOptions {
  /** Longest message taken; a longer one is refused by its announced length. Default 1 MiB. */
  maxBytes?: number
  /** Ends the waiting; rejects with its reason. The stream is left open. */
  signal?: AbortSignal | undefined
}

/**
 * Writes one message, four bytes of length before it; an object is sent as JSON. Resolves when the stream takes more,
 * so that awaiting it keeps the sender at the reader's pace. Rejects with the error of the stream.
 */
export function sendMessage(stream: Writable, message: Uint8Array | object): Promise<void> {
  return sendParts(stream, [message instanceof Uint8Array ? message : Buffer.from(JSON.stringify(message))])
}

/** As `sendMessage`, for a message whose bytes are in several pieces. */
export function sendParts(stream: Writable, parts: readonly Uint8Array[]): Promise<void> {
  const size = parts.reduce((sum, part) => sum + part.length, 0)
  const length = Buffer.alloc(LENGTH_BYTES)
  length.writeUInt32BE(size)
  const pieces = [length, ...parts.filter((part) => part.length > 0)]
  // Few bytes are cheaper to copy than to send in pieces; many are not.
  if (size <= JOINED_BYTES) pieces.splice(0, pieces.length, Buffer.concat(pieces))
  const last = pieces.pop()
  return new Promise((resolve, reject) => {
    stream.cork()
    for (const piece of pieces) stream.write(piece)
    stream.write(last, (error) => (error ? reject(error) : resolve()))
    stream.uncork()
  })
}

/**
 * The next message; undefined where the stream has ended between two. What follows it stays in the stream, so that
 * raw bytes may come after a message. Fails with `message_too_large` before it has read any of it, with
 * `message_incomplete`, and as the stream fails.
 */
export async function readMessage(
  stream: Duplex,
  { maxBytes = DEFAULT_MESSAGE_BYTES, signal }: ReadMessageOptions = {},
): Promise<Buffer | undefined> {
  const length = await readExactly(stream, LENGTH_BYTES, signal)
  if (length === undefined) return undefined
  const size = length.readUInt32BE()
  if (size > maxBytes) {
    throw netErrors.message_too_large(`a message of ${size} bytes; at most ${maxBytes} are taken here`)
  }
  if (size === 0) return Buffer.alloc(0)
  const body = await readExactly(stream, size, signal)
  if (body === undefined) throw incomplete()
  return body
}

/** The messages in order until the stream ends between two; fails as `readMessage`. Leaving the loop leaves the stream open. */
export async function* readMessages(stream: Duplex, options: ReadMessageOptions = {}): AsyncGenerator<Buffer> {
  for (;;) {
    const message = await readMessage(stream, options)
    if (message === undefined) return
    yield message
  }
}

/** Exactly `size` bytes, or undefined where the stream has ended before the first of them. */
function readExactly(stream: Duplex, size: number, signal: AbortSignal | undefined): Promise<Buffer | undefined> {
  return new Promise((resolve, reject) => {
    const finish = (settle: () => void): void => {
      stream.off('readable', attempt)
      stream.off('end', attempt)
      stream.off('error', onError)
      stream.off('close', onClose)
      signal?.removeEventListener('abort', onAbort)
      settle()
    }
    const onError = (error: Error): void => finish(() => reject(error))
    const onClose = (): void => finish(() => reject(stream.errored ?? incomplete()))
    const onAbort = (): void => finish(() => reject(signal?.reason))
    const attempt = (): void => {
      const bytes = stream.read(size) as Buffer | null
      // A stream that has ended hands out what is left, however short.
      if (bytes !== null) finish(() => (bytes.length === size ? resolve(bytes) : reject(incomplete())))
      else if (stream.readableEnded) finish(() => resolve(undefined))
    }
    if (signal?.aborted) return reject(signal.reason)
    if (stream.errored) return reject(stream.errored)
    stream.on('readable', attempt)
    stream.on('end', attempt)
    stream.on('error', onError)
    stream.on('close', onClose)
    signal?.addEventListener('abort', onAbort, { once: true })
    if (stream.destroyed && !stream.readableEnded) return onClose()
    attempt()
  })
}

function incomplete(): Error {
  return netErrors.message_incomplete('the stream ended in the middle of a message')
}
