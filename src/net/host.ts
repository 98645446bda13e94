import { generateKeyPairFromSeed } from '@libp2p/crypto/keys'
import { identify } from '@libp2p/identify'
import type {
  Connection,
  Libp2p as Libp2pHost,
  MessageStream,
  PeerDiscovery,
  PeerId,
  PeerInfo,
  PrivateKey,
} from '@libp2p/interface'
import { noise } from '@libp2p/noise'
import { peerIdFromString } from '@libp2p/peer-id'
import { ping } from '@libp2p/ping'
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'
import type { Logger } from '../base/log.ts'
import type { ChannelUpgrader, HearStranger } from './channel.ts'
import { ChannelDuplex } from './channel-duplex.ts'
import {
  ADDRESS_DIAL_TIMEOUT_MS,
  ADMISSION_ADDRESS_TIMEOUT_MS,
  DIAL_TIMEOUT_MS,
  INBOUND_CONNECTIONS_PER_SECOND,
  MAX_CONNECTIONS,
  MAX_PENDING_CONNECTIONS,
  MAX_PING_STREAMS,
  MDNS_INTERVAL_MS,
  MDNS_SERVICE,
  PASSAGE_BYTES,
} from './constants.ts'
import { dialError } from './dial-errors.ts'
import { netErrors } from './errors.ts'
import { fairly } from './fair-muxer.ts'
import { hostLogger } from './host-log.ts'
import { PendingConnections } from './pending.ts'
import { admissionTalk, type ProvingInit, provingEncrypter, provingTalk } from './proving-encrypter.ts'
import { type SecuredChannel, talkingEncrypter } from './talking-encrypter.ts'
import {
  type ConnectionFacts,
  type DialOptions,
  type Doors,
  frugalYamux,
  nodeContext,
  type OuterCertificate,
  PortTransport,
  type TransportInit,
  talkOver,
  type Way,
} from './transport/index.ts'
import type { NetworkInit } from './types.ts'

export type Host = Libp2pHost

interface HostInit extends ProvingInit {
  network: NetworkInit
  onDiscovered: (peer: string, addresses: string[]) => void
  /** Ways of securing a connection, in the order in which a dial tries them. */
  ways?: readonly Way[] | undefined
  /** What else the port answers. */
  doors?: Doors | undefined
  /** What addresses with `/tls/ws` show. */
  outer?: OuterCertificate | undefined
}

/** The libp2p host, not started, and what other rooms of `net` make connections with. */
export interface HostKit {
  readonly host: Host
  /** Makes connections of channels that did not come over this host's own port. */
  readonly upgrader: ChannelUpgrader
  /** What is known of a connection besides what libp2p tells. */
  describeConnection(connection: Connection): ConnectionFacts
  /**
   * Dials one address at once, past libp2p's queue of dials and its time-outs. `peer` must answer; undefined where the
   * address names it, or where any may. Rejects with the codes of `Network.connect`, or with the signal's reason.
   */
  dialAddress(address: Multiaddr, options: DialOptions & { peer?: string | undefined }): Promise<Connection>
  /** Hears a stranger that a relay has let through, about admission and nothing else. Rejects where it wants another thing. */
  hearStranger: HearStranger
}

const ALL_WAYS: readonly Way[] = ['tls', 'noise', 'websocket']

