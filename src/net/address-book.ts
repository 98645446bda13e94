import { MAX_ADDRESSES_PER_PEER, MAX_DISCOVERED_ADDRESSES } from './constants.ts'

/** `given` by this node's own people or config, `learned` from others, or `discovered` on a local network. */
export type AddressSource = 'given' | 'learned' | 'discovered'

/** Addresses by peer, the latest last; the oldest make room. */
export class AddressBook {
  readonly #addresses: Record<AddressSource, Map<string, string[]>> = {
    given: new Map(),
    learned: new Map(),
    discovered: new Map(),
  }

  /** True where an address was new. */
  add(peer: string, addresses: readonly string[], source: AddressSource): boolean {
    const book = this.#addresses[source]
    const known = book.get(peer) ?? []
    const fresh = addresses.filter((address) => !known.includes(address))
    const limit = source === 'discovered' ? MAX_DISCOVERED_ADDRESSES : MAX_ADDRESSES_PER_PEER
    book.set(peer, [...known, ...new Set(fresh)].slice(-limit))
    return fresh.length > 0
  }

  of(peer: string, source: AddressSource): readonly string[] {
    return this.#addresses[source].get(peer) ?? []
  }

  /** Where peers said nothing of themselves, what is learned is not worth keeping for long. */
  forgetLearned(peer: string): void {
    this.#addresses.learned.delete(peer)
  }

  remove(peer: string): void {
    this.#addresses.given.delete(peer)
    this.#addresses.learned.delete(peer)
    this.#addresses.discovered.delete(peer)
  }
}
