import type { IncomingMessage, RequestListener, Server } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { TLSSocket } from 'node:tls'
import type { WebSocket } from 'ws'
import { HandshakeError } from './handshake-error.ts'
import { INBOUND_HANDSHAKE_MS, MAX_WEBSOCKET_MESSAGE_BYTES } from './limits.ts'

const COMMON = { maxPayload: MAX_WEBSOCKET_MESSAGE_BYTES, perMessageDeflate: false } as const

interface WebDoorInit {
  /** A WebSocket was opened over a socket that came through `take`. */
  onChannel: (channel: Duplex, socket: Socket) => void
  /** Answers `GET /healthz`; without it there is nothing to read. */
  health: RequestListener | undefined
}

/** The HTTP side of a port: a WebSocket at `/`, and the health page. One request a connection. */
export interface WebDoor {
  /** Takes over a connection that begins with an HTTP request; whoever gives it bounds how long that may take. */
  take(socket: Socket): void
}

export async function createWebDoor({ onChannel, health }: WebDoorInit): Promise<WebDoor> {
  const [{ createServer }, { WebSocketServer, createWebSocketStream }] = await Promise.all([
    import('node:http'),
    import('ws'),
  ])
  const sockets = new WebSocketServer({ noServer: true, clientTracking: false, ...COMMON })
  const server: Server = createServer({ maxHeaderSize: 8 * 1024 }, (request, response) => {
    response.setHeader('Connection', 'close')
    if (request.method === 'GET' && request.url === '/healthz' && health !== undefined) health(request, response)
    else response.writeHead(404).end()
  })
  server.maxRequestsPerSocket = 1
  server.timeout = INBOUND_HANDSHAKE_MS
  server.on('clientError', (_error, socket) => socket.destroy())
  server.on('upgrade', (request: IncomingMessage, socket: Socket, head: Buffer) => {
    if (request.method !== 'GET' || request.url !== '/') return socket.destroy()
    socket.setTimeout(0)
    sockets.handleUpgrade(request, socket, head, (webSocket) => {
      onChannel(createWebSocketStream(webSocket), socket)
    })
    return undefined
  })
  sockets.on('wsClientError', (_error, socket) => socket.destroy())
  return { take: (socket) => void server.emit('connection', socket) }
}

/** Opens a WebSocket over a socket that was dialled. Rejects with `HandshakeError` or the signal's reason; the socket is then destroyed. */
export async function openWebSocket(socket: Socket | TLSSocket, host: string, signal: AbortSignal): Promise<Duplex> {
  const { WebSocket: Client, createWebSocketStream } = await import('ws')
  signal.throwIfAborted()
  const url = `ws://${host.includes(':') ? `[${host}]` : host}/`
  const client: WebSocket = new Client(url, { createConnection: () => socket, followRedirects: false, ...COMMON })
  return new Promise((resolve, reject) => {
    const fail = (error: Error): void => {
      signal.removeEventListener('abort', onAbort)
      client.on('error', () => undefined)
      client.terminate()
      socket.destroy()
      reject(error)
    }
    const onAbort = (): void => fail(signal.reason as Error)
    client.once('error', (error) => fail(new HandshakeError(`WebSocket: ${error.message}`, { cause: error })))
    client.once('close', () => fail(new HandshakeError('WebSocket: the other side closed the connection')))
    client.once('open', () => {
      signal.removeEventListener('abort', onAbort)
      client.removeAllListeners('error').removeAllListeners('close')
      resolve(createWebSocketStream(client))
    })
    signal.addEventListener('abort', onAbort, { once: true })
  })
}
