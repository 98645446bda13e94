import { createServer } from 'node:http'
import type { Role, Router } from '../../api/index.ts'
import type { Network, Stream } from '../../net/index.ts'

/** One request a stream; the version is part of the id. */
export const API_PROTOCOL = '/warren/api/1'
/** Streams such as `logs --follow` stay open; a console of one person has a few at once (NET-12). */
const MAX_STREAMS_PER_PEER = 32
const MAX_HEADER_BYTES = 16 * 1024
const HEADERS_TIMEOUT_MS = 5000

export interface PeerDoorOptions {
  readonly network: Network
  readonly router: Router
  readonly roleOf: (peer: string) => Role | undefined
  /** Resolves once the peer's roster was compared with ours, so that its role is of today. */
  readonly whenExchanged: (peer: string) => Promise<void>
}

/**
 * Serves the API to peers: ordinary HTTP over a network stream, answered by a server that does not listen. The caller
 * is the connection's authenticated peer, with its role from the roster, and never what a header says. Gives the
 * function that closes the door.
 */
export function openPeerDoor({ network, router, roleOf, whenExchanged }: PeerDoorOptions): () => void {
  const server = createServer({
    maxHeaderSize: MAX_HEADER_BYTES,
    headersTimeout: HEADERS_TIMEOUT_MS,
    requestTimeout: 0,
    keepAlive: false,
  })
  server.on('request', async (request, response) => {
    const { peer } = request.socket as unknown as Stream
    await whenExchanged(peer)
    await router.handle(request, response, { door: 'peer', id: peer, role: roleOf(peer) ?? 'member' })
  })
  const close = network.handle(API_PROTOCOL, (stream) => void server.emit('connection', stream), {
    maxStreamsPerPeer: MAX_STREAMS_PER_PEER,
  })
  return () => {
    close()
    server.close()
    server.closeAllConnections()
  }
}
