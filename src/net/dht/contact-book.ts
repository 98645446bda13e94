import type { PeerId } from '@libp2p/interface'
import type { KadDHTComponents } from '@libp2p/kad-dht'
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import { MAX_ADDRESSES, MAX_KNOWN_PEERS } from './limits.ts'
import { isUsable, NO_ADDRESS } from './usable-address.ts'

type PeerStore = KadDHTComponents['peerStore']

interface ContactBookInit {
  readonly self: string
  readonly isMember: (peer: string) => boolean
  /** What this node knows itself. */
  readonly addressesOf: (peer: string) => readonly string[]
  readonly ownAddresses: () => Multiaddr[]
}

/**
 * Addresses of members: what this node knows, else what other members say. kad-dht works on it in place of libp2p's
 * peer store, which forgets an address after an hour, and then fails every question about what that peer provides.
 */
export class ContactBook {
  readonly #init: ContactBookInit
  /** Word of others; the one not heard of longest comes first. */
  readonly #heard = new Map<string, readonly string[]>()

  constructor(init: ContactBookInit) {
    this.#init = init
  }

  /** The part of a peer store that kad-dht uses. */
  asPeerStore(): PeerStore {
    const info = (id: PeerId): { id: PeerId; multiaddrs: Multiaddr[] } => ({
      id,
      multiaddrs: this.#shownOf(id.toString()),
    })
    const shown = (id: PeerId) => ({
      id,
      addresses: info(id).multiaddrs.map((address) => ({ multiaddr: address, isCertified: false })),
      protocols: [],
      metadata: new Map(),
      tags: new Map(),
    })
    const full = (id: PeerId) => shown(this.#memberOnly(id))
    const used = {
      get: async (id: PeerId) => full(id),
      getInfo: async (id: PeerId) => info(id),
      // Who provides names its own addresses; tags, which libp2p would dial by, are not wanted.
      merge: async (id: PeerId, { multiaddrs = [], tags = {} }: { multiaddrs?: Multiaddr[]; tags?: object }) => {
        this.hear(id.toString(), multiaddrs)
        // The library takes its tag off whom it drops, and awaits nothing of it.
        const isRemoval = Object.keys(tags).length > 0 && Object.values(tags).every((tag) => tag === undefined)
        return isRemoval ? shown(id) : full(id)
      },
      all: async () => [],
    }
    return used as unknown as PeerStore
  }

  /** Takes what a member says of another, or of itself. */
  hear(peer: string, addresses: readonly Multiaddr[]): void {
    if (peer === this.#init.self || !this.#init.isMember(peer)) return
    const onLoopback = this.#onLoopback()
    const usable = addresses.filter((address) => isUsable(address, onLoopback)).slice(0, MAX_ADDRESSES)
    if (usable.length === 0) return
    this.#heard.delete(peer)
    this.#heard.set(peer, usable.map(String))
    if (this.#heard.size > MAX_KNOWN_PEERS) this.#heard.delete(this.#heard.keys().next().value as string)
  }

  /** Multiaddrs of a peer; empty where none is known. */
  of(peer: string): string[] {
    const known = this.#init.addressesOf(peer)
    return [...(known.length > 0 ? known : (this.#heard.get(peer) ?? []))].slice(0, MAX_ADDRESSES)
  }

  /** Forgets those who are no members any more. */
  sweep(): void {
    for (const peer of this.#heard.keys()) if (!this.#init.isMember(peer)) this.#heard.delete(peer)
  }

  /** The library leaves out who has no address; but a node that only dials provides and answers as others do. */
  #shownOf(peer: string): Multiaddr[] {
    const addresses = peer === this.#init.self ? this.#init.ownAddresses() : this.of(peer).flatMap(parsed)
    return addresses.length === 0 ? [NO_ADDRESS] : addresses
  }

  #memberOnly(id: PeerId): PeerId {
    const peer = id.toString()
    if (peer === this.#init.self || this.#init.isMember(peer)) return id
    throw Object.assign(new Error(`${peer} is no member`), { name: 'NotFoundError' })
  }

  #onLoopback(): boolean {
    return this.#init.ownAddresses().some((address) => /^\/ip4\/127\.|^\/ip6\/::1\//.test(address.toString()))
  }
}

/** None for what is no address: the library has nobody listening for what fails here, and the process would end. */
function parsed(address: string): Multiaddr[] {
  try {
    return [multiaddr(address)]
  } catch {
    return []
  }
}
