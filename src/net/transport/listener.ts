import type { RequestListener } from 'node:http'
import { createServer, type Server, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { TLSSocket } from 'node:tls'
import { type Connection, type Listener, type ListenerEvents, TypedEventEmitter } from '@libp2p/interface'
import { getThinWaistAddresses } from '@libp2p/utils'
import type { Multiaddr } from '@multiformats/multiaddr'
import type { ConnectionKind } from '../channel.ts'
import type { PendingConnections } from '../pending.ts'
import { INBOUND_HANDSHAKE_MS } from './limits.ts'
import { type OuterCertificate, outerContext } from './outer-certificate.ts'
import { addressOfSocket, type Dress, tcpAddress } from './sockets.ts'
import { createWebDoor, type WebDoor } from './websocket.ts'

/** What else a port answers; both are for relays. */
export interface Doors {
  /** Answers `GET /healthz`. */
  health?: RequestListener | undefined
  /** Takes over a connection that begins like a STUN message, with its limits; its bytes are still in it. */
  stun?: ((socket: Socket) => void) | undefined
}

interface Inbound {
  readonly address: string
  /** Fires when the time for the handshake is over, or the listener closes. */
  readonly handshakeSignal: AbortSignal
  /** Fires when the listener closes. */
  readonly signal: AbortSignal
}

export interface ListenerInit {
  pending: PendingConnections
  doors: Doors
  outer: OuterCertificate | undefined
  /** Makes a connection of a channel on which native TLS comes next. */
  upgrade: (channel: Duplex, inbound: Inbound & { kind: ConnectionKind }) => Promise<Connection>
  /** Makes a connection of a socket on which libp2p's own negotiation comes next. */
  negotiate: (socket: Socket, inbound: Inbound) => Promise<void>
}

/** A connection on its way. */
interface Arrival extends Inbound {
  readonly socket: Socket
  /** Whoever secures it bounds its time from then on; the talk about admission takes longer than a handshake. */
  handedOn: boolean
  /** Ends its counting. */
  done(): void
}

/** One TCP port that tells what each connection is by its first byte. */
export class PortListener extends TypedEventEmitter<ListenerEvents> implements Listener {
  readonly #init: ListenerInit
  readonly #sockets = new Set<Socket>()
  readonly #closing = new AbortController()
  #server: Server | undefined
  #address: Multiaddr | undefined
  #dress: Dress = 'bare'
  #web: Promise<WebDoor> | undefined
  readonly #arrivals = new WeakMap<Socket, Arrival>()
  #outer: Promise<Awaited<ReturnType<typeof outerContext>>> | undefined

  constructor(init: ListenerInit) {
    super()
    this.#init = init
  }

  async listen(address: Multiaddr): Promise<void> {
    const where = tcpAddress(address)
    if (where === undefined) throw new Error(`${address} is not supported`)
    this.#address = address
    this.#dress = where.dress
    // A certificate that cannot be read is told at the start.
    if (where.dress === 'tls/ws') await this.#outerContext()
    const { host, port, family } = where.endpoint
    const server = createServer({ noDelay: true, keepAlive: true, pauseOnConnect: false }, (socket) =>
      this.#take(socket),
    )
    this.#server = server
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen({ host, port, ipv6Only: family === 6 }, () => {
        server.off('error', reject)
        resolve()
      })
    })
    server.on('error', (error) => this.safeDispatchEvent('error', { detail: error }))
    server.on('close', () => this.safeDispatchEvent('close'))
    this.safeDispatchEvent('listening')
  }

  getAddrs(): Multiaddr[] {
    const bound = this.#server?.address()
    if (this.#address === undefined || bound === null || typeof bound !== 'object') return []
    const plain = getThinWaistAddresses(this.#address, bound.port)
    return this.#dress === 'bare' ? plain : plain.map((address) => address.encapsulate(`/${this.#dress}`))
  }

  /** Addresses are given by the configuration alone. */
  updateAnnounceAddrs(): void {}

  async close(): Promise<void> {
    this.#closing.abort(new Error('the listener is closed'))
    const server = this.#server
    if (server === undefined) return
    const closed = new Promise<void>((resolve) => server.close(() => resolve()))
    for (const socket of this.#sockets) socket.destroy()
    await closed
  }

  #take(socket: Socket): void {
    socket.on('error', () => undefined)
    const address = addressOfSocket(socket)
    const end = address === undefined ? undefined : this.#init.pending.begin(address)
    if (address === undefined || end === undefined || this.#closing.signal.aborted) {
      end?.()
      socket.destroy()
      return
    }
    this.#sockets.add(socket)
    const late = new AbortController()
    const timer = setTimeout(() => {
      late.abort(new Error('the handshake took too long'))
      if (!arrival.handedOn) socket.destroy()
    }, INBOUND_HANDSHAKE_MS)
    const done = (): void => {
      clearTimeout(timer)
      end()
    }
    socket.once('close', () => {
      this.#sockets.delete(socket)
      done()
    })
    const { signal } = this.#closing
    const handshakeSignal = AbortSignal.any([late.signal, signal])
    const arrival: Arrival = { socket, address, signal, handshakeSignal, done, handedOn: false }
    this.#arrivals.set(socket, arrival)
    onFirstByte(socket, (byte) => this.#sort(byte, arrival))
  }

  #sort(byte: number, arrival: Arrival): void {
    const { socket } = arrival
    if (this.#dress === 'tls/ws') {
      if (byte === FIRST.tls) void this.#undress(arrival)
      else socket.destroy()
    } else if (byte === FIRST.http) void this.#browse(socket, arrival)
    else if (this.#dress === 'ws') socket.destroy()
    else if (byte === FIRST.tls) void this.#secure(socket, 'tcp', arrival)
    else if (byte === FIRST.multistream) void this.#negotiate(arrival)
    else if (byte <= FIRST.lastStun && this.#init.doors.stun !== undefined) {
      arrival.done()
      this.#init.doors.stun(socket)
    } else socket.destroy()
  }

  async #secure(channel: Duplex, kind: ConnectionKind, arrival: Arrival): Promise<void> {
    const { address, handshakeSignal, signal } = arrival
    await this.#settle(arrival, this.#init.upgrade(channel, { address, handshakeSignal, signal, kind }))
  }

  async #negotiate(arrival: Arrival): Promise<void> {
    await this.#settle(arrival, this.#init.negotiate(arrival.socket, arrival))
  }

  /** Whoever fails again and again is heard seldom; a refusal of the proof is counted by who refuses. */
  async #settle(arrival: Arrival, upgraded: Promise<unknown>): Promise<void> {
    const { socket, address, done } = arrival
    arrival.handedOn = true
    try {
      await upgraded
      done()
    } catch (error) {
      if ((error as Error).name === 'HandshakeError') this.#init.pending.failed(address)
      socket.destroy()
    }
  }

  async #browse(stream: Socket, arrival: Arrival): Promise<void> {
    this.#web ??= createWebDoor({
      health: this.#init.doors.health,
      onChannel: (channel, below) => {
        const known = this.#arrivals.get(below)
        if (known === undefined) channel.destroy()
        else void this.#secure(channel, 'websocket', known)
      },
    })
    const web = await this.#web
    this.#arrivals.set(stream, arrival)
    if (!stream.destroyed) web.take(stream)
  }

  async #undress(arrival: Arrival): Promise<void> {
    const { socket } = arrival
    const secureContext = await this.#outerContext()
    if (socket.destroyed) return
    const outer = new TLSSocket(socket, { isServer: true, secureContext, ALPNProtocols: ['http/1.1'] })
    outer.on('error', () => socket.destroy())
    outer.once('close', () => socket.destroy())
    onFirstByte(outer, (byte) => {
      if (byte === FIRST.http) void this.#browse(outer, arrival)
      else socket.destroy()
    })
  }

  #outerContext(): ReturnType<typeof outerContext> {
    this.#outer ??= outerContext(this.#init.outer)
    return this.#outer
  }
}

/** How each kind of connection begins. STUN's first two bits are 0, and its types of message are below 0x0200. */
const FIRST = { tls: 0x16, multistream: 0x13, http: 'G'.charCodeAt(0), lastStun: 0x01 } as const

/** Looks at the first byte and leaves it where it is; a connection that ends before is destroyed. */
function onFirstByte(socket: Socket, use: (byte: number) => void): void {
  const look = (): void => {
    const bytes: Buffer | null = socket.read()
    if (bytes === null) {
      if (socket.readableEnded || socket.destroyed) socket.destroy()
      else socket.once('readable', look)
      return
    }
    socket.off('end', gone)
    socket.unshift(bytes)
    use(bytes[0] as number)
  }
  const gone = (): void => void socket.destroy()
  socket.once('end', gone)
  socket.once('readable', look)
}
