import { spawn } from 'node:child_process'
import { endedReason, failed, type ProbeOptions, type ProbeResult, probeSignal } from './result.ts'

/** A program that says by its exit code whether all is well. */
export interface CommandProbe {
  readonly type: 'command'
  /** Program and arguments; no shell unless it is named here. */
  readonly argv: readonly [string, ...string[]]
  readonly cwd: string
  readonly env: Readonly<Record<string, string>>
}

/** More of a command's output is not kept for the reason. */
const MAX_OUTPUT_BYTES = 1024

/**
 * Well when the command ends with exit code 0. It runs in a process group of its own, which is killed whole when the
 * probe ends.
 */
export function probeCommand({ argv, cwd, env }: CommandProbe, options: ProbeOptions): Promise<ProbeResult> {
  const [file, ...args] = argv
  return new Promise((resolve) => {
    const signal = probeSignal(options)
    const child = spawn(file, args, { cwd, env: { ...env }, detached: true, stdio: ['ignore', 'pipe', 'pipe'] })
    let output = Buffer.alloc(0)
    const keep = (data: Buffer): void => {
      output = Buffer.concat([output, data]).subarray(-MAX_OUTPUT_BYTES)
    }
    child.stdout.on('data', keep)
    child.stderr.on('data', keep)
    const finish = (result: ProbeResult): void => {
      signal.removeEventListener('abort', onAbort)
      killGroup(child.pid)
      child.stdout.destroy()
      child.stderr.destroy()
      resolve(result)
    }
    const onAbort = (): void => finish(failed(endedReason(`command ${file}`, options)))
    signal.addEventListener('abort', onAbort, { once: true })
    if (signal.aborted) onAbort()
    child.on('error', (error) => finish(failed(`command ${file}: ${error.message}`)))
    child.on('exit', (code, killedBy) => {
      if (code === 0) return finish({ ok: true })
      setImmediate(() => finish(failed(`command ${file} ended with ${killedBy ?? `exit code ${code}`}${said(output)}`)))
    })
  })
}

function said(output: Buffer): string {
  const line = output.toString('utf8').trim().split('\n').at(-1) ?? ''
  return line === '' ? '' : `: ${line.slice(0, 200)}`
}

function killGroup(pid: number | undefined): void {
  if (pid === undefined) return
  try {
    process.kill(-pid, 'SIGKILL')
  } catch {
    // Nobody of the group is left.
  }
}