/** This is the only file that loads libp2p, and is itself loaded when a network starts. */
export async function createHost({ network, onDiscovered, ...init }: HostInit): Promise<HostKit> {
  const privateKey = await generateKeyPairFromSeed('Ed25519', network.privateKey)
  const pending = new PendingConnections(network.clock)
  const onRefused: HostInit['onRefused'] = (refusal) => {
    // What comes over a relay has the relay's address.
    const own = !refusal.address.includes('/p2p-circuit')
    if (own && refusal.direction === 'inbound' && refusal.cause === 'proof') pending.failed(refusal.address)
    init.onRefused(refusal)
  }
  const proving = { ...init, onRefused }
  const { ways = ALL_WAYS, doors, outer } = init
  const port = portOf({ privateKey, talk: provingTalk(proving), ways, pending, doors, outer })
  const host = (await createLibp2p({
    privateKey,
    start: false,
    nodeInfo: { name: 'warren', userAgent: network.agent },
    logger: hostLogger(network.log),
    addresses: {
      listen: network.listen.map((text) => parseAddress(text).toString()),
      appendAnnounce: (network.announce ?? []).map((text) => parseAddress(text).toString()),
    },
    transports: [port.transport],
    connectionEncrypters: [provingEncrypter(noise(), proving, port)],
    streamMuxers: [fairly(frugalYamux())],
    connectionManager: {
      inboundConnectionThreshold: INBOUND_CONNECTIONS_PER_SECOND,
      maxIncomingPendingConnections: MAX_PENDING_CONNECTIONS,
      maxConnections: MAX_CONNECTIONS,
      dialTimeout: DIAL_TIMEOUT_MS,
      addressDialTimeout: ADDRESS_DIAL_TIMEOUT_MS,
    },
    // Addresses come from other nodes too; the transport would also take paths of sockets on this machine.
    connectionGater: {
      denyDialMultiaddr: (address) => !isInternet(address),
    },
    // The table of connections has its own beat, which forgives one miss.
    connectionMonitor: { enabled: false },
    peerDiscovery: network.mdns ? [await mdnsDiscovery(onDiscovered)] : [],
    services: {
      // Peers say what there is to know of them in their first talk; see docs/protocols/addresses.md.
      identify: identify({ runOnConnectionOpen: false }),
      ping: ping({ maxInboundStreams: MAX_PING_STREAMS, maxOutboundStreams: MAX_PING_STREAMS }),
    },
  })) as Host
  const { upgrader } = port.made()
  const context = nodeContext(privateKey)
  const log = host.logger.forComponent('warren:passage')
  return {
    host,
    hearStranger: (channel, options) =>
      talkOver(channel, { direction: 'inbound', context, log, ...options }, admissionTalk(init)),
    upgrader,
    describeConnection: (connection) => upgrader.describe(connection),
    dialAddress: (address, options) => dialOne(port.made(), address, options),
  }
}

/** libp2p makes the transport itself, out of its own parts. */
function portOf(init: Omit<TransportInit, 'wasSecured'>) {
  let made: PortTransport | undefined
  const secured = new WeakSet<object>()
  const wasSecured = (connection: object): boolean => secured.has(connection)
  return {
    transport: (parts: ConstructorParameters<typeof PortTransport>[0]): PortTransport => {
      made = new PortTransport(parts, { ...init, wasSecured })
      return made
    },
    onSecured: (connection: MessageStream): void => void secured.add(connection),
    made: (): PortTransport => made as PortTransport,
  }
}

async function dialOne(
  transport: PortTransport,
  address: Multiaddr,
  { peer, ...options }: DialOptions & { peer?: string | undefined },
): Promise<Connection> {
  const named =
    peer === undefined || peerOfAddress(address) !== undefined ? address : address.encapsulate(`/p2p/${peer}`)
  try {
    return await transport.dial(named, options)
  } catch (error) {
    if (options.signal.aborted) throw options.signal.reason
    throw dialError(error, named.toString())
  }
}

interface AskThroughInit {
  /** The 32-byte seed of the node's Ed25519 key. */
  privateKey: Uint8Array
  /** Whom to ask, and its multiaddr over the relay. */
  peer: string
  address: string
  signal: AbortSignal
  log: Logger
}

/** Holds a talk with an admin over the channel with a relay that lets it through; see `talkOver`. */
export async function talkThrough<T>(
  relay: SecuredChannel,
  { privateKey, log, ...options }: AskThroughInit,
  talk: (secured: SecuredChannel) => Promise<T>,
): Promise<T> {
  const context = nodeContext(await generateKeyPairFromSeed('Ed25519', privateKey))
  const channel = new ChannelDuplex(relay.channel, { maxReadBytes: PASSAGE_BYTES })
  const inner = { direction: 'outbound', context, log: hostLogger(log).forComponent('warren:passage') } as const
  return talkOver(channel, { ...inner, ...options }, talk)
}

