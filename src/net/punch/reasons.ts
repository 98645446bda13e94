/** Why no connection came about, for people. */
import type { Candidates } from './messages.ts'
import { isUdpWorthIt, type UdpProgress } from './udp-stage.ts'

/** What one side saw of an attempt that came to nothing. */
export interface Failure {
  readonly mine: Candidates
  readonly theirs: Candidates
  readonly udp: UdpProgress
  /** Where the other side says to be probed, and no relay has seen it. */
  readonly unseen?: string | undefined
}

/** The reason, and whether another attempt is pointless until a network changes. */
export function reasonOf(failure: Failure): { reason: string; permanent: boolean } {
  const { mine, theirs } = failure
  const both = [mine.tcp.mapping, theirs.tcp.mapping]
  if (mine.tcp.mapping === 'unknown' && mine.udp.mapping === 'unknown' && mine.tcp.dialling.length === 0) {
    return {
      reason: 'no relay that answers STUN is known here, so nothing is known of the routers between',
      permanent: false,
    }
  }
  const isTcpHopeless = both.includes('blocked') || both.every((mapping) => mapping === 'depends')
  const parts = [tcpReason(failure), udpReason(failure)].filter((part) => part !== undefined)
  return { reason: parts.join('; '), permanent: isTcpHopeless && !isUdpWorthIt(mine, theirs) }
}

const PER_DESTINATION = 'per destination (APDM)'

function tcpReason({ mine, theirs, unseen }: Failure): string {
  const [own, other] = [mine.tcp.mapping, theirs.tcp.mapping]
  if (own === 'depends' && other === 'depends') return `both NATs map ${PER_DESTINATION}`
  if (own === 'blocked') return 'no relay answers STUN over TCP to this node'
  if (other === 'blocked') return 'no relay answers STUN over TCP to the other side'
  if (own === 'depends' || other === 'depends') {
    const whose = own === 'depends' ? "this node's" : "the other side's"
    const declined =
      unseen === undefined ? 'its port is not probed for so often' : `no relay has seen the other side at ${unseen}`
    const probing = mine.birthday && theirs.birthday ? 'probing for its port found none' : declined
    return `${whose} NAT maps ${PER_DESTINATION}, and ${probing}`
  }
  return 'the routers drop TCP that is not asked for, and simultaneous opening did not get through'
}

function udpReason({ mine, theirs, udp }: Failure): string | undefined {
  if (!mine.udp.channel)
    return 'UDP is not tried: this node has no room for data channels, or no package node-datachannel'
  if (!theirs.udp.channel) return 'UDP is not tried: the other side cannot make data channels'
  if (mine.udp.mapping === 'blocked') return 'UDP is blocked at this node'
  if (theirs.udp.mapping === 'blocked') return 'UDP is blocked at the other side'
  if (mine.udp.mapping === 'depends' && theirs.udp.mapping === 'depends') {
    const isSaid = mine.tcp.mapping === 'depends' && theirs.tcp.mapping === 'depends'
    return isSaid ? undefined : `both NATs map UDP ${PER_DESTINATION}`
  }
  if (udp === 'no way') return 'UDP did not get through either'
  if (udp === 'no channel') return 'UDP got through, but no data channel came about over it'
  if (udp === 'channel') return 'a data channel came about, but the other side did not prove itself over it'
  return undefined
}
