/** What really runs, as the kernel tells it, whatever any daemon says. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { hasEnvironmentEntry, listProcesses } from '../../src/base/proc.ts'

export interface AppProcess {
  readonly pid: number
  readonly version: string
}

/** The processes of an app of a home, without the shells that keep them. */
export async function appProcesses(home: string, app: string): Promise<AppProcess[]> {
  const found: AppProcess[] = []
  for (const { pid } of await listProcesses()) {
    if (!(await hasEnvironmentEntry(pid, `WARREN_DATA=${join(home, 'apps', app, 'data')}`))) continue
    const words = (await readFile(`/proc/${pid}/cmdline`, 'latin1').catch(() => '')).split('\0')
    const variables = (await readFile(`/proc/${pid}/environ`, 'latin1').catch(() => '')).split('\0')
    const version = variables.find((entry) => entry.startsWith('WARREN_VERSION='))?.split('=')[1]
    if (version === undefined || words[0] === '' || /keeper-v\d+\.sh$/.test(words[1] ?? '')) continue
    found.push({ pid, version })
  }
  return found
}
