import { isIP, isIPv4, isIPv6 } from 'node:net'
import { networkInterfaces } from 'node:os'
import type { Clock } from '../../base/clock.ts'
import { type IpScope, ipv6Groups, plainHost, scopeOf } from '../../base/ip-scope.ts'
import { MAX_ADDRESS_LENGTH } from './limits.ts'

/** Where a multiaddr leads, as far as paths care. */
export interface Endpoint {
  /** An IP address or a DNS name. */
  readonly host: string
  readonly port: number
  readonly isIp: boolean
}

// No zone, and no number but as it is written usually: to libp2p an address with one is none.
const FORM = /^\/(ip4|ip6|dns|dns4|dns6)\/([^/%]+)\/tcp\/([1-9]\d{0,4})((?:\/tls)?\/ws|\/wss)?(?:\/p2p\/[A-Za-z0-9]+)?$/
const NAME = /^(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]*[a-z0-9])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9])?)*\.?$/i

/** Host and port of a multiaddr of a kind that is dialled; undefined for any other text. Loads nothing of libp2p. */
export function endpointOf(address: string): Endpoint | undefined {
  if (address.length > MAX_ADDRESS_LENGTH) return undefined
  const [, kind, host = '', portText = ''] = FORM.exec(address) ?? []
  const port = Number(portText)
  if (kind === undefined || port > 65_535) return undefined
  const fits = kind === 'ip4' ? isIPv4(host) : kind === 'ip6' ? isIPv6(host) : NAME.test(host) && isIP(host) === 0
  return fits ? { host, port, isIp: kind === 'ip4' || kind === 'ip6' } : undefined
}

/** Host and port of those multiaddrs that are by IP address. */
export function ipEndpointsOf(addresses: readonly string[]): Pick<Endpoint, 'host' | 'port'>[] {
  return addresses.flatMap((address) => {
    const endpoint = endpointOf(withoutPeer(address))
    return endpoint?.isIp === true ? [{ host: endpoint.host, port: endpoint.port }] : []
  })
}

/** The address without the peer id at its end. */
export function withoutPeer(address: string): string {
  return address.replace(/\/p2p\/[^/]+$/, '')
}

/** The peer id at the end of an address; undefined where it names none. */
export function peerIn(address: string): string | undefined {
  return /\/p2p\/([^/]+)$/.exec(address)?.[1]
}

/** The relay that a relayed address goes over, with its address; undefined for a direct one. */
export function relayIn(address: string): { relay: string; address: string } | undefined {
  const [, before = '', relay] = /^(.*)\/p2p\/([^/]+)\/p2p-circuit(?:\/|$)/.exec(address) ?? []
  return relay === undefined ? undefined : { relay, address: before }
}

/** How far an address reaches; a name is one that the DNS is asked for. */
export type Reach = IpScope | 'name'

/** How far an endpoint's address reaches. */
export function reachOf({ host, isIp }: Endpoint): Reach {
  if (isIp) return scopeOf(host)
  return host === 'localhost' || host.endsWith('.localhost') ? 'loopback' : 'name'
}

/** A network that this machine is on. */
export interface Subnet {
  readonly address: string
  readonly bits: number
  readonly internal: boolean
}

/** Interfaces do not change while one piece of work runs, and asking for them costs a tenth of a millisecond. */
const SUBNETS_KEPT_MS = 1_000

/** Reads the networks that this machine is on, at most once a second: every address of every peer is held against them. */
export class SubnetReader {
  readonly #clock: Pick<Clock, 'monotonicMs'>
  readonly #read: () => Subnet[]
  #known: { subnets: Subnet[]; atMs: number } | undefined

  constructor(clock: Pick<Clock, 'monotonicMs'>, read = ownSubnets) {
    this.#clock = clock
    this.#read = read
  }

  /** The networks that this machine was on a second ago at most. */
  now(): readonly Subnet[] {
    const nowMs = this.#clock.monotonicMs()
    if (this.#known === undefined || nowMs - this.#known.atMs >= SUBNETS_KEPT_MS) {
      this.#known = { subnets: this.#read(), atMs: nowMs }
    }
    return this.#known.subnets
  }

  /** Reads them anew the next time: something is known to have changed. */
  changed(): void {
    this.#known = undefined
  }
}

/** The networks that this machine is on now. */
export function ownSubnets(): Subnet[] {
  return Object.values(networkInterfaces()).flatMap((addresses) =>
    (addresses ?? []).map(({ address, cidr, internal }) => ({
      address,
      bits: Number(cidr?.split('/')[1] ?? 0),
      internal,
    })),
  )
}

/** True where the host is on one of these networks, so that nothing between can translate its address. */
export function isOnSubnet(host: string, subnets: readonly Subnet[]): boolean {
  const version = isIP(host)
  if (version === 0) return false
  const wanted = bitsOf(host)
  return subnets.some(({ address, bits }) => {
    if (isIP(address) !== version || bits === 0) return false
    return bitsOf(address).slice(0, bits) === wanted.slice(0, bits)
  })
}

function bitsOf(host: string): string {
  const plain = plainHost(host)
  const [words, width] = isIPv4(plain) ? [plain.split('.').map(Number), 8] : [ipv6Groups(plain), 16]
  return words.map((word) => word.toString(2).padStart(width, '0')).join('')
}

/** True where an address is that of a machine nearby: on this one, or on a private network that this one is on. */
export function isLan(address: string, subnets: readonly Subnet[]): boolean {
  const endpoint = endpointOf(withoutPeer(address))
  if (endpoint === undefined) return false
  const reach = reachOf(endpoint)
  if (reach === 'loopback' || reach === 'link-local') return true
  return reach === 'private' && isOnSubnet(endpoint.host, subnets)
}

/**
 * Addresses in the order in which they are tried: those of a network that this machine is on, IPv6, names, public IPv4,
 * then private ones that may be reached all the same. Each once, and none that is not dialled.
 */
export function inDialOrder(addresses: readonly string[], subnets: readonly Subnet[]): string[] {
  const seen = new Set<string>()
  const ranked: { address: string; rank: number }[] = []
  for (const address of addresses) {
    const plain = withoutPeer(address)
    const endpoint = endpointOf(plain)
    if (endpoint === undefined || seen.has(plain) || reachOf(endpoint) === 'other') continue
    seen.add(plain)
    ranked.push({ address: plain, rank: rankOf(endpoint, subnets) })
  }
  return ranked.sort((a, b) => a.rank - b.rank).map(({ address }) => address)
}

function rankOf(endpoint: Endpoint, subnets: readonly Subnet[]): number {
  const reach = reachOf(endpoint)
  const isV6 = isIPv6(endpoint.host)
  if (reach === 'loopback') return 0
  if (endpoint.isIp && isOnSubnet(endpoint.host, subnets)) return isV6 ? 1 : 2
  if (reach === 'public') return isV6 ? 3 : 5
  if (reach === 'name') return 4
  return reach === 'private' ? 6 : 7
}
