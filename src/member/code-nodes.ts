import type { CodeNodes, Roster } from '../identity/index.ts'
import type { Network } from '../net/index.ts'
import type { Directory } from './directory.ts'

/** Addresses of an admin in a code: a public, a LAN and an IPv6 one, and one to spare; each makes the QR code larger. */
const MAX_ADDRESSES = 4
/** Other admins in a code, for when the one that made it is away. */
const MAX_OTHERS = 2

/** Relays in a code: as many as an admin keeps a way open at. */
const MAX_RELAYS = 2
/** An IPv4 and an IPv6 one. */
const MAX_RELAY_ADDRESSES = 2

export interface CodeNodesOptions {
  readonly roster: Roster
  readonly network: Pick<Network, 'id' | 'addresses' | 'addressesOf' | 'connections' | 'reach'>
  readonly directory: Pick<Directory, 'everyone'>
}

/**
 * Whom a new node may ask to be let in: this node, at up to four addresses, then up to two other admins whose address
 * is known: the one that this node dialled, else those that it says itself. And up to two relays over which they are
 * reached: those that hold a way to this node open; where none does, those that it would use, but for one that others
 * dial and that is the only admin.
 */
export function codeNodes({ roster, network, directory }: CodeNodesOptions): CodeNodes {
  const dialled = dialledAddresses(network)
  const addressesOf = (id: string): string[] => bestAddresses(dialled.get(id) ?? network.addressesOf(id))
  const isAdmin = (id: string): boolean => roster.state.admins.has(id)
  const everyone = directory.everyone()
  const { reservations, relays: used, reachability } = network.reach()
  const hasOthers = everyone.some(({ id, state }) => isAdmin(id) && state !== 'self')
  // One that others do not dial will hold a way open at these, or does so again in a moment.
  const mayNeed = reservations.length === 0 && (hasOthers || reachability !== 'public')
  const ids = [...reservations.map(({ relay }) => relay), ...(mayNeed ? used : [])]
  const relays = [...new Set(ids)]
    .filter((id) => id !== network.id)
    .map((id) => ({ id, addresses: addressesOf(id).slice(0, MAX_RELAY_ADDRESSES) }))
    .filter(({ addresses }) => addresses.length > 0)
    .slice(0, MAX_RELAYS)
  const mayAsk = ({ addresses }: CodeNode): boolean => addresses.length > 0 || relays.length > 0
  const own = { id: network.id, addresses: bestAddresses(network.addresses()) }
  const others = everyone
    .filter(({ id, state }) => isAdmin(id) && state !== 'self')
    .map(({ id }) => ({ id, addresses: addressesOf(id) }))
    .filter(mayAsk)
    .slice(0, MAX_OTHERS)
  return { admins: [...(isAdmin(own.id) && mayAsk(own) ? [own] : []), ...others], relays }
}

type CodeNode = CodeNodes['admins'][number]

/** By peer the addresses at which this node has dialled it. */
function dialledAddresses(network: CodeNodesOptions['network']): Map<string, string[]> {
  const dialled = new Map<string, string[]>()
  for (const { peer, address, direction, relayed, kind } of network.connections()) {
    // The address of one that dialled this node is the far end of that connection: nobody listens there.
    const isListener = direction === 'outbound' && !relayed && (kind === 'tcp' || kind === 'websocket')
    if (isListener) dialled.set(peer, [...(dialled.get(peer) ?? []), address])
  }
  return dialled
}

/** Public ones and names first, then those of a LAN; loopback only where there is nothing else. Ids are taken off. */
export function bestAddresses(addresses: readonly string[]): string[] {
  const ranked = [...new Set(addresses.map((address) => address.replace(/\/p2p\/[^/]+$/, '')))]
    .map((address) => ({ address, rank: rankOf(address) }))
    .sort((a, b) => a.rank - b.rank)
  const outside = ranked.filter(({ rank }) => rank < LOOPBACK)
  return (outside.length > 0 ? outside : ranked).slice(0, MAX_ADDRESSES).map(({ address }) => address)
}

const [PUBLIC, LAN, LINK, LOOPBACK] = [0, 1, 2, 3]

/** By RFC 1918, RFC 6598, RFC 3927, RFC 4193 and RFC 4291. */
function rankOf(address: string): number {
  const [, kind, host = ''] = address.split('/')
  if (kind === 'ip4') {
    if (host.startsWith('127.')) return LOOPBACK
    if (host.startsWith('169.254.')) return LINK
    return /^(10\.|192\.168\.|172\.(1[6-9]|2\d|3[01])\.|100\.(6[4-9]|[7-9]\d|1[01]\d|12[0-7])\.)/.test(host)
      ? LAN
      : PUBLIC
  }
  if (kind === 'ip6') {
    if (host === '::1') return LOOPBACK
    if (/^fe[89ab]/i.test(host)) return LINK
    return /^f[cd]/i.test(host) ? LAN : PUBLIC
  }
  return PUBLIC
}
