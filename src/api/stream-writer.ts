import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import { toWarrenError, type WarrenError } from '../base/errors.ts'

/** A line of a stream on the wire. */
export type StreamLineMessage =
  | { event: unknown }
  | { heartbeat: true }
  | { end: true }
  | { error: { code: string; message: string; hint: string | null }; status: number }

/**
 * Writes events as JSON lines as fast as the reader takes them, with heartbeats between, and an end or an error as the
 * last line. Stops pulling, and closes the iterator, when the signal fires. Gives the error that it ended with, if any;
 * fails, with nothing written, where the first event does.
 */
export async function writeStream(
  response: ServerResponse,
  events: AsyncIterable<unknown>,
  { signal, heartbeatMs }: { signal: AbortSignal; heartbeatMs: number },
): Promise<WarrenError | undefined> {
  const iterator = events[Symbol.asyncIterator]()
  // The first event decides between an error answer with its status and a stream that has begun.
  const first = iterator.next()
  const begun = await Promise.race([first.then(() => true), soon(heartbeatMs, signal)])
  if (begun) await first
  response.writeHead(200, { 'content-type': 'application/jsonl', 'cache-control': 'no-store' })
  response.flushHeaders()
  const heartbeat = setInterval(() => {
    if (response.writableLength === 0) response.write('{"heartbeat":true}\n')
  }, heartbeatMs)
  try {
    let next = first
    for (;;) {
      const { done, value } = await orDone(next, signal)
      if (signal.aborted || done === true) break
      await send(response, { event: value }, signal)
      next = iterator.next()
      next.catch(() => undefined)
    }
    if (!signal.aborted) await send(response, { end: true }, signal)
  } catch (thrown) {
    const error = toWarrenError(thrown)
    await send(response, { error: error.toJSON(), status: error.status }, signal).catch(() => undefined)
    return error
  } finally {
    clearInterval(heartbeat)
    // A generator that waits for its next event ends only when it looks at its own signal: not awaited.
    void Promise.resolve(iterator.return?.()).catch(() => undefined)
    response.end()
  }
  return undefined
}

/** The next result, or `done` as soon as the signal fires; leaves no listener behind, however long the stream. */
function orDone(next: Promise<IteratorResult<unknown>>, signal: AbortSignal): Promise<IteratorResult<unknown>> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => resolve({ done: true, value: undefined })
    if (signal.aborted) onAbort()
    signal.addEventListener('abort', onAbort, { once: true })
    next.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort))
  })
}

async function send(response: ServerResponse, line: StreamLineMessage, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return
  if (!response.write(`${JSON.stringify(line)}\n`)) await once(response, 'drain', { signal }).catch(() => undefined)
}

/** Resolves to false after a short while, so that a stream whose first event is late still gets its headers out. */
function soon(heartbeatMs: number, signal: AbortSignal): Promise<false> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve(false), Math.min(heartbeatMs, 250))
    signal.addEventListener(
      'abort',
      () => {
        clearTimeout(timer)
        resolve(false)
      },
      { once: true },
    )
  })
}
