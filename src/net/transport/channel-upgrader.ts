import type { Duplex } from 'node:stream'
import { TLSSocket } from 'node:tls'
import type {
  ComponentLogger,
  Connection,
  Libp2pEvents,
  PrivateKey,
  StreamMuxerFactory,
  TypedEventTarget,
  Upgrader,
} from '@libp2p/interface'
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import type { ChannelUpgrader, ConnectionKind, UpgradeOptions } from '../channel.ts'
import type { SecuredChannel } from '../talking-encrypter.ts'
import { type ContextSource, nodeContext } from './certificate.ts'
import { ChannelConnection } from './channel-connection.ts'
import { type Secured, secureChannel } from './secure-channel.ts'
import { TLS_PROTOCOL } from './tls-protocol.ts'

/** The parts of a libp2p host that a connection needs. */
export interface HostParts {
  readonly upgrader: Upgrader
  readonly logger: ComponentLogger
  readonly events: TypedEventTarget<Libp2pEvents>
}

/** What is known of a connection besides what libp2p tells. */
export interface ConnectionFacts {
  readonly kind: ConnectionKind
  /** The group of the key exchange, such as `X25519MLKEM768`; null on the side that cannot tell. */
  readonly keyExchange: string | null
}

interface LibraryUpgraderInit {
  parts: HostParts
  privateKey: PrivateKey
  /** Held on each secured channel before anything else; where it rejects, the channel is closed. */
  talk: (secured: SecuredChannel) => Promise<void>
}

/** What `upgrade` of the transport takes besides: a limit for TLS alone. */
type TimedUpgrade = UpgradeOptions & { readonly handshakeSignal?: AbortSignal }

/** The one `ChannelUpgrader`: node:tls, the talk, and libp2p's upgrader for the muxer. See `ChannelUpgrader`. */
export class TlsUpgrader implements ChannelUpgrader {
  readonly #init: LibraryUpgraderInit
  readonly #context: ContextSource
  /** By the multiaddr object that libp2p's connection keeps. */
  readonly #facts = new WeakMap<Multiaddr, ConnectionFacts>()

  constructor(init: LibraryUpgraderInit) {
    this.#init = init
    this.#context = nodeContext(init.privateKey)
  }

  async upgrade(channel: Duplex, options: TimedUpgrade): Promise<Connection> {
    const { direction, peer, signal, address } = options
    const secured = await secureChannel(channel, {
      direction,
      peer,
      context: this.#context,
      signal: options.handshakeSignal ?? signal,
    })
    const connection = new ChannelConnection({
      socket: secured.socket,
      channel,
      direction,
      remoteAddr: withPeer(address, secured.peer),
      log: this.#init.parts.logger.forComponent('warren:channel'),
    })
    this.#facts.set(connection.remoteAddr, { kind: options.kind, keyExchange: groupOf(secured.socket) })
    try {
      const facts = { peer: secured.peer, address, direction, signal, protocol: TLS_PROTOCOL }
      await this.#init.talk({ channel: connection, ...facts })
      return await this.#handOver(connection, secured, signal)
    } catch (error) {
      connection.abort(error as Error)
      throw error
    }
  }

  /** What is known of a connection; one that libp2p has secured is Noise. */
  describe(connection: Connection): ConnectionFacts {
    const known = this.#facts.get(connection.remoteAddr)
    return known ?? { kind: 'tcp', keyExchange: connection.encryption === '/noise' ? 'X25519' : null }
  }

  /** The muxer is agreed on already: there is one, and whoever has passed the talk has it. */
  async #handOver(connection: ChannelConnection, { peerId }: Secured, signal: AbortSignal): Promise<Connection> {
    const { upgrader } = this.#init.parts
    const muxerFactory = [...upgrader.getStreamMuxers().values()][0] as StreamMuxerFactory
    const options = {
      skipEncryption: true,
      skipProtection: true,
      remotePeer: peerId,
      muxerFactory,
      signal,
    } as const
    if (connection.direction === 'outbound') return upgrader.upgradeOutbound(connection, options)
    return this.#opened(connection.remoteAddr, () => upgrader.upgradeInbound(connection, options))
  }

  /** libp2p hands a connection that somebody else has dialled to its listeners alone. */
  async #opened(remoteAddr: Multiaddr, upgrade: () => Promise<void>): Promise<Connection> {
    const { events } = this.#init.parts
    let opened: Connection | undefined
    const onOpen = ({ detail }: CustomEvent<Connection>): void => {
      if (detail.remoteAddr === remoteAddr) opened = detail
    }
    events.addEventListener('connection:open', onOpen)
    try {
      await upgrade()
    } finally {
      events.removeEventListener('connection:open', onOpen)
    }
    if (opened === undefined) throw new Error('the connection was closed while it was opened')
    return opened
  }
}

function withPeer(address: string, peer: string): Multiaddr {
  const parsed = multiaddr(address)
  const last = parsed.getComponents().at(-1)
  return last?.name === 'p2p' ? parsed : parsed.encapsulate(`/p2p/${peer}`)
}

function groupOf(socket: Duplex): string | null {
  if (!(socket instanceof TLSSocket)) return null
  const info = socket.getEphemeralKeyInfo() as { name?: string } | null
  return info?.name ?? null
}
