/** What kind of NAT lies between this node and others, by the names of RFC 4787, and what that means for people. */

/** A STUN server by address; `id` is the peer that runs it, or its name. */
export interface StunServer {
  readonly id: string
  readonly host: string
  readonly port: number
  /** Its second port; null where it has none. */
  readonly alternatePort: number | null
}

/**
 * How a NAT gives a local port an outer one: the same for all (EIM), another for each address (ADM) or for each address
 * and port (APDM). `none`: the port is seen as it is, and whoever knows it reaches it. `blocked`: no answer comes.
 */
export type NatMapping = 'none' | 'EIM' | 'ADM' | 'APDM' | 'blocked' | 'unknown'

/**
 * Whom a NAT or firewall lets in at a port that has sent something: everybody (EIF), addresses to which it has sent
 * (ADF), or only the very addresses and ports (APDF).
 */
export type NatFiltering = 'EIF' | 'ADF' | 'APDF' | 'unknown'

/** What a measurement found. */
export interface NatReport {
  readonly udp: { readonly mapping: NatMapping; readonly filtering: NatFiltering; readonly portPreserving?: boolean }
  readonly tcp: { readonly mapping: NatMapping; readonly portPreserving?: boolean }
  /** The IP address at which this node is seen; null where no server answered. */
  readonly mapped: string | null
  /** When it was measured, in milliseconds since 1970. */
  readonly at: number
  /** What could not be told, and why. */
  readonly reason?: string
}

/** One line for people: the kind of NAT, and what it means for reaching others. */
export function describeNat(report: NatReport): string {
  const { udp, tcp } = report
  const words = [kindOf(report)]
  if (tcp.mapping !== udp.mapping && tcp.mapping !== 'unknown' && udp.mapping !== 'blocked') {
    words.push(`, TCP ${tcp.mapping}`)
  }
  words.push(`: ${meaningOf(report)}`)
  if (report.reason !== undefined) words.push(` (${report.reason})`)
  return words.join('')
}

function kindOf({ udp, tcp }: NatReport): string {
  if (udp.mapping === 'unknown' && tcp.mapping === 'unknown') return 'unknown'
  if (udp.mapping === 'none') return 'none'
  if (udp.mapping === 'blocked') return tcp.mapping === 'blocked' ? 'blocked' : `UDP blocked, TCP ${tcp.mapping}`
  const kind = udp.filtering === 'unknown' ? `${udp.mapping}/unknown` : `${udp.mapping}/${udp.filtering}`
  return udp.portPreserving === true ? `${kind} (port-preserving)` : kind
}

function meaningOf({ udp, tcp }: NatReport): string {
  if (udp.mapping === 'unknown' && tcp.mapping === 'unknown') return 'no STUN server told what lies between'
  if (udp.mapping === 'none') return 'no NAT; others reach this node directly'
  if (udp.mapping === 'blocked') {
    return tcp.mapping === 'blocked' || tcp.mapping === 'unknown'
      ? 'nothing passes; relays cannot be reached either'
      : 'a firewall lets no UDP through; direct connections are made over TCP, else over a relay'
  }
  if (udp.mapping === 'APDM' || udp.mapping === 'ADM') {
    return 'each peer meets another port; direct with peers behind an easier NAT, over a relay with those behind one like it'
  }
  if (udp.filtering === 'EIF')
    return 'whoever is told the port gets in; others are reached directly, whatever their NAT'
  return 'direct when both sides open at the same time, which fails only with a peer whose port cannot be foretold'
}
