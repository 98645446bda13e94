/** The rules of routers and of the backbone (nft(8)): kinds of NAT by the names of RFC 4787, faults, counters. */

/**
 * Mapping and filtering (RFC 4787, 4 and 5; RFC 5382 for TCP).
 * - `none`: the hosts behind have public addresses, and everything comes in.
 * - `EIM/EIF`: one outer port for a port of a host; who knows it comes in ("full cone").
 * - `EIM/APDF`: one outer port; in comes only what was sent to before, port by port ("port restricted").
 * - `APDM/APDF`: another outer port for each address and port that is sent to ("symmetric").
 */
export type NatKind = 'none' | 'EIM/EIF' | 'EIM/APDF' | 'APDM/APDF'

export const NAT_KINDS: readonly NatKind[] = ['none', 'EIM/EIF', 'EIM/APDF', 'APDM/APDF']

/** The interface of a router that looks to the backbone, and the one to its hosts. */
export const WAN = 'wan0'
export const LAN = 'lan0'

/** What a network does not let out; all goes where nothing is said. */
export interface Egress {
  /** False: no UDP leaves. */
  readonly udp?: boolean
  /** Only connections to these ports leave. */
  readonly tcpPorts?: readonly number[]
}

export interface RouterRules {
  readonly nat: NatKind
  readonly egress?: Egress
  /** Outer ports are taken from here instead of kept as the host chose them; for the kinds with EIM/APDF and APDM. */
  readonly ports?: { readonly from: number; readonly to: number }
}

/** Bytes by source, destination and protocol, as a set that counts. */
const SEEN = `set seen { typeof ip saddr . ip daddr . meta l4proto; flags dynamic; counter; size 65535; }`
const COUNT = 'update @seen { ip saddr . ip daddr . meta l4proto }'

/**
 * All rules of a router. What it forwards is counted last, so only what it let through is.
 *
 * Linux keeps the port of a host where it is free, and uses the outer port that the host's port has already: both are
 * endpoint-independent. `fully-random` draws another port for each new flow. Filtering by address and port is what
 * connection tracking does by itself: what belongs to no flow is dropped. For EIF the router keeps a table of the ports
 * that sent, as a NAT with full cone does, and lets others in by it.
 */
export function routerRules({ nat, egress = {}, ports }: RouterRules): string {
  return `
table ip router {
  ${SEEN}
  map udp_mapped { type inet_service : ipv4_addr; flags dynamic,timeout; timeout 120s; size 65535; }
  map tcp_mapped { type inet_service : ipv4_addr; flags dynamic,timeout; timeout 120s; size 65535; }
  chain incoming { type nat hook prerouting priority dstnat;
    ${nat === 'EIM/EIF' ? incomingOf('udp') + incomingOf('tcp') : ''}
  }
  chain outgoing { type nat hook postrouting priority srcnat;
    ${nat === 'none' ? '' : outgoingOf(nat, ports)}
  }
  chain to_router { type filter hook input priority filter;
    iifname ${WAN} ct state new drop
  }
  chain let_through { type filter hook forward priority filter;
    ${egressOf(egress)}
    ${nat === 'none' ? '' : filterOf(nat)}
  }
  chain counted { type filter hook forward priority 100;
    ${COUNT}
  }
}
`
}

/** The backbone: it counts what it carries, and has a chain for faults that comes first. */
export const BACKBONE_RULES = `
table ip backbone {
  ${SEEN}
  chain faults { type filter hook forward priority -100; }
  chain counted { type filter hook forward priority 100; ${COUNT}; }
}
`

/** What is wrong with a link of the backbone. */
export interface Fault {
  readonly link: string
  readonly cut: boolean
  /** Share of the packets that is lost each way, 0 to 1. */
  readonly loss: number
}

/** Replaces all faults at once. */
export function faultRules(faults: readonly Fault[]): string {
  const rules = faults.flatMap(({ link, cut, loss }) => {
    const match = cut ? '' : `numgen random mod 10000 < ${Math.round(loss * 10_000)} `
    return cut || loss > 0 ? [`iifname ${link} ${match}drop`, `oifname ${link} ${match}drop`] : []
  })
  return ['flush chain ip backbone faults', ...rules.map((rule) => `add rule ip backbone faults ${rule}`), ''].join(
    '\n',
  )
}

function incomingOf(protocol: 'udp' | 'tcp'): string {
  return `iifname ${WAN} dnat to ${protocol} dport map @${protocol}_mapped\n`
}

function outgoingOf(nat: NatKind, ports: RouterRules['ports']): string {
  const range = ports === undefined ? '' : ` to :${ports.from}-${ports.to}`
  const random = nat === 'APDM/APDF' ? ' fully-random' : ''
  return `oifname ${WAN} meta l4proto { tcp, udp } masquerade${range}${random}
    oifname ${WAN} masquerade`
}

function filterOf(nat: NatKind): string {
  const remember = (['udp', 'tcp'] as const).map(
    (protocol) => `iifname ${LAN} update @${protocol}_mapped { ${protocol} sport : ip saddr }`,
  )
  return [
    'ct state invalid drop',
    ...(nat === 'EIM/EIF' ? [...remember, `iifname ${WAN} ct state new ct status dnat accept`] : []),
    `iifname ${WAN} ct state new drop`,
  ].join('\n    ')
}

function egressOf({ udp, tcpPorts }: Egress): string {
  return [
    ...(udp === false ? [`iifname ${LAN} meta l4proto udp drop`] : []),
    ...(tcpPorts === undefined ? [] : [`iifname ${LAN} ct state new tcp dport != { ${tcpPorts.join(', ')} } drop`]),
  ].join('\n    ')
}
