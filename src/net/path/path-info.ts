import type { ConnectionInfo } from '../types.ts'
import type { FailureBook } from './failures.ts'
import type { PathInfo } from './types.ts'

/** What the path to a peer is told from. */
interface Known {
  /** The connections with it. */
  readonly connections: readonly ConnectionInfo[]
  readonly failures: FailureBook
  /** Why nothing was tried; null where that is not known. */
  whyUntried(): string | null
}

const STILL_LOOKING = 'a direct way is still looked for'

/**
 * The path to a peer now. What others can be told first is why no hole was made, then which addresses are silent: behind
 * routers that cannot be got through, those of private networks go without saying.
 */
export function pathInfoOf(peer: string, { connections, failures, whyUntried }: Known): PathInfo {
  const best = connections.find(({ relayed }) => !relayed) ?? connections[0]
  const triedMs = failures.triedMs(peer)
  if (best === undefined) {
    const why = failures.why(peer, ['punch', 'direct', 'lookup', 'relay']) ?? whyUntried()
    return { state: 'none', kind: null, via: null, lan: false, why, triedMs }
  }
  const { kind, via, lan, relayed } = best
  const far = failures.why(peer, ['punch']) !== null
  const why = relayed ? (failures.why(peer, ['punch', 'direct'], { far }) ?? whyUntried() ?? STILL_LOOKING) : null
  return { state: relayed ? 'relayed' : 'direct', kind, via, lan, why, triedMs }
}
