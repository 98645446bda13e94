import type { IncomingMessage } from 'node:http'
import { apiErrors } from './errors.ts'

/** NET-12: a message is at most 1 MiB unless its call says otherwise. */
const MAX_BODY_BYTES = 1024 * 1024

/** A body of 1 MiB on a link of 50 KB/s; who takes longer would hold memory for nothing. */
const BODY_TIMEOUT_MS = 30_000

/**
 * The JSON of a request's body. Fails with `request_too_large` before more than the limit was read, `request_invalid` for
 * bad JSON, and `connection_lost` where the caller leaves, or takes longer than `timeoutMs`.
 */
export async function readJsonBody(
  request: IncomingMessage,
  {
    maxBytes = MAX_BODY_BYTES,
    timeoutMs = BODY_TIMEOUT_MS,
  }: { maxBytes?: number | undefined; timeoutMs?: number } = {},
): Promise<unknown> {
  const parts: Uint8Array[] = []
  const timer = setTimeout(
    () => request.destroy(apiErrors.connection_lost(`the body did not come within ${timeoutMs} ms`)),
    timeoutMs,
  )
  try {
    for await (const part of uploadOf(request, maxBytes)) parts.push(part)
  } finally {
    clearTimeout(timer)
  }
  const text = Buffer.concat(parts).toString('utf8')
  if (text.trim() === '') return {}
  try {
    return JSON.parse(text)
  } catch (error) {
    throw apiErrors.request_invalid('the body is not JSON', { cause: error })
  }
}

/** The bytes of a request's body, at most `maxBytes` of them; ends with `connection_lost` when the caller leaves early. */
export async function* uploadOf(request: IncomingMessage, maxBytes: number): AsyncGenerator<Uint8Array> {
  const announced = Number(request.headers['content-length'] ?? 0)
  if (announced > maxBytes) throw tooLarge(announced, maxBytes)
  let received = 0
  try {
    // Leaving the loop must not close the socket: the reason has yet to be said on it.
    for await (const part of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Uint8Array>) {
      received += part.byteLength
      if (received > maxBytes) throw tooLarge(received, maxBytes)
      yield part
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ECONNRESET') throw error
    throw apiErrors.connection_lost(`the caller left after ${received} bytes of the body`, { cause: error })
  }
}

function tooLarge(bytes: number, maxBytes: number): Error {
  return apiErrors.request_too_large(`a body of ${bytes} bytes or more; the limit of this call is ${maxBytes}`)
}
