import type { Duplex } from 'node:stream'
import { connect, TLSSocket } from 'node:tls'
import type { PeerId } from '@libp2p/interface'
import { peerIdFromString } from '@libp2p/peer-id'
import { netErrors } from '../errors.ts'
import type { Direction } from '../types.ts'
import type { ContextSource } from './certificate.ts'
import { HandshakeError } from './handshake-error.ts'
import { peerOfCertificate } from './peer-certificate.ts'

/** What both sides name as the protocol inside, as libp2p's TLS does. */
const ALPN = 'libp2p'

interface SecureOptions {
  direction: Direction
  context: ContextSource
  /** The id that must answer; undefined where any may. */
  peer: string | undefined
  signal: AbortSignal
}

/** TLS 1.3 over a channel, and whose certificate the other side has shown. */
export interface Secured {
  readonly socket: TLSSocket
  readonly peer: string
  readonly peerId: PeerId
}

/**
 * Runs TLS 1.3 over a channel with libp2p's certificates on both sides. Rejects with `HandshakeError`, with
 * `peer_id_mismatch` where another node answers, or with the signal's reason; the channel is then destroyed.
 */
export async function secureChannel(channel: Duplex, options: SecureOptions): Promise<Secured> {
  // Its failures arrive at the TLS socket above it; one that nobody listens for must not end the process.
  channel.on('error', () => undefined)
  let socket: TLSSocket | undefined
  try {
    const { direction, context, signal } = options
    const secureContext = await context()
    signal.throwIfAborted()
    if (channel.destroyed) throw new HandshakeError('the connection was closed before it was secured')
    socket = wrap(channel, direction, secureContext)
    await handshake(socket, signal)
    return { socket, ...authenticate(socket, options.peer) }
  } catch (error) {
    socket?.destroy()
    channel.destroy()
    throw error
  }
}

function wrap(channel: Duplex, direction: Direction, secureContext: Awaited<ReturnType<ContextSource>>): TLSSocket {
  // Certificates are signed by their own key, so the chain says nothing; `authenticate` looks at what they contain.
  const common = { secureContext, ALPNProtocols: [ALPN], rejectUnauthorized: false }
  const socket =
    direction === 'outbound'
      ? connect({ socket: channel, ...common })
      : new TLSSocket(channel, { isServer: true, requestCert: true, ...common })
  socket.on('error', () => undefined)
  return socket
}

function handshake(socket: TLSSocket, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    let failure: Error | undefined
    const finish = (settle: () => void): void => {
      socket.off('secure', onSecure)
      socket.off('error', onError)
      socket.off('close', onClose)
      signal.removeEventListener('abort', onAbort)
      settle()
    }
    const onSecure = (): void => finish(resolve)
    const onError = (error: Error): void => {
      failure = error
      finish(() => reject(new HandshakeError(`TLS: ${error.message}`, { cause: error })))
    }
    const onClose = (): void => {
      finish(() => reject(new HandshakeError('TLS: the other side closed the connection', { cause: failure })))
    }
    const onAbort = (): void => finish(() => reject(signal.reason as Error))
    socket.once('secure', onSecure)
    socket.once('error', onError)
    socket.once('close', onClose)
    signal.addEventListener('abort', onAbort, { once: true })
    if (signal.aborted) onAbort()
  })
}

function authenticate(socket: TLSSocket, expected: string | undefined): Omit<Secured, 'socket'> {
  if (socket.alpnProtocol !== ALPN) throw new HandshakeError('TLS: the other side speaks another protocol inside')
  const { raw } = socket.getPeerX509Certificate() ?? {}
  if (raw === undefined) throw new HandshakeError('TLS: the other side shows no certificate')
  const peer = peerOfCertificate(raw)
  if (expected !== undefined && peer !== expected) throw netErrors.peer_id_mismatch('another node answers there')
  return { peer, peerId: peerIdFromString(peer) }
}
