/** The real program on the hosts of an internet: a home on each, commands, daemons. */
import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import { programPath } from '../program.ts'
import type { Internet } from './internet.ts'
import { killAllIn } from './namespaces.ts'

/** Where a node listens by default. */
const PORT = 9010
/** A command that takes longer than this hangs: the longest wait of the program is shorter. */
const COMMAND_TIMEOUT_MS = 60_000

export interface Ran {
  readonly code: number
  readonly out: string
  readonly err: string
}

export type Child = ChildProcessByStdio<Writable, Readable, Readable>

/** A host with a home of Warren. */
export interface Machine {
  readonly host: string
  readonly home: string
  /** Starts `warren WORDS`; the caller waits for it or ends it. */
  start(words: readonly string[]): Child
  /** Starts any program on the host, in the environment of `start`. */
  startProgram(words: readonly string[]): Child
  /** The words of `warren` on the host, for programs that run it. */
  readonly warren: readonly string[]
  /** Runs it to its end, without input. */
  run(words: readonly string[]): Promise<Ran>
  /** As `run`; fails with what it said where it fails. What it printed. */
  must(words: readonly string[]): Promise<string>
  /** What it printed with --json. */
  json<T>(words: readonly string[]): Promise<T>
  /** Each line of --json as it comes, until the signal; then the program is ended. */
  follow<T>(words: readonly string[], onLine: (line: T) => void, signal: AbortSignal): Promise<void>
  /** `daemon start`, with further variables of the environment. */
  startDaemon(env?: Readonly<Record<string, string>>): Promise<void>
  stopDaemon(): Promise<void>
  /** Ends all that runs on the host at once, as without power. */
  crash(): void
}

export interface MachineInit {
  readonly internet: Internet
  readonly host: string
  /** Homes are made in it, one a host. */
  readonly folder: string
  /** Of every command; a config as WARREN_SECTION_KEY. */
  readonly env?: Readonly<Record<string, string>>
}

/** Warren on a host. Builds the program, the first time. Who removes the internet ends what runs here. */
export async function warrenOn({ internet, host, folder, env = {} }: MachineInit): Promise<Machine> {
  const main = await programPath()
  const place = join(folder, host)
  await mkdir(place, { recursive: true })
  const home = join(place, 'home')
  const warren = [process.execPath, NO_WARNING, main]
  const startProgram = (words: readonly string[], more: Readonly<Record<string, string>> = {}): Child =>
    spawn('ip', ['netns', 'exec', internet.namespaceOf(host), ...words], {
      env: { PATH: process.env.PATH, HOME: place, WARREN_HOME: home, LANG: 'C.UTF-8', ...env, ...more },
      cwd: place,
      stdio: ['pipe', 'pipe', 'pipe'],
      detached: true,
    })
  const start: typeof startProgram = (words, more) => startProgram([...warren, ...words], more)
  const run: Machine['run'] = (words) => endOf(start(words))
  const must: Machine['must'] = async (words) => outOf(await run(words), `warren ${words.join(' ')} on ${host}`)
  return {
    host,
    home,
    start,
    startProgram,
    warren,
    run,
    must,
    json: async (words) => JSON.parse(await must([...words, '--json'])),
    follow: (words, onLine, signal) => follow(start([...words, '--json']), onLine as (line: unknown) => void, signal),
    startDaemon: async (more) => {
      outOf(await endOf(start(['daemon', 'start'], more)), `warren daemon start on ${host}`)
    },
    stopDaemon: async () => void (await must(['daemon', 'stop'])),
    crash: () => killAllIn(internet.namespaceOf(host)),
  }
}

/** Makes a machine the first of a network, or lets it in by a code of one that is in; its daemon runs afterwards. */
export async function enter(machine: Machine, by?: Machine): Promise<void> {
  if (by === undefined) {
    await machine.must(['init', '--name', machine.host])
    await machine.startDaemon()
  } else {
    const code = await by.must(['invite', '--non-interactive', '--name', machine.host])
    await machine.must(['join', code.trim(), '--json'])
  }
}

/** The address of a public machine that is in, as `relay.servers` wants it. */
export async function addressOf(machine: Machine, internet: Internet): Promise<string> {
  const nodes = await machine.json<{ id: string; state: string }[]>(['nodes'])
  const self = nodes.find(({ state }) => state === 'self')
  if (self === undefined) throw new Error(`${machine.host} does not know itself`)
  return `/ip4/${internet.addressOf(machine.host)}/tcp/${PORT}/p2p/${self.id}`
}

const NO_WARNING = '--disable-warning=ExperimentalWarning'

function outOf({ code, out, err }: Ran, what: string): string {
  if (code !== 0) throw new Error(`${what} ended with ${code}\n${out}\n${err}`)
  return out
}

/** What a program printed until its end, with nothing or this as its input. Killed where that takes a minute. */
export async function endOf(child: Child, input = ''): Promise<Ran> {
  let [out, err] = ['', '']
  child.stdin.on('error', () => undefined)
  child.stdin.end(input)
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    err += text
  })
  const timer = setTimeout(() => child.kill('SIGKILL'), COMMAND_TIMEOUT_MS)
  const code = await new Promise<number>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (status) => resolve(status ?? -1))
  })
  clearTimeout(timer)
  return { code, out, err }
}

async function follow(child: Child, onLine: (line: unknown) => void, signal: AbortSignal): Promise<void> {
  child.stdin.end()
  child.stderr.resume()
  createInterface({ input: child.stdout }).on('line', (line) => onLine(JSON.parse(line)))
  const end = (): void => void child.kill('SIGKILL')
  signal.addEventListener('abort', end)
  if (signal.aborted) end()
  await new Promise((resolve) => child.once('close', resolve))
  signal.removeEventListener('abort', end)
}
