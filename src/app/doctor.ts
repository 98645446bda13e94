import { type Check, lookAt } from '../base/check.ts'
import { pathExists } from '../base/files.ts'
import { type PlacementKind, pickPlacement } from './placement/index.ts'

const KEPT_BY: Record<Exclude<PlacementKind, 'none'>, string> = {
  'cgroup-v2': 'apps are kept in groups of the kernel (cgroup version 2)',
  'cgroup-v1': 'apps are kept in groups of the kernel (cgroup version 1)',
}

/** Looks at how apps are kept together on this machine; without a daemon, with `kind` left out, by trying. */
export async function checkPlacement(kind?: PlacementKind): Promise<Check[]> {
  const check = await lookAt('cgroups', async () => {
    const found = kind ?? (await pickPlacement()).kind
    if (found !== 'none') return { outcome: 'ok', message: KEPT_BY[found] }
    const hasSystemd = await pathExists('/run/systemd/system')
    return {
      outcome: 'warning',
      message: `no cgroups${hasSystemd ? ' of our own under systemd' : ' can be made here'}: apps are found by a mark in their environment`,
      hint: hasSystemd
        ? undefined
        : 'Run the daemon as root, or give it a cgroup of its own; a process that hides its mark is not stopped with its app.',
    }
  })
  return [check]
}
