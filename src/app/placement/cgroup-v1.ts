import { mkdir, readFile, rmdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Group, type Placement, signalAll } from './placement.ts'

/** A group of its own for each run in the freezer hierarchy of cgroups version 1, under the daemon's own one. */
export function createCgroupV1(parent: string): Placement {
  return {
    kind: 'cgroup-v1',
    enforces: [],
    prepare: async (runId) => {
      const folder = join(parent, `warren-${runId}`)
      await mkdir(folder, { recursive: true })
      return openCgroupV1(folder)
    },
  }
}

/** The group in that folder, also after it is gone: it then has no members. */
export function openCgroupV1(folder: string): Group {
  const setState = async (state: 'FROZEN' | 'THAWED'): Promise<void> => {
    const file = join(folder, 'freezer.state')
    try {
      await writeFile(file, state)
      // The kernel reports FREEZING until the last one stands still, and wants to be asked.
      while ((await readFile(file, 'utf8')).trim() !== state);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    }
  }
  return {
    kind: 'cgroup-v1',
    folder,
    entryFiles: [join(folder, 'cgroup.procs')],
    members: () => readMembers(folder),
    kill: async () => {
      // Frozen, so that none is born while the others are killed; the signals act at the thaw.
      await setState('FROZEN')
      try {
        signalAll(await readMembers(folder), 'SIGKILL')
      } finally {
        await setState('THAWED')
      }
    },
    freeze: () => setState('FROZEN'),
    thaw: () => setState('THAWED'),
    remove: async () => {
      await rmdir(folder).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== 'ENOENT') throw error
      })
    },
  }
}

async function readMembers(folder: string): Promise<number[]> {
  try {
    return (await readFile(join(folder, 'cgroup.procs'), 'utf8')).split('\n').filter(Boolean).map(Number)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}
