/** One encrypted stream between two processes on loopback, with the network key on, beside plain node:tls in the same run. */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { type BenchContext, cpuSecondsOf, MB, type Measured, median, round } from './measure.ts'
import type { Order, Way } from './stream-node.ts'

const BYTES = 512 * 1024 * 1024
const SLOW_BYTES = 200 * MB
const SLEEP_MS = 3_000
const RUNS = 7
const ECHO_ROUNDS = 2_000
const OURS: readonly Way[] = ['tls', 'noise', 'websocket']
const NO_WARNING = '--disable-warning=ExperimentalWarning'
/** As `daemon start` has it. */
const DAEMON_FLAGS = [NO_WARNING, '--max-semi-space-size=2']
/**
 * A bare node:tls reader allocates so little else that its buffers pile up until whole heaps are marked, which takes two
 * thirds of its time with the daemon's flags or none. So it runs with several, and the fastest round of them all is the
 * baseline: what this machine can do with node:tls.
 */
const BASELINES: Readonly<Record<string, readonly string[]>> = {
  'node-tls default': [NO_WARNING],
  'node-tls 1 MB': [NO_WARNING, '--max-semi-space-size=1'],
  'node-tls 2 MB': DAEMON_FLAGS,
}
const NODE = fileURLToPath(new URL('stream-node.ts', import.meta.url))

/** The two ends of one way; both are processes of their own. */
interface Pair {
  readonly listener: ChildProcess
  readonly dialler: ChildProcess
}

/** One stream read to its end. The processor's time says more than the clock where other programs run. */
interface Run {
  readonly mbPerSecond: number
  readonly cpuMs: number
}

type Runs = Map<string, Run[]>

export async function bench({ say }: BenchContext): Promise<Measured> {
  const pairs = new Map<string, Pair>()
  const runs: Runs = new Map()
  const p95 = new Map<string, number>()
  try {
    for (const [name, flags] of Object.entries(BASELINES)) pairs.set(name, await startPair('node-tls', flags))
    for (const way of OURS) pairs.set(way, await startPair(way))
    // In turn, so that a busy moment meets all of them; the first round warms up.
    for (let turn = -1; turn < RUNS; turn++) {
      say(turn < 0 ? 'warming up' : `run ${turn + 1} of ${RUNS}`)
      for (const [name, pair] of pairs) {
        const run = await readOnce(pair)
        if (turn >= 0) runs.set(name, [...(runs.get(name) ?? []), run])
      }
    }
    say('round trips')
    for (const [name, { dialler }] of pairs) {
      const { times } = await ask<{ times: number[] }>(dialler, { do: 'echo', rounds: ECHO_ROUNDS })
      p95.set(name, times.sort((a, b) => a - b)[Math.floor(times.length * 0.95)] as number)
    }
  } finally {
    for (const pair of pairs.values()) await stopPair(pair)
  }
  say('readers that sleep, and one that keeps all')
  const growth = new Map<string, number>()
  for (const way of OURS) growth.set(way, await growthOf(way, 'sleep'))
  return result({ runs, p95, growth, hoarded: await growthOf('tls', 'hoard') })
}

interface Found {
  readonly runs: Runs
  readonly p95: ReadonlyMap<string, number>
  readonly growth: ReadonlyMap<string, number>
  readonly hoarded: number
}

