import { isIPv4, isIPv6 } from 'node:net'

/** How far an IP address reaches. `other` is one that no host has: unspecified, multicast, reserved, or no address at all. */
export type IpScope = 'loopback' | 'link-local' | 'private' | 'public' | 'other'

/** The scope of an IP address in text. Private are RFC 1918, RFC 6598 (behind the NAT of a provider) and RFC 4193. */
export function scopeOf(host: string): IpScope {
  const address = plainHost(host)
  if (isIPv4(address)) return scopeOfIpv4(address)
  if (!isIPv6(address)) return 'other'
  const groups = ipv6Groups(address)
  const first = groups[0] ?? 0
  if (groups.slice(0, 7).every((group) => group === 0)) return groups[7] === 1 ? 'loopback' : 'other'
  if ((first & 0xffc0) === 0xfe80) return 'link-local'
  if ((first & 0xfe00) === 0xfc00 || (first & 0xffc0) === 0xfec0) return 'private'
  return (first & 0xff00) === 0xff00 ? 'other' : 'public'
}

/** The address without a zone, and an IPv4 address that is written as IPv6 (`::ffff:192.0.2.1`) as IPv4. */
export function plainHost(host: string): string {
  const address = host.split('%')[0] as string
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1]
  if (mapped !== undefined) return mapped
  if (!isIPv6(address)) return address
  const groups = ipv6Groups(address)
  const isMapped = groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff
  if (!isMapped) return address
  const [high = 0, low = 0] = groups.slice(6)
  return [high >> 8, high & 0xff, low >> 8, low & 0xff].join('.')
}

/** The eight groups of an IPv6 address that `isIPv6` accepts. */
export function ipv6Groups(address: string): number[] {
  const plain = (address.split('%')[0] as string).replace(/(\d+)\.(\d+)\.(\d+)\.(\d+)$/, (_all, ...parts) => {
    const [a, b, c, d] = parts.slice(0, 4).map(Number) as [number, number, number, number]
    return `${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`
  })
  const [front = '', back] = plain.split('::')
  const parse = (part: string): number[] =>
    part === '' ? [] : part.split(':').map((group) => Number.parseInt(group, 16))
  const before = parse(front)
  const behind = back === undefined ? [] : parse(back)
  return [...before, ...new Array<number>(8 - before.length - behind.length).fill(0), ...behind]
}

/**
 * Whom traffic of an address counts for when it is limited: an IPv4 address, of IPv6 the first `bits` (a multiple of
 * 16), by default the /64, since a single host may use all of one.
 */
export function sourceKeyOf(host: string, bits = 64): string {
  const address = plainHost(host)
  if (!isIPv6(address)) return address
  const groups = ipv6Groups(address).slice(0, bits / 16)
  return `${groups.map((group) => group.toString(16)).join(':')}::/${bits}`
}

function scopeOfIpv4(address: string): IpScope {
  const [a = 0, b = 0] = address.split('.').map(Number)
  if (a === 127) return 'loopback'
  if (a === 169 && b === 254) return 'link-local'
  if (a === 10 || (a === 172 && b >= 16 && b < 32) || (a === 192 && b === 168)) return 'private'
  if (a === 100 && b >= 64 && b < 128) return 'private'
  return a === 0 || a >= 224 ? 'other' : 'public'
}
