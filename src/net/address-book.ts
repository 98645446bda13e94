import { MAX_ADDRESSES_PER_PEER } from './constants.ts'

/** Addresses by peer, the latest learned last; the oldest make room. */
export class AddressBook {
  readonly #addresses = new Map<string, string[]>()

  /** True where an address was new. */
  add(peer: string, addresses: readonly string[]): boolean {
    const known = this.#addresses.get(peer) ?? []
    const fresh = addresses.filter((address) => !known.includes(address))
    this.#addresses.set(peer, [...known, ...new Set(fresh)].slice(-MAX_ADDRESSES_PER_PEER))
    return fresh.length > 0
  }

  of(peer: string): readonly string[] {
    return this.#addresses.get(peer) ?? []
  }

  remove(peer: string): void {
    this.#addresses.delete(peer)
  }
}
