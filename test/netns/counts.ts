/** What routers count, as `nft` tells it (libnftables-json(5)). */
import type { Namespaces } from './namespaces.ts'

/** Bytes of one way. */
export interface Count {
  readonly saddr: string
  readonly daddr: string
  readonly l4proto: string
  readonly bytes: number
}

const PROTOCOLS: Readonly<Record<string, string>> = { '1': 'icmp', '6': 'tcp', '17': 'udp' }

/** What a router or the backbone has counted (rules.ts), with the addresses as it saw them. */
export function countsIn(namespaces: Namespaces, namespace: string, table: 'router' | 'backbone'): Count[] {
  const text = namespaces.read(namespace, ['nft', '-nj', 'list', 'set', 'ip', table, 'seen'])
  const { nftables } = JSON.parse(text) as { nftables: { set?: { elem?: readonly SetElement[] } }[] }
  return nftables
    .flatMap(({ set }) => set?.elem ?? [])
    .map(({ elem: { val, counter } }) => {
      const [saddr, daddr, l4proto] = val.concat.map(String)
      return {
        saddr: saddr ?? '',
        daddr: daddr ?? '',
        l4proto: PROTOCOLS[l4proto ?? ''] ?? l4proto ?? '',
        bytes: counter.bytes,
      }
    })
}

interface SetElement {
  readonly elem: {
    readonly val: { readonly concat: readonly (string | number)[] }
    readonly counter: { readonly bytes: number }
  }
}
