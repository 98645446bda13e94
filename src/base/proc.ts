import { readFileSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'

/** What tells a process from every other, also after its pid was used again or the machine was started anew. */
export interface ProcessIdentity {
  readonly pid: number
  /** Field 22 of `/proc/PID/stat`: clock ticks between boot and the start of the process, as text. */
  readonly startTicks: string
  /** `/proc/sys/kernel/random/boot_id`. */
  readonly bootId: string
}

/** A line of `/proc/PID/stat`, the fields that matter here (proc(5)). */
export interface ProcessStat {
  readonly pid: number
  readonly state: string
  readonly parentPid: number
  readonly session: number
  readonly startTicks: string
}

/** The id of this boot of the machine. */
export function bootId(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
}

/** The fields of a `/proc/PID/stat` line; undefined where it is none. The name in it may hold spaces and brackets. */
export function parseProcessStat(line: string): ProcessStat | undefined {
  const nameEnd = line.lastIndexOf(')')
  const pid = Number.parseInt(line, 10)
  if (nameEnd < 0 || !Number.isSafeInteger(pid)) return undefined
  const fields = line.slice(nameEnd + 2).split(' ')
  const [state, parentPid, , session] = fields
  const startTicks = fields[19]
  if (state === undefined || startTicks === undefined || !/^\d+$/.test(startTicks)) return undefined
  return { pid, state, parentPid: Number(parentPid), session: Number(session), startTicks }
}

/** The state of a process now; undefined where there is none of that pid. */
export function readProcessStat(pid: number): ProcessStat | undefined {
  try {
    return parseProcessStat(readFileSync(`/proc/${pid}/stat`, 'latin1'))
  } catch {
    return undefined
  }
}

/** The identity of a running process; undefined where there is none of that pid. */
export function identityOfProcess(pid: number): ProcessIdentity | undefined {
  const stat = readProcessStat(pid)
  return stat === undefined ? undefined : { pid: stat.pid, startTicks: stat.startTicks, bootId: bootId() }
}

/** True while exactly that process runs; a zombie has ended. */
export function isProcessAlive(identity: ProcessIdentity): boolean {
  const stat = readProcessStat(identity.pid)
  return (
    stat !== undefined && stat.startTicks === identity.startTicks && !hasEnded(stat) && identity.bootId === bootId()
  )
}

/** All processes of the machine that this user may see, zombies left out. */
export async function listProcesses(): Promise<ProcessStat[]> {
  const names = await readdir('/proc')
  const stats = names.filter((name) => /^\d+$/.test(name)).map((name) => readProcessStat(Number(name)))
  return stats.filter((stat) => stat !== undefined && !hasEnded(stat)) as ProcessStat[]
}

/** True where the environment that the process was started with holds `NAME=value` exactly. False where it may not be read. */
export async function hasEnvironmentEntry(pid: number, entry: string): Promise<boolean> {
  const environment = await readFile(`/proc/${pid}/environ`, 'latin1').catch(() => '')
  return `\0${environment}`.includes(`\0${entry}\0`)
}

function hasEnded(stat: ProcessStat): boolean {
  return stat.state === 'Z' || stat.state === 'X'
}
