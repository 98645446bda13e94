import { request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http'
import { pipeline } from 'node:stream/promises'
import { apiErrors, endAnswer, writeError } from '../../api/index.ts'
import { toWarrenError } from '../../base/errors.ts'
import type { Network } from '../../net/index.ts'
import type { Directory } from '../directory.ts'
import { memberErrors } from '../errors.ts'
import { API_PROTOCOL } from './peer-door.ts'

const OPEN_TIMEOUT_MS = 10_000

export interface ForwardTarget {
  /** Name, id, or unique part of an id, percent-encoded as in the header. */
  readonly node: string
  /** Answers the request here. */
  readonly answer: () => void
}

/**
 * Passes a request of the local door on to another node (`--node`), and its answer back, as they are. The node sees
 * this node as the caller. A request for this node itself is given to `answer`. Answers `request_invalid`,
 * `node_not_found`, `peer_refused` or `node_unreachable` where it cannot.
 */
export function createForwarder({ network, directory }: { network: Network; directory: Directory }) {
  return async (request: IncomingMessage, response: ServerResponse, { node, answer }: ForwardTarget): Promise<void> => {
    try {
      const { id, name } = directory.resolve(decodeName(node))
      if (id === network.id) return answer()
      const stream = await network
        .open(id, API_PROTOCOL, { signal: AbortSignal.timeout(OPEN_TIMEOUT_MS) })
        .catch((error) => {
          // Trying again is of no use, which a stream that is resumed must know.
          if (toWarrenError(error).code === 'peer_refused') throw error
          throw memberErrors.node_unreachable(`${name} cannot be reached: ${error.message}`, {
            cause: error,
            hint: 'See its state: warren nodes',
          })
        })
      const { authorization: _cookie, 'warren-node': _node, ...headers } = request.headers
      const passed = httpRequest({
        method: request.method,
        path: request.url,
        headers: { ...headers, connection: 'close' },
        createConnection: () => stream,
      })
      response.once('close', () => passed.destroy())
      request.pipe(passed)
      const answered = await new Promise<IncomingMessage>((resolve, reject) => {
        passed.once('response', resolve)
        // Also where it ends in order but without an answer, as after one that switches protocols.
        const fail = (cause?: unknown): void =>
          reject(memberErrors.node_unreachable(`${name} gave no answer`, { cause, hint: 'Try again.' }))
        passed.on('error', fail)
        passed.once('close', () => fail())
      })
      // One that has answered may stop to listen; what the caller still sends is then dropped.
      passed.once('close', () => request.unpipe(passed).resume())
      response.writeHead(answered.statusCode ?? 502, answered.headers)
      response.flushHeaders()
      await pipeline(answered, response, { end: false })
      endAnswer(response)
    } catch (error) {
      writeError(response, toWarrenError(error))
    }
  }
}

function decodeName(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch (cause) {
    throw apiErrors.request_invalid(`the header warren-node is not percent-encoded: ${text}`, { cause })
  }
}
