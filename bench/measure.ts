/** What the benches share: the shape of a result, programs in a folder of their own, and what the kernel says of a process. */
import { spawn } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The clone that is measured. */
export const ROOT = fileURLToPath(new URL('..', import.meta.url))
/** The launcher, as a person calls it. */
export const LAUNCHER = join(ROOT, 'warren')

/** What a figure must be; the figure's name ends in its unit. */
export interface Goal {
  readonly at_most?: number
  readonly at_least?: number
}

/** What a bench found. Peers are measured in the same run; one that is not on this machine is null. */
export interface Measured {
  readonly figures: Readonly<Record<string, number | null>>
  readonly peers: Readonly<Record<string, number | null>>
  readonly goal: Readonly<Record<string, Goal>>
}

/** What a bench works with. */
export interface BenchContext {
  /** A folder of its own, deleted at the end. */
  readonly folder: string
  /** Talk on stderr. */
  say(text: string): void
}

export type Bench = (context: BenchContext) => Promise<Measured>

export interface Ran {
  readonly code: number
  readonly out: string
  readonly err: string
  readonly ms: number
}

export interface RunOptions {
  readonly env?: Readonly<Record<string, string | undefined>>
  readonly cwd?: string
  /** Default 120 s, which ends what hangs. */
  readonly timeoutMs?: number
}

/** Runs a program to its end. Fails where it cannot be started or takes longer than the time-out. */
export async function run(words: readonly string[], options: RunOptions = {}): Promise<Ran> {
  const { env, cwd = tmpdir(), timeoutMs = 120_000 } = options
  const started = performance.now()
  const child = spawn(words[0] as string, words.slice(1), {
    cwd,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: timeoutMs,
  })
  let [out, err] = ['', '']
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    err += text
  })
  const code = await new Promise<number>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (status) => resolve(status ?? -1))
  })
  return { code, out, err, ms: performance.now() - started }
}

/** As `run`, and fails with what the program said where its exit code is not 0. */
export async function must(words: readonly string[], options: RunOptions = {}): Promise<Ran> {
  const ran = await run(words, options)
  if (ran.code !== 0) throw new Error(`${words.join(' ')} ended with ${ran.code}\n${ran.out}${ran.err}`)
  return ran
}

/** The middle one, or the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const half = sorted.length / 2
  return ((sorted[Math.floor(half)] as number) + (sorted[Math.ceil(half) - 1] as number)) / 2
}

/** Medians of the wall time of commands, run in turn so that a busy moment meets all of them. One run before does not count. */
export async function medianTimes(
  commands: Readonly<Record<string, readonly string[]>>,
  runs: number,
  options: RunOptions = {},
): Promise<Record<string, number>> {
  const times: Record<string, number[]> = {}
  for (let round = -1; round < runs; round++) {
    for (const [name, words] of Object.entries(commands)) {
      const { ms } = await must(words, options)
      if (round >= 0) times[name] = [...(times[name] ?? []), ms]
    }
  }
  return Object.fromEntries(Object.entries(times).map(([name, all]) => [name, median(all)]))
}

/** A folder in the system's temporary one while `work` runs. */
export async function withFolder<T>(work: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'warren-bench-'))
  try {
    return await work(folder)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** Memory of a process in bytes (proc(5), smaps_rollup). */
export interface Memory {
  /** Its own pages, and its share of those that others map too. */
  readonly pss: number
  /** Its own pages that no file holds. */
  readonly anonymous: number
}

/** The memory of a running process. */
export async function memoryOf(pid: number): Promise<Memory> {
  const text = await readFile(`/proc/${pid}/smaps_rollup`, 'utf8')
  const read = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(text)?.[1]) * 1024
  return { pss: read('Pss'), anonymous: read('Anonymous') }
}

/** Processor time that a process has used, in seconds. */
export async function cpuSecondsOf(pid: number): Promise<number> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8')
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  // Clock ticks of user and system; Linux tells them in 1/100 s on every platform that Node runs on.
  return (Number(fields[11]) + Number(fields[12])) / 100
}

/** The parent of a process. */
export async function parentOf(pid: number): Promise<number> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8')
  return Number(text.slice(text.lastIndexOf(')') + 2).split(' ')[1])
}

/** Bytes received on the loopback interface of the network namespace that a process lives in. */
export async function loopbackBytesOf(pid: number): Promise<number> {
  const text = await readFile(`/proc/${pid}/net/dev`, 'utf8')
  return Number(/^\s*lo:\s*(\d+)/m.exec(text)?.[1])
}

/** With at most so many digits after the point. */
export function round(value: number, digits = 0): number {
  return Number(value.toFixed(digits))
}

export const MB = 1_000_000
