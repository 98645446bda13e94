import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { readFileBounded } from '../../base/files.ts'
import { type ProcessIdentity, parseProcessStat } from '../../base/proc.ts'

/** What the daemon writes before a run begins. */
export const LAUNCH_FILE = 'launch.json'

/** A run folder holds a few short lines; more is damage. */
const MAX_FILE_BYTES = 64 * 1024

const launchSchema = z.object({
  format: z.literal(1),
  version: z.string(),
  bootId: z.string(),
  startedAtMs: z.number(),
  placement: z.enum(['none', 'cgroup-v1', 'cgroup-v2']),
  group: z.string().nullable(),
  logOffsets: z.object({ stdout: z.number(), stderr: z.number() }),
})

/** How a run was begun; `launch.json` of its folder. */
export type Launch = z.output<typeof launchSchema>

/** How the app's own process ended. */
export interface RunExit {
  /** As a shell has it: above 128 it may be a signal. null where nobody saw it: the keeper was killed, or the machine restarted. */
  readonly code: number | null
  /** Milliseconds since 1970. */
  readonly atMs: number
}

/** `launch.json` of a run folder; undefined where it is missing or damaged. */
export async function readLaunch(folder: string): Promise<Launch | undefined> {
  try {
    const bytes = await readFileBounded(join(folder, LAUNCH_FILE), MAX_FILE_BYTES)
    return bytes === undefined ? undefined : launchSchema.parse(JSON.parse(bytes.toString('utf8')))
  } catch {
    return undefined
  }
}

/** The app's process and its keeper, as the subshell wrote them down; undefined while it has not. */
export async function readPid(
  folder: string,
  launch: Launch,
): Promise<{ app: ProcessIdentity; keeperPid: number } | undefined> {
  const line = (await readFileBounded(join(folder, 'pid'), MAX_FILE_BYTES))?.toString('latin1')
  if (line === undefined || !line.endsWith('\n')) return undefined
  const parsed = parseProcessStat(line)
  if (parsed === undefined) return undefined
  return {
    app: { pid: parsed.pid, startTicks: parsed.startTicks, bootId: launch.bootId },
    keeperPid: parsed.parentPid,
  }
}

/** The exit that the keeper recorded as the name of a file; its time is that of the renaming. */
export async function readExit(folder: string): Promise<RunExit | undefined> {
  const names = await readdir(folder).catch(() => [])
  for (const name of names) {
    const code = /^exit\.(\d{1,3})$/.exec(name)?.[1]
    if (code !== undefined) return { code: Number(code), atMs: (await stat(join(folder, name))).ctimeMs }
  }
  return undefined
}
