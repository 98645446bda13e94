import { generateKeyPairFromSeed } from '@libp2p/crypto/keys'
import { identify } from '@libp2p/identify'
import type { Libp2p as Libp2pHost, PeerDiscovery, PeerId, PeerInfo } from '@libp2p/interface'
import { noise } from '@libp2p/noise'
import { peerIdFromString } from '@libp2p/peer-id'
import { ping } from '@libp2p/ping'
import { tcp } from '@libp2p/tcp'
import { tls } from '@libp2p/tls'
import { yamux } from '@libp2p/yamux'
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'
import type { Logger } from '../base/log.ts'
import {
  ADDRESS_DIAL_TIMEOUT_MS,
  ADMISSION_ADDRESS_TIMEOUT_MS,
  DIAL_TIMEOUT_MS,
  INBOUND_CONNECTIONS_PER_SECOND,
  INITIAL_WINDOW_BYTES,
  MAX_CONNECTIONS,
  MAX_PENDING_CONNECTIONS,
  MAX_PING_STREAMS,
  MAX_STREAMS_PER_CONNECTION,
  MDNS_INTERVAL_MS,
  MDNS_SERVICE,
  STREAM_WINDOW_BYTES,
} from './constants.ts'
import { netErrors } from './errors.ts'
import { hostLogger } from './host-log.ts'
import { PendingConnections } from './pending.ts'
import { type ProvingInit, provingEncrypter } from './proving-encrypter.ts'
import { type SecuredChannel, talkingEncrypter } from './talking-encrypter.ts'
import type { NetworkInit } from './types.ts'

export type Host = Libp2pHost

interface HostInit extends ProvingInit {
  network: NetworkInit
  onDiscovered: (peer: string, addresses: string[]) => void
}

/** The libp2p host, not started. This is the only file that loads libp2p, and is itself loaded when a network starts. */
export async function createHost({ network, onDiscovered, ...init }: HostInit): Promise<Host> {
  const privateKey = await generateKeyPairFromSeed('Ed25519', network.privateKey)
  const pending = new PendingConnections(network.clock)
  const onRefused: HostInit['onRefused'] = (refusal) => {
    if (refusal.direction === 'inbound' && refusal.cause === 'proof') pending.failed(refusal.address)
    init.onRefused(refusal)
  }
  const proving = { ...init, onRefused }
  const encrypt = [provingEncrypter(tls(), proving), provingEncrypter(noise(), proving)]
  return createLibp2p({
    privateKey,
    start: false,
    nodeInfo: { name: 'warren', userAgent: network.agent },
    logger: hostLogger(network.log),
    addresses: {
      listen: network.listen.map((text) => parseAddress(text).toString()),
      appendAnnounce: (network.announce ?? []).map((text) => parseAddress(text).toString()),
    },
    transports: [tcp()],
    connectionEncrypters: encrypt,
    streamMuxers: [
      yamux({
        maxInboundStreams: MAX_STREAMS_PER_CONNECTION,
        maxOutboundStreams: MAX_STREAMS_PER_CONNECTION,
        maxEarlyStreams: MAX_STREAMS_PER_CONNECTION,
        // The table of connections has its own beat.
        enableKeepAlive: false,
        streamOptions: { initialStreamWindowSize: INITIAL_WINDOW_BYTES, maxStreamWindowSize: STREAM_WINDOW_BYTES },
      }),
    ],
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
      denyInboundConnection: (connection) => !pending.begin(connection),
      denyInboundUpgradedConnection: (_peer, connection) => {
        pending.end(connection)
        return false
      },
    },
    // The table of connections has its own beat, which forgives one miss.
    connectionMonitor: { enabled: false },
    peerDiscovery: network.mdns ? [await mdnsDiscovery(onDiscovered)] : [],
    services: {
      identify: identify(),
      ping: ping({ maxInboundStreams: MAX_PING_STREAMS, maxOutboundStreams: MAX_PING_STREAMS }),
    },
  }) as Promise<Host>
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
  return createLibp2p({
    privateKey: await generateKeyPairFromSeed('Ed25519', privateKey),
    start: false,
    logger: hostLogger(log),
    addresses: { listen: [] },
    transports: [tcp()],
    connectionEncrypters: [talkingEncrypter(tls(), talk), talkingEncrypter(noise(), talk)],
    // Never reached, but Noise agrees on one in its handshake, and fails where there is none in common.
    streamMuxers: [yamux()],
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
