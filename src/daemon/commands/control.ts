import { spawn } from 'node:child_process'
import { mkdir, open, rename, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { connectLocal } from '../../api/index.ts'
import { WarrenError } from '../../base/errors.ts'
import { identityOfProcess, isProcessAlive } from '../../base/proc.ts'
import { sleep } from '../../base/wait.ts'
import type { CommandContext } from '../../command/index.ts'
import { daemonContract } from '../contract.ts'
import { daemonErrors } from '../errors.ts'
import { requireNode } from '../home.ts'
import { READY_DESCRIPTOR, type ReadyMessage } from '../ready.ts'

/** The specification's limit for the start of a node is 3 s; a machine under load gets ten times that. */
const START_TIMEOUT_MS = 30_000
/** Time for streams to end and files to be flushed; apps are not waited for. */
const STOP_TIMEOUT_MS = 20_000
const POLL_MS = 20
/** Weeks of an ordinary node; looked at when the daemon starts. */
const MAX_LOG_BYTES = 10_000_000
/**
 * A daemon makes little garbage at rest, and V8 never gives back what its nursery has grown to by default: 14 MB more
 * for nothing. Moving packages is not slower with it (docs/benchmarks.md).
 */
const MEMORY_FLAGS = ['--max-semi-space-size=2']

/** Secrets of one command. A daemon has no use for them, and apps of the same user can read its environment. */
const SECRETS = ['WARREN_INVITE', 'WARREN_TOKEN', 'WARREN_NEW_PASSPHRASE', 'WARREN_NEW_PASSPHRASE_FILE']

/** The environment of a daemon that is started by a command with this one. */
export function daemonEnvironment(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !SECRETS.includes(name)))
}

/** The pid of the daemon that answers in the home; undefined where none does. */
export async function runningPid(context: CommandContext): Promise<number | undefined> {
  try {
    const client = await connectLocal({ home: context.home, env: context.env })
    return (await client.call(daemonContract.status, {}, { signal: context.signal })).pid
  } catch (error) {
    if (error instanceof WarrenError && error.code === 'daemon_not_running') return undefined
    throw error
  }
}

/**
 * Starts the daemon of the home in the background and gives its pid once it answers. Its log is `daemon.log` in the
 * home. Fails with what the daemon itself failed with, `home_not_found`, or `daemon_start_failed`.
 */
export async function startInBackground(context: CommandContext): Promise<number> {
  await requireNode(context.home, context.config)
  await mkdir(context.home, { recursive: true, mode: 0o700 })
  const logPath = join(context.home, 'daemon.log')
  await rotateLog(logPath)
  const log = await open(logPath, 'a', 0o600)
  const [interpreter, ...flags] = context.program as [string, ...string[]]
  const config = context.config === undefined ? [] : ['--config', context.config]
  try {
    const child = spawn(interpreter, [...MEMORY_FLAGS, ...flags, '--home', context.home, ...config, 'daemon', 'run'], {
      cwd: '/',
      detached: true,
      env: { ...daemonEnvironment(context.env), [READY_DESCRIPTOR]: '3' },
      stdio: ['ignore', log.fd, log.fd, 'pipe'],
    })
    child.unref()
    const pipe = child.stdio[3] as Readable
    return await readReady(pipe, logPath)
  } finally {
    await log.close()
  }
}

/** Starts a new log where the last one has grown large; the one before it is kept as `.1`. */
async function rotateLog(path: string): Promise<void> {
  const { size } = await stat(path).catch(() => ({ size: 0 }))
  if (size > MAX_LOG_BYTES) await rename(path, `${path}.1`)
}

async function readReady(pipe: Readable, logPath: string): Promise<number> {
  const timer = setTimeout(() => pipe.destroy(), START_TIMEOUT_MS)
  let text = ''
  try {
    for await (const part of pipe.setEncoding('utf8')) text += part
  } catch {
    // Destroyed by the timer: the text tells that nothing was said.
  } finally {
    clearTimeout(timer)
    pipe.destroy()
  }
  if (text === '')
    throw daemonErrors.daemon_start_failed('the daemon ended before it was ready', { hint: `Read its log: ${logPath}` })
  const message = JSON.parse(text) as ReadyMessage
  if ('ready' in message) return message.ready.pid
  const { code, status, message: what, hint } = message.error
  throw new WarrenError(code, status, what, { hint: hint ?? `Read its log: ${logPath}` })
}

/** Stops the daemon of the home and returns when its process is gone. Fails with `daemon_not_running`, `daemon_stop_failed`. */
export async function stopDaemon(
  context: CommandContext,
  { apps }: { apps: boolean },
): Promise<{ pid: number; apps_stopped: string[] }> {
  const client = await connectLocal({ home: context.home, env: context.env })
  const { pid } = await client.call(daemonContract.status, {}, { signal: context.signal })
  const identity = identityOfProcess(pid)
  const stopped = await client.call(daemonContract.stop, { body: { apps } }, { signal: context.signal })
  const deadline = performance.now() + STOP_TIMEOUT_MS
  while (identity !== undefined && isProcessAlive(identity)) {
    if (performance.now() > deadline) {
      throw daemonErrors.daemon_stop_failed(
        `the daemon (pid ${stopped.pid}) still runs after ${STOP_TIMEOUT_MS / 1000} s`,
        { hint: `Look at ${join(context.home, 'daemon.log')}, then: kill ${stopped.pid}` },
      )
    }
    await sleep(POLL_MS, { signal: context.signal })
  }
  return stopped
}
