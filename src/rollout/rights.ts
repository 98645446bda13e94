import { allows, type Rights } from '../api/index.ts'
import type { Clock } from '../base/clock.ts'
import { formatDuration } from '../base/durations.ts'
import type { RolloutRights } from './deps.ts'

/** What of the roster rollouts look at. */
export interface RightsRoster {
  readonly genesis: { readonly timeMs: number }
  readonly state: {
    readonly nodes: ReadonlyMap<string, { readonly kind: 'node' | 'token'; readonly name: string }>
    readonly admins: ReadonlyMap<string, unknown>
    readonly removed: ReadonlySet<string>
    /** Newest time that an admin signed. */
    readonly newestTimeMs: number
  }
  readonly signedHeads: { newestMs(): number | undefined }
  rightsOf(id: string): Rights | undefined
  /** The latest time that this node knows of. */
  latestTimeMs(): number
}

/**
 * What a roster says to rollouts. Who may deploy: by role or by a grant for the app. Who sees: every member; of the
 * tokens, who run nothing, those with a right to look at the app. Stale: by the local clock, so that a clock that is
 * behind makes nothing stale, and one that is ahead does.
 */
export function createRolloutRights({
  roster,
  clock,
  maxStaleMs,
}: {
  roster: RightsRoster
  clock: Clock
  /** `trust.max_stale`. */
  maxStaleMs: number
}): RolloutRights {
  const may = (node: string, role: 'viewer' | 'operator', app: string): boolean => {
    const rights = roster.rightsOf(node)
    return rights !== undefined && allows(rights, role, { app })
  }
  return {
    mayDeploy: (node, app) => may(node, 'operator', app),
    maySee: (peer, app) => roster.state.nodes.get(peer)?.kind !== 'token' || may(peer, 'viewer', app),
    isKnown: (node) => roster.state.nodes.has(node) || roster.state.removed.has(node),
    mayRun: (node) => roster.state.nodes.get(node)?.kind !== 'token',
    admins: () => [...roster.state.admins.keys()].map((id) => roster.state.nodes.get(id)?.name ?? id),
    networkAgeMs: () => roster.latestTimeMs() - roster.genesis.timeMs,
    isStale: () => {
      const ageMs = clock.now() - Math.max(roster.signedHeads.newestMs() ?? 0, roster.state.newestTimeMs)
      const reason = `the newest word of an admin here is ${formatDuration(Math.max(0, ageMs))} old (trust.max_stale: ${formatDuration(maxStaleMs)})`
      return { stale: ageMs > maxStaleMs, reason }
    },
  }
}
