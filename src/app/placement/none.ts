import { readdirSync, readFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { basename } from 'node:path'
import { hasEnvironmentEntry, listProcesses, type ProcessStat, parseProcessStat } from '../../base/proc.ts'
import { type Group, type Placement, signalAll } from './placement.ts'

/** The variable that marks all processes of a run; the value is the run's random id. */
export const RUN_VARIABLE = 'WARREN_RUN'

/**
 * No group at all: the processes of a run are found by the mark in their environment, the session that the keeper made,
 * and their parents. Only a process that does away with all three escapes. It holds no limits.
 */
export const nonePlacement: Placement = {
  kind: 'none',
  enforces: [],
  prepare: async (runId) => openMarkedGroup(runId),
}

/** The group of a run that is found by its mark. */
export function openMarkedGroup(runId: string): Group {
  const members = async (): Promise<number[]> => (await findMarked(runId)).members
  return {
    kind: 'none',
    folder: null,
    entryFiles: [],
    members,
    kill: async () => signalAll(await members(), 'SIGKILL'),
    freeze: async () => {
      // A process may be born while the others are being stopped; again until all that are found stand still.
      for (;;) {
        const moving = (await members()).filter((pid) => !isStopped(pid))
        if (moving.length === 0) return
        signalAll(moving, 'SIGSTOP')
      }
    },
    thaw: async () => signalAll(await members(), 'SIGCONT'),
    remove: async () => undefined,
  }
}

/** The keeper of a run, where it lives, and all other processes of the run. */
export async function findMarked(runId: string): Promise<{ keeper: number | undefined; members: number[] }> {
  const all = await listProcesses()
  const marked: ProcessStat[] = []
  for (const stat of all) {
    if (await hasEnvironmentEntry(stat.pid, `${RUN_VARIABLE}=${runId}`)) marked.push(stat)
  }
  // The keeper leads the session, and is known from an app that made a session of its own by its words.
  let keeper: ProcessStat | undefined
  for (const stat of marked) if (stat.pid === stat.session && (await isKeeper(stat.pid, runId))) keeper = stat
  // A session counts where its leader is marked, or gone: else a marked process stands in a session of somebody else.
  const isForeign = (session: number): boolean =>
    all.some(({ pid }) => pid === session) && !marked.some(({ pid }) => pid === session)
  const sessions = new Set(marked.map((stat) => stat.session).filter((session) => !isForeign(session)))
  const found = new Set(all.filter((stat) => sessions.has(stat.session)).map((stat) => stat.pid))
  for (const stat of marked) found.add(stat.pid)
  for (let grew = true; grew; ) {
    grew = false
    for (const stat of all) {
      if (!found.has(stat.pid) && found.has(stat.parentPid)) {
        found.add(stat.pid)
        grew = true
      }
    }
  }
  if (keeper !== undefined) found.delete(keeper.pid)
  found.delete(process.pid)
  return { keeper: keeper?.pid, members: [...found] }
}

async function isKeeper(pid: number, runId: string): Promise<boolean> {
  const words = (await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')).split('\0')
  return /\/keeper-v\d+\.sh$/.test(words[1] ?? '') && basename(words[2] ?? '') === runId
}

/** True where every thread stands still: a signal that was sent may not have arrived yet. */
function isStopped(pid: number): boolean {
  try {
    const threads = readdirSync(`/proc/${pid}/task`)
    return threads.every((thread) => {
      const stat = parseProcessStat(readFileSync(`/proc/${pid}/task/${thread}/stat`, 'latin1'))
      return stat === undefined || !['R', 'S', 'D'].includes(stat.state)
    })
  } catch {
    return true
  }
}
