/**
 * The private table with 10, 25, 50 and 100 members, each a process of its own on loopback that knows one to three others
 * when it begins, and learns of the rest as nodes do: how long it takes to provide, find, put, get and find a peer, and
 * what was not found.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { mapLimited } from '../src/base/wait.ts'
import type { Answer, Order } from './dht-node.ts'
import { type BenchContext, MB, type Measured, median, memoryOf, round } from './measure.ts'

const SIZES = [10, 25, 50, 100]
/** Processes that start at once: each needs half a second of a processor. */
const STARTS_AT_ONCE = 4
const ROUNDS = 30
/** As many as keep a record: a table is then as good as any. */
const ENOUGH_CONTACTS = 12
/** Nobody has met anybody new for so long: the members are done connecting, and what is measured is the table. */
const QUIET_MS = 5_000
const SETTLE_MS = 240_000
const POLL_MS = 1_000
const STEP_TIMEOUT_MS = 120_000
/** No new size, and no further lookup, after that. */
const TIMEOUT_MS = 9 * 60_000
const GOAL_MS = 1000
/** The goal for the time is set up to this size. */
const GOAL_SIZE = 25

type Verb = 'provide' | 'find' | 'find_peer' | 'put' | 'get'

interface Node {
  readonly child: ChildProcess
  readonly id: string
  readonly address: string
}

export async function bench({ say }: BenchContext, sizes: readonly number[] = wantedSizes()): Promise<Measured> {
  const figures: Record<string, number | null> = {}
  const goal: Record<string, { at_most: number }> = {}
  const until = Date.now() + TIMEOUT_MS
  for (const size of sizes) {
    const measured = Date.now() < until ? await measureSize(size, until, say) : { misses: null }
    for (const [name, value] of Object.entries(measured)) figures[`${name}_${size}`] = value
    goal[`misses_${size}`] = { at_most: 0 }
    if (size > GOAL_SIZE) continue
    for (const verb of ['find', 'find_peer', 'get']) goal[`${verb}_p95_ms_${size}`] = { at_most: GOAL_MS }
  }
  return { figures, peers: {}, goal }
}

/** `WARREN_BENCH_NODES=10,25`, or all sizes. */
function wantedSizes(): readonly number[] {
  const text = process.env.WARREN_BENCH_NODES
  return text === undefined || text === '' ? SIZES : text.split(',').map(Number)
}

async function measureSize(
  size: number,
  until: number,
  say: BenchContext['say'],
): Promise<Record<string, number | null>> {
  const children: ChildProcess[] = []
  // As the built program, which is compiled once: half of what the start of a node costs from its sources.
  const cache = await mkdtemp(join(tmpdir(), 'warren-bench-'))
  try {
    say(`${size} nodes start`)
    const nodes = await mapLimited(Array.from({ length: size }), STARTS_AT_ONCE, async () => {
      const child = fork(join(import.meta.dirname, 'dht-node.ts'), [], {
        stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
        env: { ...process.env, NODE_COMPILE_CACHE: cache },
      })
      children.push(child)
      const { id, address } = await heard(child)
      return { child, id, address }
    })
    if (Date.now() > until) return { misses: null }
    say(`${size} nodes look for each other, all at once`)
    const beganMs = performance.now()
    const joined = await Promise.all(
      nodes.map((node, at) =>
        ask(node, { do: 'bootstrap', seeds: pick(nodes.slice(0, at), 1 + (at % 3)).map(addressOf) }),
      ),
    )
    const settled = await settle(nodes, beganMs)
    say(
      `lookups, after ${settled.enough_s} s until each had enough contacts, ${settled.settle_s} s until the last new one`,
    )
    const { times, misses } = await lookUp(nodes, { until, say })
    const reports = await Promise.all(nodes.map((node) => ask(node, { do: 'report' })))
    const memory = await Promise.all(nodes.map(({ child }) => memoryOf(child.pid as number)))
    return {
      bootstrap_p50_ms: round(median(joined.map(({ ms }) => ms))),
      ...settled,
      bootstrap_max_ms: round(Math.max(...joined.map(({ ms }) => ms))),
      ...Object.fromEntries(
        Object.entries(times).flatMap(([verb, all]) => [
          [`${verb}_p50_ms`, round(median(all), 1)],
          [`${verb}_p95_ms`, round(percentile(all, 0.95), 1)],
        ]),
      ),
      lookups: ROUNDS * 3,
      misses,
      contacts_min: Math.min(...reports.map(({ contacts }) => contacts)),
      contacts_p50: median(reports.map(({ contacts }) => contacts)),
      pss_mb: round(median(memory.map(({ pss }) => pss)) / MB),
    }
  } finally {
    for (const child of children) child.kill('SIGKILL')
    await rm(cache, { recursive: true, force: true, maxRetries: 5 })
  }
}

