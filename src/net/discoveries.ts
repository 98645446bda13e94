import type { Clock } from '../base/clock.ts'
import { TokenBuckets } from '../base/token-buckets.ts'
import type { AddressBook } from './address-book.ts'
import { DISCOVERY_RATE, MAX_DISCOVERED_ADDRESSES } from './constants.ts'
import { endpointOf, isOnSubnet, type Subnet, withoutPeer } from './path/address-words.ts'

interface DiscoveriesInit {
  readonly book: AddressBook
  /** The networks that this machine is on now. */
  subnets(): readonly Subnet[]
  isConnected(peer: string): boolean
  /** Tries to connect with a peer now. */
  want(peer: string): void
  readonly clock: Clock
}

/**
 * Peers that are announced on a local network. Anybody there can announce any peer anywhere, so what is heard is kept
 * apart from what peers say of themselves, is of that network alone, leaves room to try other addresses at the same time,
 * and has a peer dialled no more often than an honest announcement would.
 */
export class Discoveries {
  readonly #init: DiscoveriesInit
  readonly #rate: TokenBuckets

  constructor(init: DiscoveriesInit) {
    this.#init = init
    this.#rate = new TokenBuckets({ ...DISCOVERY_RATE, clock: init.clock })
  }

  /** Takes an announcement of a peer that may be dialled. */
  heard(peer: string, addresses: readonly string[]): void {
    const { book, subnets, isConnected, want } = this.#init
    if (isConnected(peer)) return
    const networks = subnets()
    const near = addresses.filter((address) => {
      const endpoint = endpointOf(withoutPeer(address))
      return endpoint?.isIp === true && isOnSubnet(endpoint.host, networks)
    })
    if (near.length === 0 || !this.#rate.take(peer)) return
    book.add(peer, near.slice(0, MAX_DISCOVERED_ADDRESSES), 'discovered')
    want(peer)
  }
}
