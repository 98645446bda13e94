import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pathExists } from '../../base/files.ts'
import { createCgroupV1, openCgroupV1 } from './cgroup-v1.ts'
import { createCgroupV2, openCgroupV2 } from './cgroup-v2.ts'
import { nonePlacement, openMarkedGroup } from './none.ts'
import type { Group, Placement, PlacementKind } from './placement.ts'

/**
 * The best placement that works here and now, tried with a real process: cgroups version 2, then 1, then none. Where
 * systemd runs, the tree is systemd's, and a group in it that is not asked of systemd keeps its unit from starting again:
 * there it is none.
 */
export async function pickPlacement(only?: PlacementKind): Promise<Placement> {
  if (only === 'none' || (only === undefined && (await pathExists('/run/systemd/system')))) return nonePlacement
  const mounts = await readFile('/proc/self/mounts', 'utf8').catch(() => '')
  const own = await readFile('/proc/self/cgroup', 'utf8').catch(() => '')
  const candidates: Placement[] = []
  const unified = findMount(mounts, (type) => type === 'cgroup2')
  const ownUnified = /^0::(.*)$/m.exec(own)?.[1]
  if (only !== 'cgroup-v1' && unified !== undefined && ownUnified !== undefined) {
    candidates.push(createCgroupV2(join(unified, ownUnified)))
  }
  const freezer = findMount(mounts, (type, options) => type === 'cgroup' && options.includes('freezer'))
  const ownFreezer = /^\d+:(?:[^:]*,)?freezer(?:,[^:]*)?:(.*)$/m.exec(own)?.[1]
  if (only !== 'cgroup-v2' && freezer !== undefined && ownFreezer !== undefined) {
    candidates.push(createCgroupV1(join(freezer, ownFreezer)))
  }
  for (const candidate of candidates) if (await works(candidate)) return candidate
  return nonePlacement
}

/** The group of a run that an earlier daemon made. */
export function openGroup(kind: PlacementKind, folder: string | null, runId: string): Group {
  if (kind === 'cgroup-v2' && folder !== null) return openCgroupV2(folder)
  if (kind === 'cgroup-v1' && folder !== null) return openCgroupV1(folder)
  return openMarkedGroup(runId)
}

function findMount(mounts: string, matches: (type: string, options: string[]) => boolean): string | undefined {
  for (const line of mounts.split('\n')) {
    const [, folder, type, options] = line.split(' ')
    if (folder !== undefined && type !== undefined && matches(type, options?.split(',') ?? [])) return folder
  }
  return undefined
}

async function works(placement: Placement): Promise<boolean> {
  let group: Group | undefined
  try {
    group = await placement.prepare(`try-${randomBytes(8).toString('hex')}`, {})
    const [entry = ''] = group.entryFiles
    const child = spawn('/bin/sh', ['-c', 'echo 0 >"$1"', 'sh', entry], { stdio: 'ignore' })
    const [code] = (await once(child, 'exit')) as [number | null]
    return code === 0
  } catch {
    return false
  } finally {
    await group?.remove().catch(() => undefined)
  }
}
