/**
 * Two nodes behind each pair of NAT kinds (RFC 4787), and one public relay: how soon the path between them is direct, by
 * what their routers let in, and why it is not where it is not.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { type Internet, makeInternet } from '../test/netns/internet.ts'
import { whyNoDelay, whyNoNamespaces } from '../test/netns/lan.ts'
import { NAT_KINDS, type NatKind } from '../test/netns/rules.ts'
import { addressOf, enter, type Machine, warrenOn } from '../test/netns/warren-on.ts'
import type { BenchContext, Measured } from './measure.ts'
import { gridOf, type Pair } from './nat-grid.ts'

const GOAL = { pairs: 13, directMs: 5000, relayedMs: 2000 }
/** A pair that is not direct by then is taken as relayed. */
const WATCHED_MS = 6000
/** From one look at the routers to the next. */
const LOOK_MS = 100
/** How long pings are counted: five of them. */
const CONFIRMED_MS = 500
const PING_WORDS = ['--count', '600', '--interval', '100ms', '--timeout', '1s']
/**
 * More than all packets of a punch that get through: a TLS handshake with the proof above it is twice this much each way.
 */
const CONNECTION_BYTES = 2000
/** The least that a ping and its answer take each way: IP, TCP and TLS around 32 bytes. */
const PING_BYTES = 80
const NOTHING: Measured = {
  figures: { direct_pairs: null },
  peers: {},
  goal: { direct_pairs: { at_least: GOAL.pairs } },
}

export async function bench({ folder, say }: BenchContext): Promise<Measured> {
  const reason = whyNoNamespaces()
  if (reason !== undefined) {
    say(`skipped: ${reason}`)
    return NOTHING
  }
  const delayMs = Number(process.env.WARREN_BENCH_DELAY_MS ?? 0)
  const noDelay = delayMs === 0 ? undefined : whyNoDelay()
  if (noDelay !== undefined) {
    say(`skipped: ${noDelay}`)
    return NOTHING
  }
  const link = delayMs === 0 ? {} : { delayMs }
  const internet = makeInternet({
    routers: Object.fromEntries(
      NAT_KINDS.flatMap((nat) => SIDES.map((side) => [routerOf(side, nat), { nat, ...link }])),
    ),
    hosts: { relay: link, a: { behind: routerOf('a', 'none') }, b: { behind: routerOf('b', 'none') } },
  })
  try {
    const relay = await warrenOn({ internet, host: 'relay', folder, env: { WARREN_RELAY_SERVE: 'always' } })
    await enter(relay)
    const env = { WARREN_RELAY_SERVERS: await addressOf(relay, internet) }
    const [a, b] = (await Promise.all(SIDES.map((host) => warrenOn({ internet, host, folder, env })))) as [
      Machine,
      Machine,
    ]
    for (const node of [a, b]) await enter(node, relay)
    const pairs: Pair[] = []
    for (const from of NAT_KINDS) {
      for (const to of NAT_KINDS) {
        pairs.push(await measurePair({ internet, a, b, from, to }))
        say(gridOf(pairs.slice(-1)))
      }
    }
    say(`from the row's kind to the column's\n${gridOf(pairs)}`)
    return measured(pairs)
  } finally {
    internet.remove()
  }
}

const SIDES = ['a', 'b'] as const

function routerOf(side: string, nat: NatKind): string {
  return `${side}-${NAT_KINDS.indexOf(nat)}`
}

interface Meeting {
  readonly internet: Internet
  readonly a: Machine
  readonly b: Machine
  readonly from: NatKind
  readonly to: NatKind
}

interface Ping {
  readonly latency_ms: number | null
  readonly path: 'direct' | 'relayed' | null
  readonly error?: { readonly message: string }
}

/** What pings brought, with times since both daemons were up. */
interface Pinged {
  answeredMs: number | null
  answered: number
  path: Ping['path']
  /** Why the first one failed. */
  trouble: string | null
}

