/** TCP through `warren proxy` between two daemons on loopback, beside `ssh -L` and socat: throughput, added latency, memory. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, writeFile } from 'node:fs/promises'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { userInfo } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type BenchContext, LAUNCHER, MB, type Measured, median, memoryOf, must, round, run } from './measure.ts'
import { measureRelayedSleeper } from './proxy-relayed.ts'

const BYTES = 1024 * 1024 * 1024
const CHUNK = Buffer.alloc(256 * 1024, 'x')
const RUNS = 3
const ROUND_TRIPS = 2000
const START_MS = 20_000
/** The reader sleeps until this long nothing went in any more. */
const STANDS_MS = 3000

/** What a server of the bench does with a connection, by the first byte that comes. */
const FLOOD = 'f'
const ECHO = 'e'

export async function bench(context: BenchContext): Promise<Measured> {
  const { folder, say } = context
  const target = await startTarget()
  const lab = await startLab(folder)
  const children: ChildProcess[] = []
  try {
    const port = (target.server.address() as AddressInfo).port
    await lab.must(1, 'expose', 'bench', String(port))
    const kept = JSON.parse((await lab.must(0, 'proxy', lab.name(1), 'bench', '0', '--background', '--json')).out)
    const warren = Number(String(kept.local[0]).split(':').at(-1))
    const ssh = await startSsh(context, port, children)
    const socat = await startSocat(context, port, children)
    // First, while the daemons have not grown by anything else.
    say('a reader that sleeps')
    const sleeping = await measureSleeper(target, { port: warren, pids: await lab.pids() })
    say('a reader that sleeps, over a relay')
    const relayed = await measureRelayedSleeper(context, BYTES)
    const figures = await measureAll(context, { direct: port, warren, ssh, socat })
    const { warren: own, ssh: theirs, socat: plain, direct } = figures
    return {
      figures: {
        throughput_mb_s: round(own?.mbPerSecond ?? Number.NaN),
        added_latency_ms: round((own?.latencyMs ?? Number.NaN) - (direct?.latencyMs ?? Number.NaN), 3),
        times_ssh: theirs === undefined ? null : round((own?.mbPerSecond ?? 0) / theirs.mbPerSecond, 2),
        sleeper_growth_mb: round(sleeping.growth / MB, 1),
        sleeper_in_flight_mb: round(sleeping.inFlight / MB, 1),
        relayed_sleeper_growth_mb: relayed === undefined ? null : round(relayed.nodesGrowth / MB, 1),
        relay_growth_mb: relayed === undefined ? null : round(relayed.relayGrowth / MB, 1),
        relayed_sleeper_in_flight_mb: relayed === undefined ? null : round(relayed.inFlight / MB, 1),
      },
      peers: {
        ssh_throughput_mb_s: theirs === undefined ? null : round(theirs.mbPerSecond),
        ssh_added_latency_ms: theirs === undefined ? null : round(theirs.latencyMs - (direct?.latencyMs ?? 0), 3),
        socat_throughput_mb_s: plain === undefined ? null : round(plain.mbPerSecond),
        socat_added_latency_ms: plain === undefined ? null : round(plain.latencyMs - (direct?.latencyMs ?? 0), 3),
        loopback_throughput_mb_s: round(direct?.mbPerSecond ?? Number.NaN),
      },
      goal: {
        times_ssh: { at_least: 1 },
        added_latency_ms: { at_most: 1 },
        sleeper_growth_mb: { at_most: 32 },
        ...(relayed && { relayed_sleeper_growth_mb: { at_most: 32 }, relay_growth_mb: { at_most: 32 } }),
      },
    }
  } finally {
    for (const child of children) child.kill()
    await lab.down()
    await target.close()
  }
}

interface Ways {
  readonly direct: number
  readonly warren: number
  readonly ssh: number | undefined
  readonly socat: number | undefined
}
type Figures = { readonly mbPerSecond: number; readonly latencyMs: number }

