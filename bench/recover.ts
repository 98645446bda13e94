/**
 * Two nodes behind NATs talk all the time while their network is hurt: how soon their requests are answered again. One
 * pair has a direct path, the other (with NATs that no hole is punched through) needs a relay.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { type Internet, makeInternet } from '../test/netns/internet.ts'
import { whyNoNamespaces } from '../test/netns/lan.ts'
import { addressOf, enter, type Machine, warrenOn } from '../test/netns/warren-on.ts'
import type { BenchContext, Measured } from './measure.ts'
import { recoveryOf, type Sample } from './outage.ts'
import { type Talk, talkBetween } from './talk.ts'

const RUNS = 3
const GOAL_MS = 5000
/** The path must have been good so long before it is hurt. */
const SETTLED_MS = 3000
/** Nothing is measured of a pair that does not get there. */
const SETTLE_LIMIT_MS = 30_000
const LOOK_MS = 100

interface World {
  readonly internet: Internet
  readonly relays: readonly [Machine, Machine]
  /** With a direct path. */
  readonly easy: Talk
  /** With a relayed one. */
  readonly hard: Talk
  readonly say: (text: string) => void
}

/** Hurts the network. Resolves at the moment from which the time runs. */
type Event = (world: World, run: number) => Promise<void>

interface Scene {
  readonly pair: 'easy' | 'hard'
  readonly happen: Event
  /** Puts all back for the next run. */
  readonly mend?: Event
}

const SCENES: Readonly<Record<string, Scene>> = {
  link_cut_10_s: { pair: 'easy', happen: cutFor(10_000) },
  link_cut_30_s: { pair: 'easy', happen: cutFor(30_000) },
  nat_rebooted: { pair: 'easy', happen: async ({ internet }) => internet.reboot('home') },
  uplink_changed: {
    pair: 'easy',
    happen: async ({ internet }, run) => internet.move('a', run % 2 === 0 ? 'spare' : 'home'),
  },
  relay_replaced: {
    pair: 'hard',
    happen: async (world) => void (await relayInUse(world)).crash(),
    mend: async ({ relays }) => void (await Promise.all(relays.map((relay) => relay.startDaemon()))),
  },
  relay_restarted: {
    pair: 'hard',
    happen: async ({ relays: [relay, other] }, run) => {
      if (run === 0) await other.stopDaemon()
      relay.crash()
      await relay.startDaemon()
    },
  },
}

export async function bench({ folder, say }: BenchContext): Promise<Measured> {
  const reason = whyNoNamespaces()
  if (reason !== undefined) {
    say(`skipped: ${reason}`)
    return measured({})
  }
  const internet = makeInternet({
    routers: {
      home: { nat: 'EIM/APDF' },
      office: { nat: 'EIM/APDF' },
      spare: { nat: 'EIM/APDF' },
      cellar: { nat: 'APDM/APDF' },
      attic: { nat: 'APDM/APDF' },
    },
    hosts: {
      relay1: {},
      relay2: {},
      a: { behind: 'home' },
      b: { behind: 'office' },
      c: { behind: 'cellar' },
      d: { behind: 'attic' },
    },
  })
  const talks: Talk[] = []
  try {
    const [relays, nodes] = await bringUp(internet, folder)
    const [a, b, c, d] = nodes as [Machine, Machine, Machine, Machine]
    for (const [from, to] of [[a, b] as const, [c, d] as const]) talks.push(await talkBetween(internet, { from, to }))
    const [easy, hard] = talks as [Talk, Talk]
    return measured(await playAll({ internet, relays, easy, hard, say }))
  } finally {
    for (const talk of talks) await talk.stop()
    internet.remove()
  }
}

/** Two relays and four nodes that know both. */
async function bringUp(internet: Internet, folder: string): Promise<[readonly [Machine, Machine], Machine[]]> {
  const serving = { WARREN_RELAY_SERVE: 'always' }
  const relay = await warrenOn({ internet, host: 'relay1', folder, env: serving })
  const other = await warrenOn({ internet, host: 'relay2', folder, env: serving })
  await enter(relay)
  await enter(other, relay)
  const servers = await Promise.all([relay, other].map((one) => addressOf(one, internet)))
  const nodes: Machine[] = []
  for (const host of ['a', 'b', 'c', 'd']) {
    const node = await warrenOn({ internet, host, folder, env: { WARREN_RELAY_SERVERS: servers.join(',') } })
    await enter(node, relay)
    nodes.push(node)
  }
  return [[relay, other], nodes]
}

type Times = Record<string, (number | null)[]>

async function playAll(world: World): Promise<Times> {
  const times: Times = {}
  for (const [name, scene] of Object.entries(SCENES)) {
    for (let run = 0; run < RUNS; run++) {
      const talk = world[scene.pair]
      const settled = await settle(talk, scene.pair === 'easy' ? 'direct' : 'relayed')
      if (settled !== undefined) world.say(`${name}: ${settled}`)
      await scene.happen(world, run)
      const since = performance.now()
      const [ping, connection] = await Promise.all([
        recoveryOf(() => talk.pings, since),
        talk.connections === undefined ? undefined : recoveryOf(() => talk.connections as Sample[], since),
      ])
      times[`${name}_ping`] = [...(times[`${name}_ping`] ?? []), ping]
      if (connection !== undefined) times[`${name}_tcp`] = [...(times[`${name}_tcp`] ?? []), connection]
      world.say(`${name}: ping ${shown(ping)}, new connection ${shown(connection)}, then ${talk.path()}`)
      await scene.mend?.(world, run)
    }
  }
  return times
}

/** Waits until the path is good; says what is wrong where it does not get there. */
async function settle(talk: Talk, path: string): Promise<string | undefined> {
  const start = performance.now()
  let goodSince = start
  while (performance.now() - start < SETTLE_LIMIT_MS) {
    const last = [talk.pings.at(-1), talk.connections?.at(-1)]
    const bad = talk.path() !== path || last.some((sample) => sample !== undefined && !sample.answered)
    if (bad) goodSince = performance.now()
    if (performance.now() - goodSince > SETTLED_MS) return undefined
    await sleep(LOOK_MS)
  }
  return `was ${talk.path()} and not ${path} before`
}

function cutFor(ms: number): Event {
  return async ({ internet }) => {
    internet.cut('home', 'router')
    internet.cut('spare', 'router')
    await sleep(ms)
    internet.restore('home')
    internet.restore('spare')
  }
}

/** The relay that most of what c gets comes from. */
async function relayInUse({ internet, relays }: World): Promise<Machine> {
  const look = (): number[] => relays.map(({ host }) => internet.bytesLetIn({ from: host, to: 'c' }))
  const before = look()
  await sleep(1000)
  const [first = 0, second = 0] = look().map((bytes, index) => bytes - (before[index] as number))
  return second > first ? relays[1] : relays[0]
}

function shown(ms: number | null | undefined): string {
  if (ms === undefined) return 'not tried'
  return ms === null ? 'never' : `after ${Math.round(ms)} ms`
}

/** The slowest of each event; null where it was never, which meets no goal. */
function measured(times: Times): Measured {
  const names = Object.keys(SCENES).flatMap((name) => [`${name}_ping`, `${name}_tcp`])
  const figures = names.map((name) => {
    const all = times[name] ?? [null]
    return [`${name}_ms`, all.includes(null) ? null : Math.round(Math.max(...(all as number[])))] as const
  })
  return {
    figures: Object.fromEntries(figures),
    peers: {},
    goal: Object.fromEntries(figures.map(([name]) => [name, { at_most: GOAL_MS }])),
  }
}
