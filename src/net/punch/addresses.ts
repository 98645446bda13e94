/** Which addresses are told to the other side, and which of its own are tried. */
import { isIP, isIPv4 } from 'node:net'
import { plainHost, scopeOf } from '../../base/ip-scope.ts'
import type { Address } from './messages.ts'

/**
 * The addresses of a peer that may be tried: unicast, at most `limit`, each once. Loopback only where this node itself
 * is on loopback alone (a lab); private ones only where this node has an address in the same private block, so that
 * nobody far away makes it knock at what is near. Link-local, unspecified and multicast ones never.
 */
export function dialable(offered: readonly Address[], ownHosts: readonly string[], limit: number): Address[] {
  const blocks = new Set(ownHosts.map(privateBlockOf))
  const alone = ownHosts.length > 0 && ownHosts.every((host) => scopeOf(host) === 'loopback')
  const kept = new Map<string, Address>()
  for (const { host: named, port } of offered) {
    const host = plainHost(named)
    const scope = scopeOf(host)
    const fits =
      scope === 'public' || (scope === 'loopback' && alone) || (scope === 'private' && blocks.has(privateBlockOf(host)))
    if (fits && kept.size < limit) kept.set(`${host} ${port}`, { host, port })
  }
  return [...kept.values()]
}

/** An address as both sides know it, whatever each writes. */
export function sameAddress(a: Address, b: Address): boolean {
  return plainHost(a.host) === plainHost(b.host) && a.port === b.port
}

/** Each once, in order, at most `limit`. */
export function distinct(addresses: readonly Address[], limit: number): Address[] {
  const kept = new Map(addresses.map(({ host, port }) => [`${host} ${port}`, { host, port }]))
  return [...kept.values()].slice(0, limit)
}

/** The address and port of a multiaddr on TCP; undefined for every other. */
export function tcpAddressOf(multiaddr: string): Address | undefined {
  const [, family, host = '', transport, port] = multiaddr.split('/')
  if ((family !== 'ip4' && family !== 'ip6') || transport !== 'tcp' || isIP(host) === 0) return undefined
  return { host, port: Number(port) }
}

/** The multiaddr by which people are shown an address. */
export function multiaddrOf({ host, port }: Address, transport: 'tcp' | 'udp'): string {
  const plain = plainHost(host)
  return `/${isIPv4(plain) ? 'ip4' : 'ip6'}/${plain}/${transport}/${port}`
}

function privateBlockOf(host: string): string {
  const plain = plainHost(host)
  if (scopeOf(plain) !== 'private') return ''
  return isIPv4(plain) ? (plain.split('.')[0] as string) : 'ipv6'
}
