import { type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import { scopeOf } from '../../base/ip-scope.ts'

/**
 * May this node dial what another member says is the address of a third? Only IP addresses that a host can have, and
 * those of this machine alone only where this node itself can be reached there: nobody makes it knock at its own doors,
 * nor ask a name server.
 */
export function isUsable(address: Multiaddr, onLoopback: boolean): boolean {
  try {
    const components = address.getComponents()
    const host = components[0]
    if ((host?.name !== 'ip4' && host?.name !== 'ip6') || host.value === undefined) return false
    if (components.some(({ name }) => name.startsWith('dns'))) return false
    const scope = scopeOf(host.value)
    return scope === 'public' || scope === 'private' || (scope === 'loopback' && onLoopback)
  } catch {
    return false
  }
}

/** Where a multiaddr has to be given and there is none; nobody takes it for one. */
export const NO_ADDRESS = multiaddr('/ip4/0.0.0.0/tcp/0')
