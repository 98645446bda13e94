import { constants } from 'node:os'
import { formatDuration } from '../base/durations.ts'

/** How an app ended, for people and scripts. */
export interface AppExit {
  /** As a shell has it; null where nobody saw it. */
  readonly code: number | null
  /** When, in milliseconds since 1970. */
  readonly atMs: number
  /** How long it had run. */
  readonly afterMs: number
  /** Warren ended it: by a stop, a switch, or since the new version was not healthy. */
  readonly byWarren: boolean
}

/** `exit code 1`, `exit code 137 (SIGKILL or exit 137)`, `SIGTERM`: a shell cannot tell a signal from such a code. */
export function describeExit({ code, byWarren }: Pick<AppExit, 'code' | 'byWarren'>): string {
  if (code === null) return 'exit code unknown (its keeper was killed, or the machine restarted)'
  const signal = code > 128 ? signalName(code - 128) : undefined
  if (signal === undefined) return `exit code ${code}`
  return byWarren ? signal : `exit code ${code} (${signal} or exit ${code})`
}

/** `exit code 1 after 0.2 s, last line "boom"`. */
export function describeFailure(exit: AppExit, lastLine: string | undefined): string {
  return `${describeExit(exit)} after ${seconds(exit.afterMs)}${describeLastLine(lastLine)}`
}

/** `, last line "boom"`, or nothing. */
export function describeLastLine(lastLine: string | undefined): string {
  return lastLine === undefined ? '' : `, last line ${JSON.stringify(lastLine)}`
}

/** `0.2 s` also below a second, where `formatDuration` has milliseconds. */
function seconds(durationMs: number): string {
  return durationMs < 1000 ? `${(Math.max(0, durationMs) / 1000).toFixed(1)} s` : formatDuration(durationMs)
}

function signalName(number: number): string | undefined {
  return Object.entries(constants.signals).find(([, value]) => value === number)?.[0]
}
