import { randomBytes } from 'node:crypto'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { Counters } from '../../base/counters.ts'
import { addressOf, testNetwork, withNetworks } from '../fixtures/networks.ts'
import { sendMessage } from '../frames.ts'
import type { Network, NetworkInit } from '../types.ts'
import { ADDRESSES_PROTOCOL } from './address-exchange.ts'

const ends: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end()
})

async function start(init: Partial<NetworkInit> = {}): Promise<Network> {
  const network = testNetwork(init)
  ends.push(() => network.stop())
  await network.start()
  return network
}
const peersOf = (network: Network) => network.connections().map(({ peer }) => peer)
async function meet(one: Network, ...others: Network[]): Promise<void> {
  await expect.poll(() => peersOf(one)).toEqual(expect.arrayContaining(others.map(({ id }) => id)))
}
async function makeFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'warren-addresses-'))
  ends.unshift(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }))
  return folder
}

test('members that know one of them in common find each other', async () => {
  await withNetworks([{}, {}, {}, {}], async (hub, ...others) => {
    for (const other of others) await other.connect(addressOf(hub))
    for (const network of [hub, ...others]) await meet(network, ...[hub, ...others].filter((one) => one !== network))
    for (const network of others) expect(network.path(hub.id)).toMatchObject({ state: 'direct', why: null, lan: true })
  })
})

test('a node that starts again finds the others by what it has kept, and they find it at its new address', async () => {
  const recordsFile = join(await makeFolder(), 'addresses')
  const privateKey = randomBytes(32)
  const [hub, other] = [await start(), await start()]
  const first = testNetwork({ privateKey, recordsFile })
  await first.start()
  await other.connect(addressOf(hub))
  await first.connect(addressOf(hub))
  await meet(first, hub, other)
  await first.stop()
  expect((await readFile(recordsFile, 'utf8')).trim().split('\n')).toHaveLength(3)
  await hub.stop()
  const again = await start({ privateKey, recordsFile })
  await meet(again, other)
  await meet(other, again)
})

test('a line of the file that was changed is left out, the others count', async () => {
  const recordsFile = join(await makeFolder(), 'addresses')
  const [one, two] = [await start(), await start()]
  const first = testNetwork({ recordsFile })
  await first.start()
  await first.connect(addressOf(one))
  await first.connect(addressOf(two))
  await expect.poll(() => peersOf(first).length).toBe(2)
  await expect.poll(() => first.reach().clocks.length).toBe(2)
  await first.stop()
  const lines = (await readFile(recordsFile, 'utf8')).trim().split('\n')
  expect(lines).toHaveLength(3)
  const damaged = lines.map((line) =>
    Buffer.from(JSON.parse(line).payload, 'base64').includes(one.id)
      ? `${line.replace(/"payload":"..../, '"payload":"eyJm')}x`
      : line,
  )
  await writeFile(recordsFile, `${damaged.join('\n')}\n`)
  const again = await start({ recordsFile })
  await meet(again, two)
})

test('what a peer says of another node without its signature is refused and counted', async () => {
  const counters = new Counters()
  await withNetworks([{ counters }, {}], async (a, b) => {
    await b.connect(addressOf(a))
    const stream = await b.open(a.id, ADDRESSES_PROTOCOL)
    await sendMessage(stream, { type: 'records', records: ['{"payloadType":"x"}'] })
    await expect.poll(() => counters.get('net_address_records', { outcome: 'invalid' })).toBe(1)
    stream.destroy()
    expect(peersOf(a)).toEqual([b.id])
  })
})

test('the addresses of a node that the gate does not admit are not kept', async () => {
  const stranger = testNetwork()
  const counters = new Counters()
  const gate = {
    allow: (peer: string) =>
      peer === stranger.id ? { allowed: false as const, reason: 'unknown' } : { allowed: true as const },
  }
  ends.push(() => stranger.stop())
  await stranger.start()
  const [hub, strict] = [await start(), await start({ gate, counters })]
  await stranger.connect(addressOf(hub))
  await strict.connect(addressOf(hub))
  await expect.poll(() => counters.get('net_address_records', { outcome: 'known' })).toBeGreaterThan(0)
  expect(strict.path(stranger.id)).toMatchObject({ state: 'none', why: 'the rules of this node do not allow it' })
  expect(peersOf(strict)).toEqual([hub.id])
})

test('the clock of another node is told with how sure that is', async () => {
  const aheadMs = 90_000
  const { systemClock } = await import('../../base/clock.ts')
  const clock = { ...systemClock, now: () => Date.now() + aheadMs }
  await withNetworks([{}, { clock }], async (a, b) => {
    await b.connect(addressOf(a))
    await expect.poll(() => [a, b].map((network) => network.reach().clocks.length)).toEqual([1, 1])
    const [seen, seeing] = [a.reach().clocks[0], b.reach().clocks[0]]
    expect(Math.abs((seen?.offsetMs ?? 0) - aheadMs)).toBeLessThanOrEqual((seen?.boundMs ?? 0) + 2)
    expect(Math.abs((seeing?.offsetMs ?? 0) + aheadMs)).toBeLessThanOrEqual((seeing?.boundMs ?? 0) + 2)
  })
})
