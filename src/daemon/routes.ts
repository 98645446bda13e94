import { implement, type Route } from '../api/index.ts'
import type { Apps } from '../app/index.ts'
import type { Check } from '../base/check.ts'
import type { Roster } from '../identity/index.ts'
import type { Directory } from '../member/index.ts'
import type { Network } from '../net/index.ts'
import { daemonContract } from './contract.ts'

export interface DaemonParts {
  readonly network: Network
  readonly directory: Directory
  readonly roster: Roster
  readonly apps: Apps
  /** Further sentences for people. */
  readonly problems: () => readonly string[]
  /** Looks for what is wrong. */
  readonly examine: () => Promise<Check[]>
  readonly version: string
  /** `performance.now()` when the start began. */
  readonly startedMs: number
  readonly stop: () => Promise<void>
  readonly openApi: () => Record<string, unknown>
}

export function daemonRoutes({
  network,
  directory,
  roster,
  apps,
  problems,
  examine,
  version,
  startedMs,
  stop,
  openApi,
}: DaemonParts): Route[] {
  let stopping = false
  return [
    implement(daemonContract.status, () => ({
      id: network.id,
      name: directory.self.name,
      version,
      pid: process.pid,
      uptime_seconds: Math.floor((performance.now() - startedMs) / 1000),
      peers: new Set(network.connections().map(({ peer }) => peer)).size,
      apps: apps.list().length,
      state: stopping ? ('stopping' as const) : ('running' as const),
      network: roster.networkId,
      role: roster.roleOf(network.id) ?? 'none',
      addresses: network.addresses(),
      placement: apps.placement,
      problems: [...apps.problems().map(({ instance, message }) => `${instance}: ${message}`), ...problems()],
    })),
    implement(daemonContract.doctor, examine),
    implement(daemonContract.stop, async ({ body }) => {
      const stopped = body.apps ? await apps.stopAll() : []
      stopping = true
      // The answer goes out first.
      setImmediate(() => void stop())
      return { pid: process.pid, apps_stopped: stopped }
    }),
    implement(daemonContract.openapi, openApi),
  ]
}
