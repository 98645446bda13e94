import { afterEach, expect, test } from 'vitest'
import { ManualClock, systemClock } from '../../base/clock.ts'
import { Counters } from '../../base/counters.ts'
import { silentLogger } from '../../base/log.ts'
import { createNetwork, sendMessage } from '../../net/index.ts'
import { SUMMARY_PROTOCOL, startSummaries } from './summaries.ts'

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

async function startNetwork(seed: number) {
  const network = createNetwork({
    privateKey: new Uint8Array(32).fill(seed),
    listen: ['/ip4/127.0.0.1/tcp/0'],
    agent: 'warren/test',
    gate: { allow: () => ({ allowed: true }) },
    proof: { networkId: () => 'test', keys: () => [new Uint8Array(32).fill(9)] },
    staticPeers: [],
    mdns: false,
    clock: systemClock,
    log: silentLogger,
    counters: new Counters(),
  })
  cleanups.push(() => network.stop())
  await network.start()
  return network
}

test('a peer that neither ends its own streams nor lets ours end does not keep them', async () => {
  const [network, hostile] = [await startNetwork(1), await startNetwork(2)]
  const summaries = startSummaries({
    network,
    own: () => [],
    onChange: () => () => undefined,
    isMember: () => true,
    nameOf: (peer) => peer,
    clock: systemClock,
    log: silentLogger,
    streamTimeoutMs: 300,
  })
  cleanups.push(() => summaries.stop())
  const told = new Promise((resolve) => {
    hostile.handle(SUMMARY_PROTOCOL, (stream) => void stream.resume().once('close', resolve))
  })
  await hostile.connect(network.addresses()[0] as string)
  await told
  const stream = await hostile.open(network.id, SUMMARY_PROTOCOL)
  stream.resume()
  const closed = new Promise((resolve) => stream.once('close', resolve))
  await sendMessage(stream, { apps: [] })
  await closed
  expect(stream.destroyed).toBe(true)
})

test('a node’s last word is shown under its own name, with the time of its going once it has gone', async () => {
  const [network, other] = [await startNetwork(3), await startNetwork(4)]
  const row = {
    app: 'hello',
    version: '1.0.0',
    digest: 'ab',
    status: 'running',
    health: 'healthy',
    pid: 1,
    since: new Date().toISOString(),
    restarts: 0,
    ports: {},
  }
  const clock = new ManualClock(Date.UTC(2026, 0, 1))
  const summaries = startSummaries({
    network,
    own: () => [],
    onChange: () => () => undefined,
    isMember: () => true,
    nameOf: (peer) => `name of ${peer.slice(-4)}`,
    clock,
    log: silentLogger,
  })
  cleanups.push(() => summaries.stop())
  await other.connect(network.addresses()[0] as string)
  const stream = await other.open(network.id, SUMMARY_PROTOCOL)
  await sendMessage(stream, { apps: [{ ...row, node: 'another' }] })
  stream.end()
  stream.resume()
  const shown = () => summaries.rows([other.id])
  await expect.poll(shown).toEqual([expect.objectContaining({ app: 'hello', node: `name of ${other.id.slice(-4)}` })])
  expect(summaries.current(other.id, 'hello')).toEqual({ version: '1.0.0', digest: 'ab' })
  clock.advance(3_600_000)
  const goneAt = new Date(clock.now()).toISOString()
  expect(shown()[0]?.seen).toBe(goneAt)
  const gone = new Promise((resolve) => network.events.on('disconnected', resolve))
  await other.stop()
  await gone
  clock.advance(3_600_000)
  expect(shown()[0]?.seen).toBe(goneAt)
})

test('a peer is told of the apps that it may see, and of no other', async () => {
  const [network, other] = [await startNetwork(5), await startNetwork(6)]
  const status = (app: string) => ({
    node: 'burrow-1',
    app,
    version: '1.0.0',
    status: 'running' as const,
    health: 'healthy' as const,
    pid: 1,
    since: new Date().toISOString(),
    restarts: 0,
    ports: {},
    seen: new Date().toISOString(),
    package: app,
    digest: 'ab',
    generation: 1,
    desired: 'running' as const,
    placement: 'none',
    reason: null,
    exit_code: null,
    exit: null,
    pending: null,
  })
  const summaries = startSummaries({
    network,
    own: () => [status('api'), status('secret')],
    onChange: () => () => undefined,
    isMember: () => true,
    maySee: (peer, app) => peer !== other.id || app === 'api',
    nameOf: (peer) => peer,
    clock: systemClock,
    log: silentLogger,
  })
  cleanups.push(() => summaries.stop())
  const told = new Promise<string>((resolve) => {
    other.handle(SUMMARY_PROTOCOL, async (stream) => {
      stream.end()
      resolve(Buffer.concat(await stream.toArray()).toString())
    })
  })
  await other.connect(network.addresses()[0] as string)
  expect(await told).toContain('api')
  expect(await told).not.toContain('secret')
})
