import type { ProcessIdentity } from '../base/proc.ts'
import type { HealthCheck } from '../bundle/index.ts'
import type { ProbeSpec } from '../health/index.ts'
import type { MonitorTimes } from './health-monitor.ts'

/** How to look at a running version. */
export interface Check {
  readonly spec: ProbeSpec
  readonly times: MonitorTimes
}

/** The probe that a manifest's health check asks for; undefined where it is of a process that never was. */
export function checkOf(
  check: HealthCheck<number>,
  {
    process,
    folder,
    env,
  }: { process: ProcessIdentity | undefined; folder: string; env: Readonly<Record<string, string>> },
): Check | undefined {
  switch (check.type) {
    case 'http':
      return { spec: { type: 'http', port: check.port, path: check.path }, times: check }
    case 'tcp':
      return { spec: { type: 'tcp', port: check.port }, times: check }
    case 'command': {
      const [program = '', ...args] = check.command
      return { spec: { type: 'command', argv: [program, ...args], cwd: folder, env }, times: check }
    }
    case 'process':
      return process === undefined ? undefined : { spec: { type: 'process', process }, times: check }
  }
}
