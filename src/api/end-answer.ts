import type { ServerResponse } from 'node:http'

/** Time for a caller that still sends to see the answer and stop. */
const LINGER_MS = 2000

/**
 * Ends an answer whose bytes are all written. Where the body of the request still comes, it is read and dropped first,
 * for a while: a socket that is closed under a sender fails its next write, and the answer is lost to it.
 */
export function endAnswer(response: ServerResponse): void {
  const request = response.req
  if (request.complete || request.destroyed) {
    response.end()
    return
  }
  const end = (): void => {
    clearTimeout(timer)
    response.end()
  }
  const timer = setTimeout(end, LINGER_MS)
  request.once('end', end)
  request.once('close', end)
  request.resume()
}
