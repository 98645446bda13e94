import { MAX_ADDRESSES_PER_PEER } from './constants.ts'

/** `given` by this node's own people or config, or `learned` from others. */
export type AddressSource = 'given' | 'learned'

/** Addresses by peer, the latest last; the oldest make room. */
export class AddressBook {
  readonly #addresses: Record<AddressSource, Map<string, string[]>> = { given: new Map(), learned: new Map() }

  /** True where an address was new. */
  add(peer: string, addresses: readonly string[], source: AddressSource): boolean {
    const book = this.#addresses[source]
    const known = book.get(peer) ?? []
    const fresh = addresses.filter((address) => !known.includes(address))
    book.set(peer, [...known, ...new Set(fresh)].slice(-MAX_ADDRESSES_PER_PEER))
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
  }
}
