import type { AppStatus } from './contract.ts'
import { describeExit } from './exit-text.ts'
import type { Instance } from './instance.ts'

/** What `list` and `app status` show of an instance, now. */
export function statusOf(
  instance: Instance,
  { nodeName, placement, nowMs }: { nodeName: string; placement: string; nowMs: number },
): AppStatus {
  const { state, run, lastExit } = instance
  const version = run?.launch.version ?? state.active
  return {
    node: nodeName,
    app: instance.name,
    version,
    status: instance.status,
    health: instance.health,
    pid: run?.app?.pid ?? null,
    since: iso(instance.sinceMs),
    restarts: state.restarts,
    ports: state.ports,
    seen: iso(nowMs),
    package: state.package,
    digest: state.versions.find((entry) => entry.version === version)?.digest ?? null,
    generation: state.generation,
    desired: state.desired,
    placement,
    reason: instance.reason,
    exit_code: run === undefined ? (lastExit?.code ?? null) : null,
    exit: run === undefined && lastExit !== undefined ? describeExit(lastExit) : null,
    pending: state.pending?.to ?? null,
  }
}

/** ISO 8601 in UTC. */
export function iso(timeMs: number): string {
  return new Date(timeMs).toISOString()
}