interface AskingHostInit {
  /** The 32-byte seed of the node's Ed25519 key. */
  privateKey: Uint8Array
  log: Logger
  /** The talk on each connection that it dials. It rejects in the end, for nothing comes after it. */
  talk: (secured: SecuredChannel) => Promise<void>
}

/** A host, not started, that listens to nothing, serves nothing, and holds one talk on each connection that it dials. */
export async function createAskingHost({ privateKey, log, talk }: AskingHostInit): Promise<Host> {
  const key: PrivateKey = await generateKeyPairFromSeed('Ed25519', privateKey)
  const port = portOf({ privateKey: key, talk, ways: ALL_WAYS })
  return createLibp2p({
    privateKey: key,
    start: false,
    logger: hostLogger(log),
    addresses: { listen: [] },
    transports: [port.transport],
    connectionEncrypters: [talkingEncrypter(noise(), talk, port)],
    // Never reached, but Noise agrees on one in its handshake, and fails where there is none in common.
    streamMuxers: [fairly(frugalYamux())],
    connectionGater: { denyDialMultiaddr: (address) => !isInternet(address) },
    // Whoever dials has a shorter time for what a dead address costs.
    connectionManager: {
      dialTimeout: ADMISSION_ADDRESS_TIMEOUT_MS,
      addressDialTimeout: ADMISSION_ADDRESS_TIMEOUT_MS,
    },
    connectionMonitor: { enabled: false },
  }) as Promise<Host>
}

/** A multiaddr on the Internet Protocol; fails with `address_invalid` naming the text. */
export function parseAddress(text: string): Multiaddr {
  const hint = 'An address looks like /ip4/192.0.2.7/tcp/9010'
  let address: Multiaddr
  try {
    address = multiaddr(text)
  } catch (cause) {
    throw netErrors.address_invalid(`"${text}" is no multiaddr`, { cause, hint })
  }
  if (isInternet(address)) return address
  throw netErrors.address_invalid(`"${text}" is no address of a node`, { hint })
}

function isInternet(address: Multiaddr): boolean {
  return ['ip4', 'ip6', 'dns', 'dns4', 'dns6', 'dnsaddr'].includes(address.getComponents()[0]?.name ?? '')
}

/** A libp2p peer id; fails with `address_invalid` naming the text. */
export function parsePeerId(text: string): PeerId {
  try {
    return peerIdFromString(text)
  } catch (cause) {
    throw netErrors.address_invalid(`"${text}" is no peer id`, { cause, hint: 'A peer id begins with 12D3Koo' })
  }
}

/** A multiaddr with the peer's id at its end, so that nobody else is taken for it. */
export function addressOfPeer(text: string, peer: string): Multiaddr {
  const address = parseAddress(text)
  return peerOfAddress(address) === undefined ? address.encapsulate(`/p2p/${peer}`) : address
}

/** The peer id at the end of a multiaddr; undefined where it names none. */
export function peerOfAddress(address: Multiaddr): string | undefined {
  return address.getComponents().findLast((component) => component.name === 'p2p')?.value
}

async function mdnsDiscovery(onDiscovered: HostInit['onDiscovered']) {
  const { mdns } = await import('@libp2p/mdns')
  const create = mdns({ serviceTag: MDNS_SERVICE, interval: MDNS_INTERVAL_MS })
  return (components: Parameters<typeof create>[0]): PeerDiscovery => {
    const discovery = create(components)
    discovery.addEventListener('peer', ({ detail }: CustomEvent<PeerInfo>) =>
      onDiscovered(detail.id.toString(), detail.multiaddrs.map(String)),
    )
    return discovery
  }
}
