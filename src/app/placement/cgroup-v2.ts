import { mkdir, readdir, readFile, rmdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Group, type Placement, signalAll } from './placement.ts'

/** A cgroup of its own for each run, under the daemon's own one in the unified hierarchy (cgroup-v2 in the kernel's docs). */
export function createCgroupV2(parent: string): Placement {
  return {
    kind: 'cgroup-v2',
    enforces: [],
    prepare: async (runId) => {
      const folder = join(parent, `warren-${runId}`)
      await mkdir(folder, { recursive: true })
      return openCgroupV2(folder)
    },
  }
}

/** The group in that folder, also after it is gone: it then has no members. */
export function openCgroupV2(folder: string): Group {
  return {
    kind: 'cgroup-v2',
    folder,
    entryFiles: [join(folder, 'cgroup.procs')],
    members: () => readMembers(folder),
    kill: async () => {
      try {
        await writeFile(join(folder, 'cgroup.kill'), '1')
      } catch (error) {
        // Before Linux 5.14 there is no such file.
        if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
        signalAll(await readMembers(folder), 'SIGKILL')
      }
    },
    freeze: async () => {
      await writeFile(join(folder, 'cgroup.freeze'), '1')
      while (/^frozen 0/m.test(await readFile(join(folder, 'cgroup.events'), 'utf8')));
    },
    thaw: () => ignoreMissing(writeFile(join(folder, 'cgroup.freeze'), '0')),
    remove: () => removeTree(folder),
  }
}

/** Members of the group and of the groups that its members made. */
async function readMembers(folder: string): Promise<number[]> {
  try {
    const own = await readFile(join(folder, 'cgroup.procs'), 'utf8')
    const inner = await Promise.all((await subfolders(folder)).map(readMembers))
    return [...own.split('\n').filter(Boolean).map(Number), ...inner.flat()]
  } catch (error) {
    if (['ENOENT', 'ENODEV'].includes((error as NodeJS.ErrnoException).code ?? '')) return []
    throw error
  }
}

async function subfolders(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true })
  return entries.filter((entry) => entry.isDirectory()).map((entry) => join(folder, entry.name))
}

async function removeTree(folder: string): Promise<void> {
  await ignoreMissing(subfolders(folder).then((inner) => Promise.all(inner.map(removeTree))))
  await ignoreMissing(rmdir(folder))
}

async function ignoreMissing(work: Promise<unknown>): Promise<void> {
  await work.catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error
  })
}
