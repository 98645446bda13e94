/** From what helpers found to whether this node is publicly reachable. */
import { isIPv6 } from 'node:net'
import { sourceKeyOf } from '../../base/ip-scope.ts'
import type { DialBackOutcome } from './messages.ts'

export type Reach = 'public' | 'private' | 'unknown'

/** What one helper brought to light. */
export interface Finding {
  /** At which address the helper sees this node. */
  readonly seen: string
  /** Where the helper is. */
  readonly helper: string
  /** The ports at which a connection from outside came in with the nonce, as `host:port`. */
  readonly confirmed: readonly string[]
  readonly results: readonly { readonly port: number; readonly outcome: DialBackOutcome }[]
}

/** What all helpers together say. */
export interface Verdict {
  readonly reach: Reach
  readonly confirmed: readonly string[]
  /** For people. */
  readonly reason: string
}

/** An IPv6 site has a /48 or less of its own; hosts in it may reach each other through its firewall's back. */
const SITE_BITS = 48

/** Whether two public addresses belong to one site, as far as one can tell. */
export function isSameSite(a: string, b: string): boolean {
  return sourceKeyOf(a, SITE_BITS) === sourceKeyOf(b, SITE_BITS)
}

/** The majority of those who can tell, for IPv4 where one can, else for IPv6. A tie is unknown. */
export function verdictOf(findings: readonly Finding[]): Verdict {
  const telling = findings.filter(({ seen, helper }) => !isSameSite(seen, helper))
  const confirmed = [
    ...new Set(telling.filter((finding) => isSeenByHalf(finding, telling)).flatMap((finding) => finding.confirmed)),
  ]
  const ofIpv4 = telling.filter(({ seen }) => !isIPv6(seen))
  const counted = ofIpv4.length > 0 ? ofIpv4 : telling
  if (counted.length === 0) {
    const reason = 'no directly connected peer sees this node from another public address'
    return { reach: 'unknown', confirmed, reason }
  }
  const yes = counted.filter((finding) => finding.confirmed.length > 0).length
  const no = counted.length - yes
  const reason = `${yes} of ${counted.length} peers that tried from outside got through${yes > 0 ? '' : detailOf(counted)}`
  return { reach: yes > no ? 'public' : no > yes ? 'private' : 'unknown', confirmed, reason }
}

/** One helper alone cannot make this node say that it is where somebody else is. */
function isSeenByHalf({ seen }: Finding, telling: readonly Finding[]): boolean {
  const sameKind = telling.filter((other) => isIPv6(other.seen) === isIPv6(seen))
  return 2 * sameKind.filter((other) => isSameSite(other.seen, seen)).length >= sameKind.length
}

function detailOf(findings: readonly Finding[]): string {
  const results = findings.flatMap((finding) => finding.results)
  const words: Record<DialBackOutcome, string> = {
    silent: 'no answer',
    refused: 'refused',
    answered: 'another host answers',
  }
  const texts = results.map(({ port, outcome }) => `port ${port}: ${words[outcome]}`)
  return texts.length === 0 ? '' : ` (${[...new Set(texts)].join(', ')})`
}
