import { isIPv4, type Socket } from 'node:net'
import type { Multiaddr } from '@multiformats/multiaddr'

/** Where a TCP connection goes or listens. */
export interface Endpoint {
  readonly host: string
  readonly port: number
  /** 4 or 6 where the address says which; 0 where a name may be either. */
  readonly family: 0 | 4 | 6
}

/** What is spoken at an address: all that a port carries, a WebSocket alone, or a WebSocket inside TLS. */
export type Dress = 'bare' | 'ws' | 'tls/ws'

/** What a multiaddr says of a TCP port; undefined where it is of another kind. */
export function tcpAddress(address: Multiaddr): { endpoint: Endpoint; dress: Dress } | undefined {
  const [host, tcp, ...rest] = address.getComponents()
  const family = { ip4: 4, ip6: 6, dns: 0, dns4: 4, dns6: 6 }[host?.name ?? '']
  if (family === undefined || host?.value === undefined || tcp?.name !== 'tcp') return undefined
  const inside = rest.filter((component) => component.name !== 'p2p').map((component) => component.name)
  const dress = inside.length === 0 ? 'bare' : inside.join('/')
  if (dress !== 'bare' && dress !== 'ws' && dress !== 'tls/ws') return undefined
  return { endpoint: { host: host.value, port: Number(tcp.value), family: family as Endpoint['family'] }, dress }
}

/** The multiaddr of the other side of a socket; undefined where it is gone already. */
export function addressOfSocket({ remoteAddress, remotePort }: Socket): string | undefined {
  if (remoteAddress === undefined || remotePort === undefined) return undefined
  const plain = remoteAddress.replace(/^::ffff:(?=\d+\.)/, '').replace(/%.*$/, '')
  return `/${isIPv4(plain) ? 'ip4' : 'ip6'}/${plain}/tcp/${remotePort}`
}
