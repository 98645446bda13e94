/** A daemon in a process of its own, which a test starts, watches and ends. */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { open, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type ApiClient, connectLocal } from '../../src/api/index.ts'
import { daemonContract } from '../../src/daemon/contract.ts'
import { memberContract } from '../../src/member/contract.ts'
import { compiledOnce } from '../program.ts'

const PROGRAM = fileURLToPath(new URL('daemon-process.ts', import.meta.url))
const FLAGS = ['--expose-gc', '--disable-warning=ExperimentalWarning', '--max-semi-space-size=2']

/** A daemon that holds on to something after its end is a leak. */
const STOP_TIMEOUT_MS = 60_000

/** Where a daemon lives and listens. */
export interface Place {
  readonly name: string
  readonly id: string
  readonly home: string
  readonly port: number
}

/** A daemon of a fleet. */
export interface Daemon extends Place {
  /** Multiaddr with the id at its end. */
  readonly address: string
  readonly env: NodeJS.ProcessEnv
  /** Of the process that runs, or ran last. */
  readonly pid: number
  start(): Promise<void>
  /** Ends it in order, and returns when the process is gone. */
  stop(): Promise<void>
  /** False once the process has ended, whatever the reason. */
  isAlive(): boolean
  /** Bytes that are in use after collecting garbage. */
  memory(): Promise<number>
  /** A client of its own door; `node` asks it to pass calls on. */
  client(node?: string): Promise<ApiClient>
  /** Fails where it does not answer, or is another process than at its start. */
  requireWell(): Promise<void>
  /** Names of the nodes that it is connected with. */
  peersUp(): Promise<string[]>
  /** All that it has logged. */
  log(): Promise<string>
}

/** A daemon that does not run yet. */
export function daemonAt(place: Place, env: NodeJS.ProcessEnv): Daemon {
  const { home, id, port } = place
  const logFile = join(home, 'daemon.log')
  const full = { ...env, WARREN_HOME: home }
  let child: ChildProcess | undefined
  const client = (node?: string): Promise<ApiClient> => connectLocal({ home, env: full, node })
  return {
    ...place,
    env: full,
    address: `/ip4/127.0.0.1/tcp/${port}/p2p/${id}`,
    get pid() {
      return child?.pid ?? 0
    },
    async start() {
      const log = await open(logFile, 'a')
      child = fork(PROGRAM, [home], {
        execArgv: FLAGS,
        env: compiledOnce(full),
        stdio: ['ignore', log.fd, log.fd, 'ipc'],
      })
      await log.close()
      await answerOf(child, logFile)
    },
    async stop() {
      if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
      const gone = once(child, 'exit')
      if (child.connected) child.send('stop')
      const timer = setTimeout(() => child?.kill('SIGKILL'), STOP_TIMEOUT_MS)
      const [, signal] = (await gone) as [number | null, string | null]
      clearTimeout(timer)
      if (signal !== null) throw new Error(`the daemon of ${home} did not end within ${STOP_TIMEOUT_MS} ms`)
    },
    isAlive: () => child !== undefined && child.exitCode === null && child.signalCode === null,
    async memory() {
      child?.send('memory')
      return (await answerOf<{ bytes: number }>(child as ChildProcess, logFile)).bytes
    },
    client,
    async requireWell() {
      const status = await (await client()).call(daemonContract.status, {})
      if (status.pid !== child?.pid) throw new Error(`another daemon answers in ${home}`)
    },
    async peersUp() {
      const rows = await (await client()).call(memberContract.list, {})
      return rows.filter(({ state }) => state === 'up').map(({ name }) => name)
    },
    log: () => readFile(logFile, 'utf8'),
  }
}

/** The next thing that a daemon says. Fails with the end of its log where it ends instead. */
function answerOf<T>(child: ChildProcess, logFile: string): Promise<T> {
  return new Promise((resolve, reject) => {
    const onExit = (code: number | null, signal: string | null): void => {
      readFile(logFile, 'utf8').then(
        (text) => reject(new Error(`a daemon ended with ${code ?? signal}\n${text.slice(-2000)}`)),
        reject,
      )
    }
    child.once('exit', onExit)
    child.once('message', (message) => {
      child.off('exit', onExit)
      resolve(message as T)
    })
  })
}