/** Both daemons start behind their NATs; the clock runs from the moment that both answer. */
async function measurePair({ internet, a, b, from, to }: Meeting): Promise<Pair> {
  await Promise.all([a.stopDaemon(), b.stopDaemon()])
  internet.move('a', routerOf('a', from))
  internet.move('b', routerOf('b', to))
  const before = letIn(internet)
  await Promise.all([a.startDaemon(), b.startDaemon()])
  const start = performance.now()
  const pinged: Pinged = { answeredMs: null, answered: 0, path: null, trouble: null }
  const stop = new AbortController()
  const onPing = ({ latency_ms: latencyMs, path, error }: Ping): void => {
    pinged.path = path
    if (latencyMs === null) pinged.trouble ??= error?.message ?? 'no answer'
    else {
      pinged.answered++
      pinged.answeredMs ??= performance.now() - start
    }
  }
  const pinging = a.follow<Ping>(['ping', 'b', ...PING_WORDS], onPing, stop.signal)
  try {
    const directMs = await untilDirect({ internet, pinged, before, start })
    const { path, why } = await pathOf(a)
    const { answeredMs, trouble, path: said } = pinged
    return { from, to, answeredMs, directMs, said: said ?? 'none', how: path, why, trouble }
  } finally {
    stop.abort()
    await pinging
  }
}

/** Bytes that came from one into the network of the other, the fewer of both ways. */
function letIn(internet: Internet): number {
  return Math.min(internet.bytesLetIn({ from: 'a', to: 'b' }), internet.bytesLetIn({ from: 'b', to: 'a' }))
}

interface Watch {
  readonly internet: Internet
  readonly pinged: Pinged
  readonly before: number
  readonly start: number
}

/**
 * When pings are answered the direct way, by the routers: there is a connection between the networks, and at least as much
 * comes that way as pings and answers take, and more than from the relay. Null where that is not so in time.
 */
async function untilDirect({ internet, pinged, before, start }: Watch): Promise<number | null> {
  while (performance.now() - start < WATCHED_MS) {
    const at = performance.now() - start
    const connected = letIn(internet) - before > CONNECTION_BYTES
    if (connected && pinged.answeredMs !== null && (await goesDirect(internet, pinged))) return at
    await sleep(LOOK_MS)
  }
  return null
}

async function goesDirect(internet: Internet, pinged: Pinged): Promise<boolean> {
  const look = () => ({
    direct: letIn(internet),
    relayed: internet.bytesLetIn({ from: 'relay', to: 'b' }),
    answered: pinged.answered,
  })
  const before = look()
  await sleep(CONFIRMED_MS)
  const after = look()
  const direct = after.direct - before.direct
  const answered = after.answered - before.answered
  return answered > 0 && direct >= answered * PING_BYTES && direct > after.relayed - before.relayed
}

interface Peer {
  readonly name: string | null
  readonly path: string
  readonly kind?: string
  readonly why?: string | null
}

/** What the node itself says of its path to b. */
async function pathOf(machine: Machine): Promise<{ path: string; why: string | null }> {
  const all = (await machine.json<Peer[]>(['peers'])).filter(({ name }) => name === 'b')
  const peer = all.find(({ path }) => path === 'direct') ?? all[0]
  return { path: peer?.kind ?? peer?.path ?? 'none', why: peer?.why ?? null }
}

function measured(pairs: readonly Pair[]): Measured {
  const direct = pairs.filter(({ directMs }) => directMs !== null && directMs <= GOAL.directMs)
  const others = pairs.filter((pair) => !direct.includes(pair))
  const slowest = (times: readonly (number | null)[]): number =>
    Math.round(Math.max(0, ...times.map((time) => time ?? Number.POSITIVE_INFINITY)))
  const relayedMs = slowest(others.map(({ answeredMs }) => answeredMs))
  return {
    figures: {
      direct_pairs: direct.length,
      direct_slowest_ms: slowest(direct.map(({ directMs }) => directMs)),
      relayed_slowest_ms: Number.isFinite(relayedMs) ? relayedMs : null,
      relayed_without_reason: others.filter(({ why }) => why === null).length,
    },
    peers: {},
    goal: {
      direct_pairs: { at_least: GOAL.pairs },
      direct_slowest_ms: { at_most: GOAL.directMs },
      relayed_slowest_ms: { at_most: GOAL.relayedMs },
      relayed_without_reason: { at_most: 0 },
    },
  }
}
