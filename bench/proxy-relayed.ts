/** A proxy between two nodes that only a relay connects, in network namespaces: memory of all three while a reader sleeps. */
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface, type Interface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { makeInternet } from '../test/netns/internet.ts'
import { whyNoNamespaces } from '../test/netns/lan.ts'
import { addressOf, type Child, enter, type Machine, warrenOn } from '../test/netns/warren-on.ts'
import { type BenchContext, memoryOf } from './measure.ts'

const PORT = 7777
const PROGRAM = join(import.meta.dirname, 'sleeper-node.ts')
/** The reader sleeps until this long nothing went in any more. */
const STANDS_MS = 3000
const RELAYED_WITHIN_MS = 30_000
const LOOK_MS = 250

/** What a sleeping reader costs, in bytes. */
export interface RelayedSleeper {
  /** The most that the proportional set sizes of the two nodes, and of the relay, grew. */
  readonly nodesGrowth: number
  readonly relayGrowth: number
  readonly inFlight: number
}

/** Undefined, said why, where there are no namespaces. Fails where not all of it arrives in the end, or it goes directly. */
export async function measureRelayedSleeper(context: BenchContext, bytes: number): Promise<RelayedSleeper | undefined> {
  const { folder, say } = context
  const reason = whyNoNamespaces()
  if (reason !== undefined) {
    say(`the relayed path is left out: ${reason}`)
    return undefined
  }
  const internet = makeInternet({
    routers: { cellar: { nat: 'APDM/APDF' }, attic: { nat: 'APDM/APDF' } },
    hosts: { relay: {}, a: { behind: 'cellar' }, b: { behind: 'attic' } },
  })
  try {
    const relay = await warrenOn({ internet, host: 'relay', folder, env: { WARREN_RELAY_SERVE: 'always' } })
    await enter(relay)
    const env = { WARREN_RELAY_SERVERS: await addressOf(relay, internet) }
    const [a, b] = [
      await warrenOn({ internet, host: 'a', folder, env }),
      await warrenOn({ internet, host: 'b', folder, env }),
    ]
    for (const node of [a, b]) await enter(node, relay)
    const before = internet.bytesLetIn({ from: 'relay', to: 'a' })
    const measured = await measure({ a, b, relay }, bytes)
    const relayed = internet.bytesLetIn({ from: 'relay', to: 'a' }) - before
    if (relayed < bytes) throw new Error(`only ${relayed} of ${bytes} bytes came over the relay`)
    return measured
  } finally {
    internet.remove()
  }
}

interface Nodes {
  readonly a: Machine
  readonly b: Machine
  readonly relay: Machine
}

async function measure({ a, b, relay }: Nodes, bytes: number): Promise<RelayedSleeper> {
  const flood = linesOf(startEnd(b, ['flood', String(PORT), String(bytes)]))
  let written = 0
  flood.on('line', (line) => {
    written = (JSON.parse(line) as { written: number }).written
  })
  await once(flood, 'line')
  await b.must(['expose', 'bench', String(PORT), '--to', 'member'])
  await untilRelayed(a)
  const { local } = await a.json<{ local: string[] }>(['proxy', 'b', 'bench', '0', '--background'])
  const memory = async (machines: readonly Machine[]): Promise<number> => {
    const all = await Promise.all(machines.map(async (machine) => (await memoryOf(await pidOf(machine))).pss))
    return all.reduce((sum, pss) => sum + pss, 0)
  }
  const look = async () => ({ nodes: await memory([a, b]), relay: await memory([relay]) })
  await look()
  const before = await look()
  const reader = startEnd(a, ['read', local[0]?.split(':').at(-1) as string])
  const told = linesOf(reader)
  await once(told, 'line')
  const most = { ...before }
  for (let stands = 0, last = -1; stands < STANDS_MS; ) {
    await sleep(LOOK_MS)
    stands = written === last ? stands + LOOK_MS : 0
    last = written
    const now = await look()
    most.nodes = Math.max(most.nodes, now.nodes)
    most.relay = Math.max(most.relay, now.relay)
  }
  const inFlight = written
  reader.stdin.write('read\n')
  const [line] = (await once(told, 'line')) as [string]
  const { read } = JSON.parse(line) as { read: number }
  if (read !== bytes) throw new Error(`${read} bytes came of ${bytes} over the relay`)
  return { nodesGrowth: most.nodes - before.nodes, relayGrowth: most.relay - before.relay, inFlight }
}

const pids = new WeakMap<Machine, number>()

async function pidOf(machine: Machine): Promise<number> {
  const known = pids.get(machine) ?? (await machine.json<{ pid: number }>(['status'])).pid
  pids.set(machine, known)
  return known
}

function startEnd(machine: Machine, words: readonly string[]): Child {
  const child = machine.startProgram([process.execPath, '--disable-warning=ExperimentalWarning', PROGRAM, ...words])
  child.stderr.resume()
  return child
}

function linesOf(child: Child): Interface {
  return createInterface({ input: child.stdout })
}

async function untilRelayed(machine: Machine): Promise<void> {
  const deadline = performance.now() + RELAYED_WITHIN_MS
  for (;;) {
    const { out } = await machine.run(['ping', 'b', '--count', '1', '--timeout', '3s', '--json'])
    if ((JSON.parse(out) as { path?: string }).path === 'relayed') return
    if (performance.now() > deadline) throw new Error('the relay does not connect the two nodes')
    await sleep(LOOK_MS)
  }
}