/**
 * Waits until each node has found enough others by itself and none has found a new one for a while: a hundred that begin
 * at once keep two processors busy for minutes. Gives the seconds since then until each had enough, and until the last
 * new one; null for what did not come about.
 */
async function settle(
  nodes: readonly Node[],
  beganMs: number,
): Promise<{ enough_s: number | null; settle_s: number | null }> {
  const enough = Math.min(ENOUGH_CONTACTS, nodes.length - 1)
  const most = nodes.map(() => 0)
  let enoughS: number | null = null
  let lastNewMs = 0
  for (;;) {
    const reports = await Promise.all(nodes.map((node) => ask(node, { do: 'report' })))
    const ms = performance.now() - beganMs
    for (const [at, { contacts }] of reports.entries()) {
      if (contacts <= (most[at] as number)) continue
      most[at] = contacts
      lastNewMs = ms
    }
    if (reports.every(({ contacts }) => contacts >= enough)) enoughS ??= round(ms / 1000, 1)
    if (enoughS !== null && ms - lastNewMs >= QUIET_MS)
      return { enough_s: enoughS, settle_s: round(lastNewMs / 1000, 1) }
    if (ms > SETTLE_MS) return { enough_s: enoughS, settle_s: null }
    await sleep(POLL_MS)
  }
}

async function lookUp(
  nodes: readonly Node[],
  { until, say }: { until: number; say: BenchContext['say'] },
): Promise<{ times: Record<Verb, number[]>; misses: number | null }> {
  const times: Record<Verb, number[]> = { provide: [], find: [], find_peer: [], put: [], get: [] }
  let misses = 0
  const timed = async (verb: Verb, node: Node, order: Order): Promise<Answer> => {
    const answer = await ask(node, order)
    times[verb].push(answer.ms)
    return answer
  }
  for (let at = 0; at < ROUNDS; at += 1) {
    if (Date.now() > until) return { times, misses: null }
    const [from, by] = pick(nodes, 2) as [Node, Node]
    const key = `/warren/bench/${at}`
    const provided = await timed('provide', from, { do: 'provide', key })
    const provider = await timed('find', by, { do: 'find', key })
    const peer = await timed('find_peer', by, { do: 'findPeer', peer: from.id })
    const put = await timed('put', from, { do: 'put', key })
    const record = await timed('get', by, { do: 'get', key })
    const missed = [
      { verb: 'find', hit: has(provider, from.id), answer: provider, told: provided },
      { verb: 'find_peer', hit: hasPort(peer, from.address), answer: peer, told: undefined },
      { verb: 'get', hit: has(record, key), answer: record, told: put },
    ].filter(({ hit }) => !hit)
    misses += missed.length
    for (const { verb, answer, told } of missed)
      say(`round ${at}: ${verb} missed, ${wordsOf(answer)}; ${wordsOf(told)}`)
  }
  return { times, misses }
}

/** What is worth knowing of a lookup that failed, or of the storing before it. */
function wordsOf(answer: Answer | undefined): string {
  if (answer === undefined) return 'nothing was to be told before'
  const { found, ms, contacts, error } = answer
  return `${error ?? `found ${found}`} after ${round(ms)} ms with ${contacts} contacts`
}

function has({ found }: Answer, wanted: string): boolean {
  return Array.isArray(found) && found.includes(wanted)
}

/** The node listens where it was found. */
function hasPort({ found }: Answer, address: string): boolean {
  const port = /\/tcp\/\d+/.exec(address)?.[0] as string
  return Array.isArray(found) && found.some((text) => text.includes(port))
}

async function ask({ child }: Node, order: Order): Promise<Answer> {
  const answer = heard(child)
  child.send(order)
  return answer
}

function heard(child: ChildProcess): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error('a node is silent')), STEP_TIMEOUT_MS)
    const onExit = (code: number | null): void => reject(new Error(`a node has ended with ${code}`))
    child.once('exit', onExit)
    child.once('message', (answer: Answer) => {
      clearTimeout(timer)
      child.off('exit', onExit)
      resolve(answer)
    })
  })
}

function addressOf({ address }: Node): string {
  return address
}

function pick<T>(all: readonly T[], count: number): T[] {
  return all
    .map((one) => ({ one, order: Math.random() }))
    .toSorted((a, b) => a.order - b.order)
    .slice(0, count)
    .map(({ one }) => one)
}

function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * share) - 1)] as number
}
