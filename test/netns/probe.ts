/** Hosts that send and dial as they are told (probe-process.ts). */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const PROGRAM = fileURLToPath(new URL('./probe-process.ts', import.meta.url))

export type Told = Readonly<Record<string, string | number>>

export interface Probe {
  /** Orders it to do something; see probe-process.ts. */
  order(what: object): void
  /** The first thing that it told, or will tell, with all of these in it; undefined where it does not within the time. */
  told(what: Told, timeoutMs?: number): Promise<Told | undefined>
  stop(): Promise<void>
}

/** A probe in a namespace. The caller stops it. */
export function startProbe(namespace: string): Probe {
  const words = ['netns', 'exec', namespace, process.execPath, '--disable-warning=ExperimentalWarning', PROGRAM]
  const child = spawn('ip', words, { stdio: ['pipe', 'pipe', 'inherit'] })
  const lines: Told[] = []
  const waiting = new Set<() => void>()
  createInterface({ input: child.stdout }).on('line', (line) => {
    lines.push(JSON.parse(line) as Told)
    for (const wake of [...waiting]) wake()
  })
  return {
    order: (what) => void child.stdin.write(`${JSON.stringify(what)}\n`),
    told: (what, timeoutMs = 5000) =>
      new Promise((resolve) => {
        const find = (): Told | undefined =>
          lines.find((line) => Object.entries(what).every(([key, value]) => line[key] === value))
        const end = (told: Told | undefined): void => {
          clearTimeout(timer)
          waiting.delete(look)
          resolve(told)
        }
        const look = (): void => {
          const told = find()
          if (told !== undefined) end(told)
        }
        const timer = setTimeout(() => end(undefined), timeoutMs)
        waiting.add(look)
        look()
      }),
    stop: () => end(child),
  }
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = once(child, 'exit')
  child.kill('SIGKILL')
  await gone
}
