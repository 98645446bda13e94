import { createServer } from 'node:http'
import type { Rights, Router } from '../../api/index.ts'
import type { Network, Stream } from '../../net/index.ts'

/** One request a stream; the version is part of the id. */
export const API_PROTOCOL = '/warren/api/1'
/** Streams such as `logs --follow` stay open; a console of one person has a few at once (NET-12). */
const MAX_STREAMS_PER_PEER = 32
const MAX_HEADER_BYTES = 16 * 1024
const HEADERS_TIMEOUT_MS = 5000
/** How long a request that is still being answered may outlast the rights that it was allowed by. */
const RIGHTS_CHECK_MS = 2000

export interface PeerDoorOptions {
  readonly network: Network
  readonly router: Router
  readonly rightsOf: (peer: string) => Rights | undefined
  /** Resolves once the peer's roster was compared with ours, so that its rights are of today. */
  readonly whenExchanged: (peer: string) => Promise<void>
  /** Time for the headers of a request. Default 5 s. */
  readonly headersTimeoutMs?: number
  /** How often the rights of those who are being answered are looked at again. Default 2 s. */
  readonly rightsCheckMs?: number
}

/**
 * Serves the API to peers: ordinary HTTP over a network stream, answered by a server that does not listen. The caller
 * is the connection's authenticated peer, with its rights from the roster, and never what a header says; when these
 * change, what it is still being answered is reset. Gives the function that closes the door.
 */
export function openPeerDoor(options: PeerDoorOptions): () => void {
  const { network, router, whenExchanged, headersTimeoutMs = HEADERS_TIMEOUT_MS } = options
  const rightsOf = (peer: string): Rights => options.rightsOf(peer) ?? NO_RIGHTS
  const server = createServer({
    maxHeaderSize: MAX_HEADER_BYTES,
    requestTimeout: 0,
  })
  // More on one stream would be more at once than the limit of streams allows.
  server.maxRequestsPerSocket = 1
  // Node's own time-out for headers runs only in a server that listens.
  const timers = new WeakMap<object, NodeJS.Timeout>()
  const answering = new Map<Stream, string>()
  const rightsCheck = setInterval(() => {
    for (const [stream, rights] of answering) if (textOf(rightsOf(stream.peer)) !== rights) stream.destroy()
  }, options.rightsCheckMs ?? RIGHTS_CHECK_MS)
  rightsCheck.unref()
  server.on('request', async (request, response) => {
    const stream = request.socket as unknown as Stream
    const { peer } = stream
    clearTimeout(timers.get(stream))
    response.setHeader('connection', 'close')
    await whenExchanged(peer)
    const rights = rightsOf(peer)
    if (!stream.destroyed) answering.set(stream, textOf(rights))
    await router.handle(request, response, { door: 'peer', id: peer, rights })
  })
  const serve = (stream: Stream): void => {
    const timer = setTimeout(() => stream.destroy(), headersTimeoutMs)
    timers.set(stream, timer)
    stream.once('close', () => {
      clearTimeout(timer)
      answering.delete(stream)
    })
    server.emit('connection', stream)
  }
  const close = network.handle(API_PROTOCOL, serve, { maxStreamsPerPeer: MAX_STREAMS_PER_PEER })
  return () => {
    close()
    clearInterval(rightsCheck)
    server.close()
    server.closeAllConnections()
  }
}

/** Of a peer that the roster does not know: it may call nothing. */
const NO_RIGHTS: Rights = { role: 'member', grants: [] }

/** Equal for equal rights. */
function textOf(rights: Rights): string {
  return JSON.stringify(rights)
}