function result({ runs, p95, growth, hoarded }: Found): Measured {
  const rates = (name: string): number[] => (runs.get(name) as Run[]).map((run) => run.mbPerSecond)
  const cpu = (name: string): number => median((runs.get(name) as Run[]).map((run) => run.cpuMs))
  const names = Object.keys(BASELINES)
  const fastest = Math.max(...names.flatMap(rates))
  const best = Math.max(...names.map((name) => median(rates(name))))
  const figures: Record<string, number | null> = {
    // Fastest to fastest: whatever else the machine does only takes away.
    share_of_node_tls_percent: round((100 * Math.max(...rates('tls'))) / fastest),
    share_of_medians_percent: round((100 * median(rates('tls'))) / best),
    share_by_cpu_percent: round((100 * Math.min(...names.map(cpu))) / cpu('tls')),
  }
  for (const way of OURS) {
    figures[`${way}_mb_per_s`] = round(median(rates(way)))
    figures[`${way}_fastest_mb_per_s`] = round(Math.max(...rates(way)))
    figures[`${way}_cpu_ms`] = round(cpu(way))
    figures[`${way}_echo_p95_ms`] = round(p95.get(way) as number, 3)
    figures[`${way}_sleeping_reader_growth_mb`] = round((growth.get(way) as number) / MB, 1)
  }
  // Where this one does not grow, the figures before it say nothing.
  figures.hoarding_reader_growth_mb = round(hoarded / MB, 1)
  const peers: Record<string, number> = { node_tls_fastest_mb_per_s: round(fastest) }
  for (const name of names) {
    const key = name.replaceAll(' ', '_').replaceAll('-', '_')
    peers[`${key}_mb_per_s`] = round(median(rates(name)))
    peers[`${key}_cpu_ms`] = round(cpu(name))
  }
  peers.node_tls_echo_p95_ms = round(Math.min(...names.map((name) => p95.get(name) as number)), 3)
  return {
    figures,
    peers,
    goal: {
      share_of_node_tls_percent: { at_least: 60 },
      hoarding_reader_growth_mb: { at_least: 100 },
      ...Object.fromEntries(OURS.map((way) => [`${way}_sleeping_reader_growth_mb`, { at_most: 32 }])),
    },
  }
}

async function readOnce({ listener, dialler }: Pair): Promise<Run> {
  const used = async (): Promise<number> => {
    const [a, b] = await Promise.all([listener, dialler].map((child) => cpuSecondsOf(child.pid as number)))
    return (a as number) + (b as number)
  }
  const before = await used()
  const { ms } = await ask<{ ms: number }>(dialler, { do: 'read', bytes: BYTES })
  return { mbPerSecond: BYTES / MB / (ms / 1000), cpuMs: ((await used()) - before) * 1000 }
}

/** How much both ends together grow while 200 MB are on their way; fresh processes, which hold no memory to use again. */
async function growthOf(way: Way, reader: 'sleep' | 'hoard'): Promise<number> {
  const pair = await startPair(way, DAEMON_FLAGS)
  try {
    const both = async (): Promise<number> => (await rss(pair.listener)) + (await rss(pair.dialler))
    const before = await both()
    await ask(pair.dialler, { do: reader, bytes: SLOW_BYTES, forMs: SLEEP_MS })
    let most = before
    for (const until = performance.now() + SLEEP_MS - 500; performance.now() < until; ) {
      most = Math.max(most, await both())
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
    return most - before
  } finally {
    await stopPair(pair)
  }
}

async function rss(child: ChildProcess): Promise<number> {
  return (await ask<{ rss: number }>(child, { do: 'rss' })).rss
}

async function startPair(way: Way, flags: readonly string[] = DAEMON_FLAGS): Promise<Pair> {
  const execArgv = [...flags]
  const listener = fork(NODE, ['listen', way], { execArgv })
  const { address } = await answer<{ address: string }>(listener)
  const dialler = fork(NODE, ['dial', way, address], { execArgv })
  await answer(dialler)
  return { listener, dialler }
}

async function ask<T>(child: ChildProcess, order: Order): Promise<T> {
  const answered = answer<T>(child)
  child.send(order)
  return answered
}

async function answer<T>(child: ChildProcess): Promise<T> {
  const ended = new AbortController()
  const onExit = (code: number | null): void => ended.abort(new Error(`an end of the stream left with ${code}`))
  child.once('exit', onExit)
  try {
    return (await once(child, 'message', { signal: ended.signal }))[0] as T
  } finally {
    child.off('exit', onExit)
  }
}

async function stopPair({ listener, dialler }: Pair): Promise<void> {
  await Promise.all([stop(dialler), stop(listener)])
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || !child.connected) return
  const gone = once(child, 'exit')
  child.send({ do: 'stop' } satisfies Order)
  await gone
}
