/** One daemon at rest and three in a lab: start, memory, processor, idle traffic, and what a further peer costs. */
import { copyFile, cp, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { buildProgram } from '../scripts/build.ts'
import {
  type BenchContext,
  cpuSecondsOf,
  LAUNCHER,
  loopbackBytesOf,
  MB,
  type Measured,
  median,
  memoryOf,
  must,
  round,
  run,
} from './measure.ts'

const STARTS = 7
const REST_MS = 60_000
const LARGE_LAB = 9
const SECONDS_A_DAY = 86_400

export async function bench(context: BenchContext): Promise<Measured> {
  const { say } = context
  const program = await copyOfProgram(context)
  const startMs = await startTimes(context, program)
  say(`a node alone, and a lab of 3, at rest for ${REST_MS / 1000} s twice: to settle, and measured`)
  const [alone, lab] = await Promise.all([restAlone(context, program), restInLab(context, 3)])
  say(`a lab of ${LARGE_LAB}`)
  const large = await restInLab(context, LARGE_LAB)
  return {
    figures: {
      start_ms: round(median(startMs)),
      alone_pss_mb: round(alone.pss / MB, 1),
      lab_pss_mb: round(lab.pss / MB, 1),
      alone_cpu_percent: round(alone.cpuPercent, 2),
      lab_cpu_percent: round(lab.cpuPercent, 2),
      idle_per_peer_mb_a_day: lab.bytesPerPeerAndDay === null ? null : round(lab.bytesPerPeerAndDay / MB, 2),
      further_peer_mb: round((large.anonymous - lab.anonymous) / (LARGE_LAB - 3) / MB, 2),
    },
    peers: { bare_node_pss_mb: await bareNode(context) },
    goal: {
      start_ms: { at_most: 1000 },
      alone_pss_mb: { at_most: 100 },
      alone_cpu_percent: { at_most: 1 },
      lab_cpu_percent: { at_most: 1 },
      idle_per_peer_mb_a_day: { at_most: 2 },
    },
  }
}

/** A copy that shares no page with another process, so that PSS is what a machine with one daemon spends. */
async function copyOfProgram({ folder }: BenchContext): Promise<string[]> {
  const build = await buildProgram()
  const copy = join(folder, 'program')
  await cp(build, copy, { recursive: true, filter: (path) => !path.startsWith(join(build, 'compiled')) })
  await rm(join(copy, 'node'))
  await copyFile(join(build, 'node'), join(copy, 'node'))
  return [join(copy, 'node'), '--disable-warning=ExperimentalWarning', join(copy, 'main.js')]
}

/** From the call of `daemon start` to its end, which is the first answer. The first start, without compiled code, does not count. */
async function startTimes({ folder, say }: BenchContext, program: readonly string[]): Promise<number[]> {
  say(`${STARTS} starts`)
  const env = { HOME: folder, WARREN_HOME: join(folder, 'alone') }
  await must([...program, 'init'], { env })
  await must([...program, 'config', 'set', 'net.listen', '["/ip4/127.0.0.1/tcp/0"]'], { env })
  await must([...program, 'config', 'set', 'net.mdns', 'false'], { env })
  const times: number[] = []
  for (let start = 0; start <= STARTS; start++) {
    const { ms } = await must([...program, 'daemon', 'start'], { env })
    if (start > 0) times.push(ms)
    await must([...program, 'daemon', 'stop'], { env })
  }
  return times
}

interface Rest {
  readonly pss: number
  readonly anonymous: number
  readonly cpuPercent: number
}

async function restAlone({ folder }: BenchContext, program: readonly string[]): Promise<Rest> {
  const env = { HOME: folder, WARREN_HOME: join(folder, 'alone') }
  await must([...program, 'daemon', 'start'], { env })
  try {
    return await watch(await pidOf(join(folder, 'alone')))
  } finally {
    await run([...program, 'daemon', 'stop'], { env })
  }
}

async function restInLab(
  { folder }: BenchContext,
  nodes: number,
): Promise<Rest & { bytesPerPeerAndDay: number | null }> {
  const env = { HOME: folder, WARREN_HOME: join(folder, `lab-${nodes}`) }
  // In a network of its own, what its loopback interface carries is the lab's and nothing else.
  const own = (await run(['unshare', '--net', 'ip', 'link', 'set', 'lo', 'up'])).code === 0
  const up = [LAUNCHER, 'lab', 'up', '--nodes', String(nodes)]
  await must(own ? ['unshare', '--net', 'sh', '-c', 'ip link set lo up && exec "$@"', 'sh', ...up] : up, { env })
  try {
    const homes = Array.from({ length: nodes }, (_, index) => join(env.WARREN_HOME, 'lab', `burrow-${index + 1}`))
    const pids = await Promise.all(homes.map(pidOf))
    const bytes: number[] = []
    const rests = await Promise.all(pids.map((pid) => watch(pid, async () => bytes.push(await loopbackBytesOf(pid)))))
    const mean = (read: (rest: Rest) => number): number => rests.reduce((sum, rest) => sum + read(rest), 0) / nodes
    const connections = (nodes * (nodes - 1)) / 2
    const sent = Math.max(...bytes) - Math.min(...bytes)
    return {
      pss: mean(({ pss }) => pss),
      anonymous: mean(({ anonymous }) => anonymous),
      cpuPercent: mean(({ cpuPercent }) => cpuPercent),
      bytesPerPeerAndDay: own ? ((sent / connections) * SECONDS_A_DAY * 1000) / REST_MS : null,
    }
  } finally {
    await run([LAUNCHER, 'lab', 'down'], { env })
  }
}

/** Lets a daemon settle, then measures it over a time in which nobody asks it anything. `onEdge` is called at both ends. */
async function watch(pid: number, onEdge?: () => Promise<unknown>): Promise<Rest> {
  await sleep(REST_MS)
  await onEdge?.()
  const before = await cpuSecondsOf(pid)
  await sleep(REST_MS)
  await onEdge?.()
  const cpuPercent = (((await cpuSecondsOf(pid)) - before) * 100_000) / REST_MS
  return { ...(await memoryOf(pid)), cpuPercent }
}

async function pidOf(home: string): Promise<number> {
  return Number(await readFile(join(home, 'run', 'daemon.pid'), 'utf8'))
}

async function bareNode({ folder }: BenchContext): Promise<number> {
  const script = 'console.log(require("fs").readFileSync("/proc/self/smaps_rollup", "utf8"))'
  const { out } = await must([join(folder, 'program', 'node'), '-e', script])
  return round((Number(/^Pss:\s+(\d+)/m.exec(out)?.[1]) * 1024) / MB, 1)
}
