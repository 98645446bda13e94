import { endpointOf, reachOf, type Subnet, withoutPeer } from './address-words.ts'

/**
 * The addresses at which others can dial a node, out of those at which it listens: loopback only where it listens
 * nowhere else, and none that means something else on another machine. Ids are taken off.
 */
export function tellableAddresses(addresses: readonly string[]): string[] {
  const known = [...new Set(addresses.map(withoutPeer))].flatMap((address) => {
    const endpoint = endpointOf(address)
    const reach = endpoint === undefined ? 'other' : reachOf(endpoint)
    return reach === 'other' || reach === 'link-local' ? [] : [{ address, reach }]
  })
  const outside = known.filter(({ reach }) => reach !== 'loopback')
  return (outside.length > 0 ? outside : known).map(({ address }) => address)
}

/** What limits the addresses that a peer may make this node dial. */
export interface DialRules {
  /** Addresses of loopback are dialled too: this node has no others. */
  readonly loopback: boolean
  /** This node's own addresses, at which nobody else is. */
  readonly own: ReadonlySet<string>
}

/** Loopback is for those whose own config names addresses of it, or whose machine has no other network. */
export function mayDialLoopback(configured: readonly string[], subnets: readonly Subnet[]): boolean {
  const endpoints = configured.map((address) => endpointOf(withoutPeer(address).replace(/\/tcp\/0$/, '/tcp/1')))
  const livesThere = endpoints.some((endpoint) => endpoint !== undefined && reachOf(endpoint) === 'loopback')
  return livesThere || subnets.every(({ internal }) => internal)
}

/** Of the addresses that somebody else names, those that this node dials. */
export function dialable(addresses: readonly string[], { loopback, own }: DialRules): string[] {
  return addresses.filter((address) => {
    const plain = withoutPeer(address)
    const endpoint = endpointOf(plain)
    if (endpoint === undefined || own.has(plain)) return false
    const reach = reachOf(endpoint)
    if (reach === 'loopback') return loopback
    return reach !== 'other' && reach !== 'link-local'
  })
}