/** The median of some runs of each way, taken in turns, so that a busy moment hits all of them. */
async function measureAll({ say }: BenchContext, ways: Ways): Promise<Partial<Record<keyof Ways, Figures>>> {
  const speeds: Record<string, number[]> = {}
  const latencies: Record<string, number[]> = {}
  for (let turn = 1; turn <= RUNS; turn++) {
    for (const [way, port] of Object.entries(ways)) {
      if (port === undefined) continue
      say(`${way}, ${turn} of ${RUNS}`)
      latencies[way] = [...(latencies[way] ?? []), await measureLatency(port)]
      speeds[way] = [...(speeds[way] ?? []), await measureSpeed(port)]
    }
  }
  return Object.fromEntries(
    Object.keys(speeds).map((way) => [
      way,
      { mbPerSecond: median(speeds[way] as number[]), latencyMs: median(latencies[way] as number[]) },
    ]),
  )
}

async function measureSpeed(port: number): Promise<number> {
  const socket = connect({ port, host: '127.0.0.1' })
  socket.write(FLOOD)
  const started = performance.now()
  let read = 0
  socket.on('data', (chunk) => {
    read += chunk.length
  })
  await once(socket, 'end')
  if (read !== BYTES) throw new Error(`${read} bytes came of ${BYTES}`)
  return read / MB / ((performance.now() - started) / 1000)
}

/** Median of the round trips of one byte. */
async function measureLatency(port: number): Promise<number> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true })
  socket.write(ECHO)
  await once(socket, 'data')
  const times: number[] = []
  for (let count = 0; count < ROUND_TRIPS; count++) {
    const started = performance.now()
    socket.write('x')
    await once(socket, 'data')
    times.push(performance.now() - started)
  }
  socket.destroy()
  return median(times)
}

/** How far the daemons grow while a reader of a gigabyte sleeps, and while it then reads. */
async function measureSleeper(
  target: Target,
  { port, pids }: { port: number; pids: readonly number[] },
): Promise<{ growth: number; inFlight: number }> {
  const memory = async (): Promise<number> =>
    (await Promise.all(pids.map(memoryOf))).reduce((sum, { pss }) => sum + pss, 0)
  const before = await memory()
  const socket = connect({ port, host: '127.0.0.1' })
  socket.pause()
  socket.write(FLOOD)
  await once(socket, 'connect')
  let most = before
  for (let stands = 0, last = -1; stands < STANDS_MS; ) {
    await sleep(250)
    stands = target.written() === last ? stands + 250 : 0
    last = target.written()
    most = Math.max(most, await memory())
  }
  const inFlight = target.written()
  let read = 0
  for await (const chunk of socket) read += (chunk as Buffer).length
  if (read !== BYTES) throw new Error(`${read} bytes came of ${BYTES} after the sleep`)
  return { growth: most - before, inFlight }
}

interface Target {
  readonly server: Server
  /** Bytes that the last flood has written so far. */
  written(): number
  close(): Promise<void>
}

