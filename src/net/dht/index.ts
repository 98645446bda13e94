/**
 * dht: the private table of the network, a Kademlia over `/warren/kad/1.0.0` that only members are in: who provides what,
 * small signed records, and at what addresses a member is.
 *
 * Other features reach it as `network.dht`. It never touches the public table, keeps nothing on disk, and gives hints, not
 * truths: that somebody provides a package says nothing about the package. It works over the connections that the network
 * makes, whatever their path, and loads kad-dht only when it starts.
 *
 * ```ts
 * const dht = createDht({ host, signer, isMember, connected, isConnected, addressesOf, connect, seeds, reach, events, clock, log, counters })
 * await dht.start()
 * await dht.provide(digest)
 * for await (const peer of dht.findProviders(digest)) console.log(peer)
 * ```
 */
import { DistributedTable } from './distributed-table.ts'
import type { Dht, DhtInit } from './types.ts'

export { DHT_PROTOCOL } from './limits.ts'
export type {
  BootstrapOutcome,
  Dht,
  DhtInit,
  DhtRecord,
  DhtStatus,
  FindOptions,
  PutOptions,
} from './types.ts'

/** The table over a host; nothing is loaded or served before its `start`. See `Dht` for what it promises. */
export function createDht(init: DhtInit): Dht {
  return new DistributedTable(init)
}
