/** 256 MiB from one node to another on loopback, verified and flushed, beside one node:tls stream that is thrown away. */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { type BenchContext, MB, type Measured, median, round } from './measure.ts'
import type { Order } from './transfer-node.ts'

const BYTES = 256 * 1024 * 1024
const RUNS = 5
/** As `daemon start` has it. */
const DAEMON_FLAGS = ['--disable-warning=ExperimentalWarning', '--max-semi-space-size=2']
const NODE = fileURLToPath(new URL('transfer-node.ts', import.meta.url))

interface Source {
  readonly digest: string
  readonly peer: string
  readonly addresses: string[]
  readonly port: number
}

interface Report {
  readonly cpuMs: number
  readonly peakBytes: number
}

export async function bench({ say }: BenchContext): Promise<Measured> {
  say(`packing ${BYTES / MB} MB that do not compress`)
  const { child: source, first } = await startEnd<Source>('source')
  try {
    const runs: Run[] = []
    for (let turn = 0; turn < RUNS; turn++) {
      say(`run ${turn + 1} of ${RUNS}`)
      runs.push(await transferOnce(source, first))
    }
    const figure = (read: (run: Run) => number): number => median(runs.map(read))
    return {
      figures: {
        transfer_mb_per_s: round(figure(({ ms }) => BYTES / MB / (ms / 1000))),
        source_cpu_ms: round(figure(({ sourceCpuMs }) => sourceCpuMs)),
        target_cpu_ms: round(figure(({ targetCpuMs }) => targetCpuMs)),
        target_peak_rss_mb: round(figure(({ targetPeakBytes }) => targetPeakBytes / MB)),
      },
      peers: { node_tls_mb_per_s: round(figure(({ tlsMs }) => BYTES / MB / (tlsMs / 1000))) },
      goal: {},
    }
  } finally {
    await stopEnd(source)
  }
}

interface Run {
  readonly ms: number
  readonly tlsMs: number
  readonly sourceCpuMs: number
  readonly targetCpuMs: number
  readonly targetPeakBytes: number
}

async function transferOnce(source: ChildProcess, first: Source): Promise<Run> {
  const { child: target } = await startEnd('target')
  try {
    const before = await Promise.all([ask<Report>(source, { do: 'report' }), ask<Report>(target, { do: 'report' })])
    const { ms } = await ask<{ ms: number }>(target, { do: 'fetch', ...first })
    const after = await Promise.all([ask<Report>(source, { do: 'report' }), ask<Report>(target, { do: 'report' })])
    const tls = await ask<{ ms: number }>(target, { do: 'tls', port: first.port, bytes: BYTES })
    return {
      ms,
      tlsMs: tls.ms,
      sourceCpuMs: after[0].cpuMs - before[0].cpuMs,
      targetCpuMs: after[1].cpuMs - before[1].cpuMs,
      targetPeakBytes: after[1].peakBytes,
    }
  } finally {
    await stopEnd(target)
  }
}

async function startEnd<T>(role: 'source' | 'target'): Promise<{ child: ChildProcess; first: T }> {
  const child = fork(NODE, [role, String(BYTES)], { execArgv: DAEMON_FLAGS })
  return { child, first: await answer<T>(child) }
}

async function stopEnd(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || !child.connected) return
  const ended = once(child, 'exit')
  child.send({ do: 'stop' } satisfies Order)
  await ended
}

function ask<T>(child: ChildProcess, order: Order): Promise<T> {
  child.send(order)
  return answer<T>(child)
}

/** The next thing it says. Fails where it ends instead. */
function answer<T>(child: ChildProcess): Promise<T> {
  return new Promise((resolve, reject) => {
    const onExit = (code: number | null): void => reject(new Error(`a node of the bench ended with ${code}`))
    child.once('exit', onExit)
    child.once('message', (message) => {
      child.off('exit', onExit)
      resolve(message as T)
    })
  })
}
