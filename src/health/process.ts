import { isProcessAlive, type ProcessIdentity } from '../base/proc.ts'
import { failed, type ProbeResult } from './result.ts'

/** A process of this machine, known by pid, start time and boot. */
export interface ProcessProbe {
  readonly type: 'process'
  readonly process: ProcessIdentity
}

/** Well while exactly that process lives. */
export function probeProcess({ process }: ProcessProbe): ProbeResult {
  return isProcessAlive(process) ? { ok: true } : failed(`process ${process.pid} has ended`)
}
