import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Clock } from '../../base/clock.ts'
import { openRuns } from './run.ts'

export interface StrayOptions {
  /** `run/keepers/` of the home. */
  readonly folder: string
  /** Instances that look after their own runs. */
  readonly known: ReadonlySet<string>
  /** Between SIGTERM and SIGKILL. */
  readonly graceMs: number
  readonly clock: Clock
}

/** Ends what still runs for instances that are not known, for example because their file was damaged; gives their names. */
export async function endStrays({ folder, known, graceMs, clock }: StrayOptions): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => [])
  const names = entries.filter((entry) => entry.isDirectory() && !known.has(entry.name)).map(({ name }) => name)
  const ended: string[] = []
  for (const name of names) {
    const runs = (await openRuns(join(folder, name), clock)).filter(({ exit }) => exit === undefined)
    for (const run of runs) {
      run.watch()
      await run.signal('SIGTERM')
      if (!(await run.gone(graceMs))) await run.killAll()
      await run.refresh()
      await run.discard()
    }
    if (runs.length > 0) ended.push(name)
  }
  return ended
}
