import type { PeerId, PeerInfo, Stream, StreamHandler } from '@libp2p/interface'
import { type KadDHT, type KadDHTComponents, Record as KadRecord, kadDHT, passthroughMapper } from '@libp2p/kad-dht'
import { peerIdFromString } from '@libp2p/peer-id'
import { hostLogger } from '../host-log.ts'
import type { ContactBook } from './contact-book.ts'
import type { StreamGuard } from './guarded-streams.ts'
import type { Kept } from './kept.ts'
import {
  DHT_PROTOCOL,
  LOOKUP_CONCURRENCY,
  LOOKUP_PATHS,
  MAX_INBOUND_STREAMS,
  MAX_OUTBOUND_STREAMS,
  MAX_RECORD_TTL_MS,
  REPLICAS,
  REQUEST_TIMEOUT_MS,
  SELF_LOOKUP_MS,
} from './limits.ts'
import { checkRecord, selectRecord } from './record.ts'
import type { DhtInit } from './types.ts'
import { NO_ADDRESS } from './usable-address.ts'

/** The parts of kad-dht's routing table that it does not show in its types. */
interface RoutingTable {
  readonly size: number
  add(peer: PeerId): Promise<void>
  remove(peer: PeerId): Promise<void>
  /** Asks whether a contact lives. */
  pingContact(contact: { peerId: PeerId }): Promise<boolean>
  readonly kb: {
    /** Asks whether a new contact is to be added. */
    verify(contact: { peerId: PeerId }): Promise<boolean>
    toIterable(): Iterable<{ peerId: PeerId }>
  }
}

/** What kad-dht has besides what its types show. */
interface Hidden {
  readonly routingTable: RoutingTable
  start(): Promise<void>
  stop(): Promise<void>
  addEventListener(name: 'peer', listener: (event: CustomEvent<PeerInfo>) => void): void
}

/** kad-dht in its place. */
export interface Library {
  readonly kad: KadDHT
  readonly table: RoutingTable
  start(): Promise<void>
  stop(): Promise<void>
  parsePeer(peer: string): PeerId
}

interface LibraryInit extends Pick<DhtInit, 'host' | 'isMember' | 'clock' | 'log'> {
  readonly kept: Kept
  readonly book: ContactBook
  readonly guard: StreamGuard
  /** May this peer be in the table now? */
  readonly isContact: (peer: string) => boolean
  readonly openStream: (peer: string, signal: AbortSignal | undefined) => Promise<Stream>
}

/**
 * kad-dht with everything around it ours: it keeps what `Kept` lets it, knows the addresses that the book gives, and opens
 * streams by the network's paths. Its own feed of contacts (identify, then a ping that is not repeated) is left out: see
 * docs/decisions/0012-dht.md.
 */
export function loadLibrary(init: LibraryInit): Library {
  const { isMember, clock } = init
  const validate = (key: Uint8Array, value: Uint8Array): Promise<void> =>
    Promise.resolve().then(() => void checkRecord(Buffer.from(key).toString(), value, { isMember, nowMs: clock.now() }))
  const refuse = (): Promise<never> => Promise.reject(new Error('no such records here'))
  const kad = kadDHT({
    protocol: DHT_PROTOCOL,
    clientMode: false,
    kBucketSize: REPLICAS,
    alpha: LOOKUP_CONCURRENCY,
    disjointPaths: LOOKUP_PATHS,
    // Who asks too early is told so by us; the library would wait for its first look around, for ever if need be.
    allowQueryWithZeroPeers: true,
    peerInfoMapper: passthroughMapper,
    validators: { warren: validate, pk: refuse },
    selectors: { warren: (_key, records) => Math.max(0, selectRecord(records)) },
    networkDialTimeout: { minTimeout: REQUEST_TIMEOUT_MS, maxTimeout: REQUEST_TIMEOUT_MS },
    maxInboundStreams: MAX_INBOUND_STREAMS,
    maxOutboundStreams: MAX_OUTBOUND_STREAMS,
    // We renew, by our own clock; the library's run would begin with what it finds on a disk.
    reprovide: { interval: MAX_RECORD_TTL_MS, threshold: 1 },
    initialQuerySelfInterval: SELF_LOOKUP_MS,
    querySelfInterval: SELF_LOOKUP_MS,
  })(componentsFor(init)) as KadDHT & Hidden
  const table = kad.routingTable
  const isContact = async ({ peerId }: { peerId: PeerId }): Promise<boolean> => init.isContact(peerId.toString())
  table.kb.verify = isContact
  table.pingContact = isContact
  kad.addEventListener('peer', ({ detail }) => init.book.hear(detail.id.toString(), detail.multiaddrs))
  return { kad, table, start: () => kad.start(), stop: () => kad.stop(), parsePeer: peerIdFromString }
}

/** Key and value out of the frame in which kad-dht stores a record. */
export function unframeRecord(framed: Uint8Array): { key: Uint8Array; value: Uint8Array } {
  const { key, value } = KadRecord.deserialize(framed)
  return { key, value }
}

function componentsFor({ host, log, kept, book, guard, openStream }: LibraryInit): KadDHTComponents {
  const used = {
    peerId: host.peerId,
    logger: hostLogger(log),
    events: new EventTarget(),
    datastore: kept.asDatastore(),
    peerStore: book.asPeerStore(),
    addressManager: {
      getAddresses: () => {
        const own = host.getMultiaddrs()
        return own.length === 0 ? [NO_ADDRESS] : own
      },
    },
    connectionManager: {
      openStream: (peer: PeerId, _protocol: string, { signal }: { signal?: AbortSignal } = {}) =>
        openStream(peer.toString(), signal),
      // Whether a member can be reached is for the network to find out, which knows more ways than its addresses.
      isDialable: async () => true,
    },
    registrar: {
      handle: (protocol: string, handler: StreamHandler, options: object) =>
        host.handle(protocol, guard.protect(handler), { ...options, runOnLimitedConnection: true }),
      unhandle: (protocol: string) => host.unhandle(protocol),
      register: async () => 'not used',
      unregister: () => undefined,
    },
    ping: { ping: async () => 0 },
  }
  return used as unknown as KadDHTComponents
}
