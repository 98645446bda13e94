/** One member of the network that bench/dht.ts measures, in a process of its own, told what to do over its IPC channel. */
import { randomBytes } from 'node:crypto'
import { flushCompileCache } from 'node:module'
import { memoryUsage } from 'node:process'
import { systemClock } from '../src/base/clock.ts'
import { Counters } from '../src/base/counters.ts'
import { silentLogger } from '../src/base/log.ts'
import { createNetwork } from '../src/net/index.ts'

/** What the parent asks for. */
export type Order =
  | { readonly do: 'bootstrap'; readonly seeds: readonly string[] }
  | { readonly do: 'provide' | 'find' | 'put' | 'get'; readonly key: string }
  | { readonly do: 'findPeer'; readonly peer: string }
  | { readonly do: 'report' }
  | { readonly do: 'stop' }

/** What it says: its place at first, then an answer for each order. */
export interface Answer {
  readonly id: string
  readonly address: string
  readonly contacts: number
  readonly rssBytes: number
  readonly ms: number
  /** Other nodes that took it, providers or addresses found, or 1 for a record that was found. */
  readonly found: readonly string[] | number
  readonly error?: string
}

const network = createNetwork({
  privateKey: randomBytes(32),
  listen: ['/ip4/127.0.0.1/tcp/0'],
  agent: 'warren/bench',
  gate: { allow: () => ({ allowed: true }) },
  proof: { networkId: () => 'bench', keys: () => [Buffer.alloc(32, 7)] },
  staticPeers: [],
  mdns: false,
  dht: { isMember: () => true },
  clock: systemClock,
  log: silentLogger,
  counters: new Counters(),
})
await network.start()
const dht = network.dht as NonNullable<typeof network.dht>
// For the members that start later; this one is killed in the end.
flushCompileCache()
say(0, 0)
process.on('message', async (order: Order) => {
  const started = performance.now()
  try {
    const found = await obey(order)
    say(performance.now() - started, found)
  } catch (error) {
    say(performance.now() - started, 0, String(error))
  }
  if (order.do === 'stop') process.disconnect()
})
process.on('disconnect', () => process.exit())

async function obey(order: Order): Promise<Answer['found']> {
  switch (order.do) {
    case 'bootstrap':
      await reach(order.seeds)
      return (await dht.bootstrap()).contacts
    case 'provide':
      return dht.provide(Buffer.from(order.key))
    case 'find':
      for await (const peer of dht.findProviders(Buffer.from(order.key), { limit: 1 })) return [peer]
      return []
    case 'findPeer':
      return dht.findPeer(order.peer)
    case 'put':
      return dht.put(order.key, Buffer.from(order.key))
    case 'get': {
      const record = await dht.get(order.key)
      return record === undefined ? [] : [Buffer.from(record.value).toString()]
    }
    case 'report':
      return 0
    case 'stop':
      await network.stop()
      return 0
  }
}

/** As a node does with the peers of its config: it tries them until they answer. The first member has none. */
async function reach(seeds: readonly string[]): Promise<void> {
  if (seeds.length === 0) return
  const { promise, resolve } = Promise.withResolvers<void>()
  network.events.on('connected', () => resolve())
  for (const seed of seeds) await network.addAddress(seed.replace(/.*\/p2p\//, ''), [seed])
  if (network.connections().length === 0) await promise
}

function say(ms: number, found: Answer['found'], error?: string): void {
  const answer: Answer = {
    id: network.id,
    address: network.addresses()[0] ?? '',
    contacts: dht.size(),
    rssBytes: memoryUsage.rss(),
    ms,
    found,
    ...(error === undefined ? {} : { error }),
  }
  process.send?.(answer)
}
