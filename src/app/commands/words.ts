import { formatDuration } from '../../base/durations.ts'
import type { AppRow, AppStatus } from '../contract.ts'

/** `running 2.0.0 (pid 412), healthy`. */
export function describeState(status: AppStatus): string {
  const version = status.version === null ? '' : ` ${status.version}`
  const pid = status.pid === null ? '' : ` (pid ${status.pid})`
  const health = status.status === 'running' && status.health !== 'none' ? `, ${status.health}` : ''
  const reason = status.reason === null ? '' : `: ${status.reason}`
  return `${status.status}${version}${pid}${health}${reason}`
}

/** `web 41873, admin 41874`. */
export function describePorts(ports: AppRow['ports']): string {
  return Object.entries(ports)
    .map(([name, port]) => `${name} ${port}`)
    .join(', ')
}

/** How long ago a time was, for people. */
export function describeAge(time: string, nowMs = Date.now()): string {
  return formatDuration(Math.max(0, nowMs - Date.parse(time)))
}
