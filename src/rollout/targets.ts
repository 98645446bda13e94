import { roleIncludes } from '../api/contract.ts'
import { baseErrors } from '../base/errors.ts'
import type { RolloutDirectory, RolloutNode } from './deps.ts'
import { rolloutErrors } from './errors.ts'

/** Which nodes are meant: names, ids and label selectors, or all. */
export interface TargetRequest {
  readonly on: readonly string[]
  readonly all: boolean
}

/**
 * The chosen nodes, each once, by name. Nodes of role relay run no apps: they are left out. Fails with `rollout_empty`,
 * and as the directory does for a name that it does not know or a selector that it cannot read.
 */
export function resolveTargets(directory: RolloutDirectory, { on, all }: TargetRequest): RolloutNode[] {
  if (!all && on.length === 0) {
    throw rolloutErrors.rollout_empty('no target was given', { hint: 'Say where: --on NODE, --on KEY=VALUE or --all' })
  }
  const chosen = all ? directory.nodes() : directory.select(on)
  const able = chosen.filter((node) => roleIncludes(node.role, 'member'))
  if (able.length > 0) return [...able].sort(byName)
  const what = all ? 'the network has no node' : `"${on.join(' ')}" names no node`
  throw rolloutErrors.rollout_empty(`${what} that runs apps; relays do not`, {
    hint: 'See who is there: warren nodes',
  })
}

/**
 * Cuts targets into waves of the given sizes; the last size repeats. No sizes: one wave. `[1, 2]` of five nodes gives
 * 1, 2, 2. Fails with `invalid_value` where a size is not a whole number from 1.
 */
export function cutWaves<T>(targets: readonly T[], sizes: readonly number[]): T[][] {
  const bad = sizes.find((size) => !Number.isInteger(size) || size < 1)
  if (bad !== undefined) throw baseErrors.invalid_value(`a wave of ${bad} nodes: sizes are whole numbers from 1`)
  const waves: T[][] = []
  for (let start = 0; start < targets.length; ) {
    const size = sizes[Math.min(waves.length, sizes.length - 1)] ?? targets.length
    waves.push(targets.slice(start, start + size))
    start += size
  }
  return waves
}

function byName(a: RolloutNode, b: RolloutNode): number {
  return a.name.localeCompare(b.name, 'en', { numeric: true }) || (a.id < b.id ? -1 : 1)
}
