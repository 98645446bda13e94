import { lookup } from 'node:dns'
import { connect as connectSocket, type LookupFunction, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import {
  type Connection,
  type CreateListenerOptions,
  type DialTransportOptions,
  type Listener,
  type PrivateKey,
  serviceCapabilities,
  type Transport,
  transportSymbol,
} from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'
import { WarrenError } from '../../base/errors.ts'
import { carryCode } from '../dial-errors.ts'
import type { PendingConnections } from '../pending.ts'
import type { SecuredChannel } from '../talking-encrypter.ts'
import { ChannelConnection } from './channel-connection.ts'
import { type HostParts, TlsUpgrader } from './channel-upgrader.ts'
import { HandshakeError } from './handshake-error.ts'
import { CONNECT_TIMEOUT_MS, OUTBOUND_HANDSHAKE_MS } from './limits.ts'
import { type Doors, PortListener } from './listener.ts'
import type { OuterCertificate } from './outer-certificate.ts'
import { type Endpoint, tcpAddress } from './sockets.ts'
import { openWebSocket } from './websocket.ts'

/** Ways of securing a connection on the one port; the order is that in which they are tried. */
export type Way = 'tls' | 'noise' | 'websocket'

export interface TransportInit {
  privateKey: PrivateKey
  /** Held on each channel that node:tls has secured; Noise has it in its encrypter. */
  talk: (secured: SecuredChannel) => Promise<void>
  /** True where an encrypter has secured this connection, so that its failure is no handshake's. */
  wasSecured: (connection: object) => boolean
  ways: readonly Way[]
  /** Counts connections on their way; undefined for a host that does not listen. */
  pending?: PendingConnections | undefined
  doors?: Doors | undefined
  outer?: OuterCertificate | undefined
  /** Address of this machine that dials come from. */
  localAddress?: string | undefined
}

/** How one address is dialled. */
export interface DialOptions extends Pick<DialTransportOptions, 'signal'> {
  /** Whether the name in the address may lead to this IP address; by default to any. */
  readonly mayReach?: ((host: string) => boolean) | undefined
}

/** A dial on one socket. */
interface Dial extends DialOptions {
  readonly address: Multiaddr
  readonly endpoint: Endpoint
  readonly peer: string | undefined
  /** Bounds the handshake alone. */
  readonly handshakeSignal: AbortSignal
}

/** TCP as libp2p's transport: native TLS, Noise and WebSocket on one port. */
export class PortTransport implements Transport {
  readonly [transportSymbol] = true as const
  readonly [Symbol.toStringTag] = 'warren-port'
  readonly [serviceCapabilities] = ['@libp2p/transport']
  readonly upgrader: TlsUpgrader
  readonly #init: TransportInit
  readonly #parts: HostParts

  constructor(parts: HostParts, init: TransportInit) {
    this.#init = init
    this.#parts = parts
    this.upgrader = new TlsUpgrader({ parts, privateKey: init.privateKey, talk: init.talk })
  }

  /** A connection to one address. The code of a failed talk is in the message, as everywhere in libp2p. */
  async dial(address: Multiaddr, { signal, mayReach }: DialOptions): Promise<Connection> {
    const where = tcpAddress(address)
    if (where === undefined) throw new Error(`${address} cannot be dialled`)
    const peer = address.getComponents().findLast((component) => component.name === 'p2p')?.value
    const tried = { address, endpoint: where.endpoint, peer, signal, mayReach }
    const ways = where.dress === 'bare' ? this.#init.ways : [where.dress]
    const failures: Error[] = []
    for (const way of ways) {
      try {
        return await this.#dialBy(way, tried)
      } catch (error) {
        if (error instanceof WarrenError) throw carryCode(error)
        if (!(error instanceof HandshakeError) || signal.aborted) throw error
        failures.push(error)
      }
    }
    throw failures.length === 1 ? failures[0] : new AggregateError(failures, failures.map(String).join('; '))
  }

  createListener(_options: CreateListenerOptions): Listener {
    const { pending, doors = {}, outer } = this.#init
    if (pending === undefined) throw new Error('this host does not listen')
    return new PortListener({
      pending,
      doors,
      outer,
      upgrade: (channel, inbound) => this.upgrader.upgrade(channel, { direction: 'inbound', ...inbound }),
      negotiate: (socket, { signal, address }) => this.#negotiateInbound(socket, address, signal),
    })
  }

  listenFilter(addresses: Multiaddr[]): Multiaddr[] {
    return addresses.filter((address) => tcpAddress(address) !== undefined)
  }

  dialFilter(addresses: Multiaddr[]): Multiaddr[] {
    return this.listenFilter(addresses)
  }

  async #dialBy(way: Way | 'ws' | 'tls/ws', tried: Omit<Dial, 'handshakeSignal'>): Promise<Connection> {
    const socket = await this.#connect(tried.endpoint, tried)
    const time = new AbortController()
    const timer = setTimeout(
      () => time.abort(new HandshakeError(`${way}: no answer to the handshake`)),
      OUTBOUND_HANDSHAKE_MS,
    )
    const dial = { ...tried, handshakeSignal: AbortSignal.any([time.signal, tried.signal]) }
    try {
      if (way === 'tls') return await this.#secure(socket, 'tcp', dial)
      if (way === 'noise') return await this.#negotiate(socket, dial)
      return await this.#dialWebSocket(socket, way === 'tls/ws', dial)
    } catch (error) {
      socket.destroy()
      throw error
    } finally {
      clearTimeout(timer)
    }
  }

  #connect({ host, port, family }: Endpoint, { signal, mayReach }: DialOptions): Promise<Socket> {
    const { localAddress } = this.#init
    return new Promise((resolve, reject) => {
      signal.throwIfAborted()
      const socket = connectSocket({
        host,
        port,
        family,
        noDelay: true,
        keepAlive: true,
        ...(localAddress === undefined ? {} : { localAddress }),
        ...(mayReach === undefined ? {} : { lookup: lookupWithin(mayReach) }),
      })
      const finish = (error?: Error): void => {
        clearTimeout(timer)
        signal.removeEventListener('abort', onAbort)
        socket.off('connect', onConnect).off('error', finish)
        socket.on('error', () => undefined)
        if (error === undefined) resolve(socket)
        else {
          socket.destroy()
          reject(error)
        }
      }
      const onConnect = (): void => finish()
      const onAbort = (): void => finish(signal.reason as Error)
      const timer = setTimeout(() => {
        finish(Object.assign(new Error(`${host} did not answer`), { code: 'ETIMEDOUT' }))
      }, CONNECT_TIMEOUT_MS)
      socket.once('connect', onConnect).once('error', finish)
      signal.addEventListener('abort', onAbort, { once: true })
    })
  }

  async #secure(
    channel: Parameters<TlsUpgrader['upgrade']>[0],
    kind: 'tcp' | 'websocket',
    { address, ...dial }: Dial,
  ): Promise<Connection> {
    return this.upgrader.upgrade(channel, { direction: 'outbound', kind, address: address.toString(), ...dial })
  }

  async #dialWebSocket(socket: Socket, dressed: boolean, dial: Dial): Promise<Connection> {
    const { endpoint, handshakeSignal } = dial
    // The outer certificate is not looked at: the channel inside shows who answers.
    const carrier = dressed
      ? connectTls({
          socket,
          rejectUnauthorized: false,
          ALPNProtocols: ['http/1.1'],
          ...(endpoint.family === 0 ? { servername: endpoint.host } : {}),
        })
      : socket
    return this.#secure(await openWebSocket(carrier, endpoint.host, handshakeSignal), 'websocket', dial)
  }

  /** libp2p chooses Noise by its own negotiation, and holds the talk in its encrypter. */
  async #negotiate(socket: Socket, { address, signal, handshakeSignal }: Dial): Promise<Connection> {
    const connection = this.#raw(socket, 'outbound', address)
    try {
      return await this.#parts.upgrader.upgradeOutbound(connection, { signal: handshakeSignal })
    } catch (thrown) {
      connection.abort(thrown as Error)
      const error = thrown as Error
      if (this.#init.wasSecured(connection) || signal.aborted) throw error
      throw new HandshakeError(`Noise: ${error.message}`, { cause: error })
    }
  }

  async #negotiateInbound(socket: Socket, address: string, signal: AbortSignal): Promise<void> {
    const { multiaddr } = await import('@multiformats/multiaddr')
    const connection = this.#raw(socket, 'inbound', multiaddr(address))
    try {
      await this.#parts.upgrader.upgradeInbound(connection, { signal })
    } catch (thrown) {
      const error = thrown as Error
      connection.abort(error)
      throw this.#init.wasSecured(connection) ? error : new HandshakeError(`Noise: ${error.message}`, { cause: error })
    }
  }

  #raw(socket: Socket, direction: 'inbound' | 'outbound', remoteAddr: Multiaddr): ChannelConnection {
    const log = this.#parts.logger.forComponent('warren:channel')
    return new ChannelConnection({ socket, channel: socket, direction, remoteAddr, log })
  }
}

/** As the system's, without the addresses to which a name must not lead; fails where it leads to no others. */
function lookupWithin(mayReach: (host: string) => boolean): LookupFunction {
  return (name, options, callback) => {
    lookup(name, { ...options, all: true }, (error, found) => {
      if (error !== null) return callback(error, [])
      const allowed = found.filter(({ address }) => mayReach(address))
      const [first] = allowed
      if (first === undefined) {
        const message = `${name} leads to an address that is not dialled at the word of others`
        callback(Object.assign(new Error(message), { code: 'ENOTFOUND' }), [])
      } else if (options.all === true) callback(null, allowed)
      else callback(null, first.address, first.family)
    })
  }
}
