import type { Clock } from '../base/clock.ts'
import type { RolloutDirectory } from './deps.ts'

/** Since when nodes are away, as far as anyone has asked; so that a short loss of a link is not taken for absence. */
export interface AwayWatch {
  /** True where the node has been down, or unknown, for `graceMs` since it was first seen so. */
  isAway(node: string, graceMs: number): boolean
}

export function createAwayWatch({ directory, clock }: { directory: RolloutDirectory; clock: Clock }): AwayWatch {
  const since = new Map<string, number>()
  return {
    isAway: (node, graceMs) => {
      const state = directory.nodes().find(({ id }) => id === node)?.state
      if (state === 'up' || state === 'self') {
        since.delete(node)
        return false
      }
      const nowMs = clock.monotonicMs()
      const fromMs = since.get(node) ?? nowMs
      since.set(node, fromMs)
      return nowMs - fromMs >= graceMs
    },
  }
}