async function startTarget(): Promise<Target> {
  let written = 0
  const flood = (socket: Socket): void => {
    written = 0
    const more = (): void => {
      while (written < BYTES) {
        written += CHUNK.length
        if (!socket.write(CHUNK) && written < BYTES) return void socket.once('drain', more)
      }
      socket.end()
    }
    more()
  }
  const server = createServer({ noDelay: true }, (socket) => {
    socket.on('error', () => undefined)
    socket.once('data', (first) => {
      if (String(first).startsWith(FLOOD)) return flood(socket)
      socket.write(first)
      socket.pipe(socket)
    })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return { server, written: () => written, close: () => new Promise((resolve) => void server.close(() => resolve())) }
}

interface LabNode {
  readonly name: string
  readonly home: string
}

async function startLab(folder: string) {
  const env = { WARREN_HOME: join(folder, 'home') }
  const { nodes } = JSON.parse((await must([LAUNCHER, 'lab', 'up', '--nodes', '2', '--json'], { env })).out) as {
    nodes: LabNode[]
  }
  const inNode = (index: number, words: readonly string[]) =>
    must([LAUNCHER, '--home', (nodes[index] as LabNode).home, ...words], { env })
  return {
    name: (index: number) => (nodes[index] as LabNode).name,
    must: (index: number, ...words: string[]) => inNode(index, words),
    pids: async () =>
      await Promise.all(
        [0, 1].map(async (index) => JSON.parse((await inNode(index, ['status', '--json'])).out).pid as number),
      ),
    down: () => run([LAUNCHER, 'lab', 'down'], { env }),
  }
}

/** `ssh -L` to an sshd of its own, with keys of its own; undefined, said why, where there is none. */
async function startSsh(
  { folder, say }: BenchContext,
  target: number,
  children: ChildProcess[],
): Promise<number | undefined> {
  if (!(await isThere(['ssh', '/usr/sbin/sshd'], 'openssh-server openssh-client'))) {
    say('no sshd, and no right to install it: ssh -L is left out')
    return undefined
  }
  const [port, local] = [await freePort(), await freePort()]
  const file = (name: string): string => join(folder, name)
  for (const name of ['host', 'user']) await must(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', file(name)])
  const config = `Port ${port}
ListenAddress 127.0.0.1
HostKey ${file('host')}
AuthorizedKeysFile ${file('user.pub')}
StrictModes no
UsePAM no
PasswordAuthentication no
PermitRootLogin yes
PidFile none
`
  await writeFile(file('sshd_config'), config)
  // Where sshd drops its privileges.
  if (process.getuid?.() === 0) await mkdir('/run/sshd', { recursive: true })
  children.push(spawn('/usr/sbin/sshd', ['-D', '-f', file('sshd_config')], { stdio: 'ignore' }))
  await untilListens(port)
  const options = ['StrictHostKeyChecking=no', 'UserKnownHostsFile=/dev/null', 'BatchMode=yes', 'LogLevel=ERROR']
  const words = options.flatMap((option) => ['-o', option])
  const forward = ['-N', '-L', `127.0.0.1:${local}:127.0.0.1:${target}`, '-i', file('user'), '-p', String(port)]
  children.push(spawn('ssh', [...words, ...forward, `${userInfo().username}@127.0.0.1`], { stdio: 'ignore' }))
  await untilListens(local)
  return local
}

async function startSocat(
  { say }: BenchContext,
  target: number,
  children: ChildProcess[],
): Promise<number | undefined> {
  if (!(await isThere(['socat'], 'socat'))) {
    say('no socat, and no right to install it: it is left out')
    return undefined
  }
  const local = await freePort()
  const listen = `TCP-LISTEN:${local},bind=127.0.0.1,fork,reuseaddr,nodelay`
  children.push(spawn('socat', ['-b', '262144', listen, `TCP:127.0.0.1:${target},nodelay`], { stdio: 'ignore' }))
  await untilListens(local)
  return local
}

/** True where all the programs are there, if need be after Debian's packages were installed. */
async function isThere(programs: readonly string[], packages: string): Promise<boolean> {
  const found = async (): Promise<boolean> =>
    (await Promise.all(programs.map((program) => run(['which', program])))).every(({ code }) => code === 0)
  if (await found()) return true
  if (process.getuid?.() !== 0 || (await run(['which', 'apt-get'])).code !== 0) return false
  await run(['apt-get', 'install', '-y', '-qq', ...packages.split(' ')], { timeoutMs: 300_000 })
  return await found()
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}

async function untilListens(port: number): Promise<void> {
  const deadline = performance.now() + START_MS
  for (;;) {
    const socket = connect({ port, host: '127.0.0.1' })
    const outcome = await Promise.race([
      once(socket, 'connect').then(() => true),
      once(socket, 'close').then(() => false),
    ]).catch(() => false)
    socket.destroy()
    if (outcome) return
    if (performance.now() > deadline) throw new Error(`nothing listens at port ${port}`)
    await sleep(50)
  }
}
