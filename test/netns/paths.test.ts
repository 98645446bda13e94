/** Nodes behind NATs find the best path there is: by what the routers let in, not by what the nodes say. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Internet, makeInternet } from './internet.ts'
import { whyNoNamespaces } from './lan.ts'
import { addressOf, enter, type Machine, warrenOn } from './warren-on.ts'

const reason = whyNoNamespaces()
if (reason !== undefined) process.stderr.write(`skipped: paths through NATs (${reason})\n`)
/** More than the packets of a punch that get through; a connection's handshake is twice this much each way. */
const CONNECTION_BYTES = 2000
const WITHIN = { timeout: 25_000, interval: 300 }

let folder: string
let internet: Internet
let relay: Machine
const nodes: Record<string, Machine> = {}

beforeAll(async () => {
  if (reason !== undefined) return
  folder = await mkdtemp(join(tmpdir(), 'warren-paths-'))
  internet = makeInternet({
    routers: {
      home: { nat: 'EIM/APDF' },
      office: { nat: 'EIM/APDF' },
      cellar: { nat: 'APDM/APDF' },
      attic: { nat: 'APDM/APDF' },
    },
    hosts: {
      relay: {},
      a: { behind: 'home' },
      b: { behind: 'office' },
      c: { behind: 'cellar' },
      d: { behind: 'attic' },
    },
  })
  relay = await warrenOn({ internet, host: 'relay', folder, env: { WARREN_RELAY_SERVE: 'always' } })
  await enter(relay)
  const env = { WARREN_RELAY_SERVERS: await addressOf(relay, internet) }
  const bringIn = async (host: string): Promise<void> => {
    nodes[host] = await warrenOn({ internet, host, folder, env })
    await enter(nodes[host], relay)
  }
  await Promise.all(['a', 'b', 'c', 'd'].map(bringIn))
}, 120_000)
afterAll(async () => {
  if (reason !== undefined) return
  internet.remove()
  await rm(folder, { recursive: true, force: true })
})

const node = (host: string): Machine => nodes[host] as Machine

/** The path that a request to another took; undefined where it was not answered. */
async function pathTo(from: string, to: string): Promise<string | undefined> {
  const { out } = await node(from).run(['ping', to, '--count', '1', '--timeout', '3s', '--json'])
  const { latency_ms: ms, path } = JSON.parse(out) as { latency_ms?: number | null; path?: string }
  return typeof ms === 'number' ? path : undefined
}

/** Bytes that came in from each other, the fewer of both ways. */
const letIn = (one: string, other: string): number =>
  Math.min(internet.bytesLetIn({ from: one, to: other }), internet.bytesLetIn({ from: other, to: one }))

test.skipIf(reason !== undefined)(
  'two nodes behind NATs that let in who was sent to have a direct path soon',
  async () => {
    await expect.poll(() => pathTo('a', 'b'), WITHIN).toBe('direct')
    expect(letIn('a', 'b')).toBeGreaterThan(CONNECTION_BYTES)
    const before = { direct: letIn('a', 'b'), relayed: internet.bytesLetIn({ from: 'relay', to: 'b' }) }
    await node('a').must(['ping', 'b', '--count', '20', '--interval', '20ms'])
    const direct = letIn('a', 'b') - before.direct
    expect(direct).toBeGreaterThan(internet.bytesLetIn({ from: 'relay', to: 'b' }) - before.relayed)
  },
  60_000,
)

test.skipIf(reason !== undefined)(
  'two nodes behind NATs that no hole is punched through talk over the relay, and say why',
  async () => {
    await expect.poll(() => pathTo('c', 'd'), WITHIN).toBe('relayed')
    const reasonToD = async (): Promise<unknown> => {
      const peers = await node('c').json<{ name: string | null; why?: string | null }[]>(['peers'])
      return peers.find(({ name }) => name === 'd')?.why
    }
    await expect.poll(reasonToD, WITHIN).toMatch(/\w+ \w+/)
    const before = internet.bytesLetIn({ from: 'relay', to: 'd' })
    await node('c').must(['ping', 'd', '--count', '20', '--interval', '20ms'])
    expect(internet.bytesLetIn({ from: 'relay', to: 'd' })).toBeGreaterThan(before)
    expect(letIn('c', 'd')).toBeLessThan(CONNECTION_BYTES)
  },
  60_000,
)

test.skipIf(reason !== undefined)(
  'a relay that is killed and started again carries the same nodes again',
  async () => {
    await expect.poll(() => pathTo('c', 'd'), WITHIN).toBe('relayed')
    relay.crash()
    expect(await pathTo('c', 'd')).toBeUndefined()
    await relay.startDaemon()
    await expect.poll(() => pathTo('c', 'd'), WITHIN).toBe('relayed')
    await expect.poll(() => pathTo('d', 'c'), WITHIN).toBe('relayed')
  },
  60_000,
)
