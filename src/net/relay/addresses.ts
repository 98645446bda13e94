import { publicKeyOfPeer } from '../../identity/index.ts'
import { netErrors } from '../errors.ts'

/** A relay and where it is. */
export interface RelayAddresses {
  readonly id: string
  readonly addresses: readonly string[]
}

/**
 * Multiaddrs of relays, those of one relay together, in the order in which each comes first. Fails with
 * `address_invalid` where one does not end with the relay's id: a relay is known by it, wherever it is.
 */
export function relaysOf(multiaddrs: readonly string[]): RelayAddresses[] {
  const byId = new Map<string, string[]>()
  for (const address of multiaddrs) {
    const id = /^\/.+\/p2p\/([^/]+)$/.exec(address)?.[1] ?? ''
    if (publicKeyOfPeer(id) === undefined) {
      throw netErrors.address_invalid(`"${address}" does not end with the id of a relay`, {
        hint: 'Such as /dns/relay.example.org/tcp/9010/p2p/12D3Koo…; a relay shows its own: warren status',
      })
    }
    const addresses = byId.get(id) ?? []
    if (!addresses.includes(address)) addresses.push(address)
    byId.set(id, addresses)
  }
  return [...byId].map(([id, addresses]) => ({ id, addresses }))
}
