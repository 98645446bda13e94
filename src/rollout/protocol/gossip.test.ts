import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { systemClock } from '../../base/clock.ts'
import { Counters } from '../../base/counters.ts'
import { silentLogger } from '../../base/log.ts'
import { createNetwork, type Network, sendMessage } from '../../net/index.ts'
import type { RolloutEvent } from '../contract.ts'
import { DIGEST, NETWORK, type TestNode, testNodes, testSeed } from '../fixtures/nodes.ts'
import { createRollouts, type Rollouts } from '../index.ts'
import { ROLLOUT_PROTOCOL } from './constants.ts'

const cleanups: (() => Promise<void> | void)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

async function startNetwork(index: number): Promise<Network> {
  const network = createNetwork({
    privateKey: testSeed(index),
    listen: ['/ip4/127.0.0.1/tcp/0'],
    agent: 'warren/test',
    gate: { allow: () => ({ allowed: true }) },
    proof: { networkId: () => NETWORK, keys: () => [new Uint8Array(32).fill(9)] },
    staticPeers: [],
    mdns: false,
    clock: systemClock,
    log: silentLogger,
    counters: new Counters(),
  })
  await network.start()
  cleanups.push(() => network.stop())
  return network
}

interface Started {
  readonly rollouts: Rollouts
  readonly counters: Counters
  running: string | undefined
}

async function startNode(network: Network, own: TestNode, all: TestNode[], strangers: string[] = []): Promise<Started> {
  const folder = await mkdtemp(join(tmpdir(), 'warren-gossip-'))
  const nodes = () =>
    all.map(({ id, name }) => ({
      id,
      name,
      role: 'admin' as const,
      labels: {},
      state: id === own.id ? ('self' as const) : ('up' as const),
    }))
  const stored = { digest: DIGEST, record: { name: 'hello', version: '2.0.0', bytes: 10 }, complete: true }
  const counters = new Counters()
  const node: { running: string | undefined } = { running: undefined }
  const rollouts = createRollouts({
    folder,
    signer: own.signer,
    networkId: () => NETWORK,
    network,
    directory: {
      self: { id: own.id, name: own.name },
      nodes,
      nameOf: (id) => nodes().find((node) => node.id === id)?.name,
      select: (targets) => nodes().filter(({ name }) => targets.includes(name)),
      roleOf: (id) => (strangers.includes(id) ? undefined : 'admin'),
    },
    rights: {
      mayDeploy: () => true,
      maySee: () => true,
      admins: () => ['alpha'],
      networkAgeMs: () => 0,
      isKnown: () => true,
      mayRun: () => true,
      isStale: () => ({ stale: false, reason: '' }),
    },
    standing: { isCurrent: () => true, whenCurrent: async () => true, why: () => '' },
    wasInstalled: () => false,
    apps: {
      deploy: async () => {
        node.running = '2.0.0'
        return { ok: true, version: '2.0.0' }
      },
      revert: async () => ({ version: null }),
      active: async () => undefined,
    },
    transfer: { get: async () => stored, fetch: async () => stored },
    trust: { check: () => undefined },
    current: () => undefined,
    settings: { retries: 3, retryDelayMs: 1000, minHealthyMs: 0, progressDeadlineMs: 30_000, timeoutMs: 20_000 },
    clock: systemClock,
    log: silentLogger,
    counters,
  })
  await rollouts.start()
  cleanups.push(async () => {
    await rollouts.stop()
    await rm(folder, { recursive: true, force: true })
  })
  return Object.assign(node, { rollouts, counters })
}

async function deploy(rollouts: Rollouts): Promise<RolloutEvent | undefined> {
  const { envelope } = rollouts.sign({
    package: { name: 'hello', version: '2.0.0', digest: DIGEST },
    on: [],
    all: true,
    batch: [1],
    max_unavailable: 0,
    rollback: true,
    sources: [],
    accept_stale: false,
  })
  let last: RolloutEvent | undefined
  for await (const event of rollouts.submit(envelope, { signal: new AbortController().signal })) last = event
  return last
}

test('over real connections a rollout runs wave by wave, and a node that joins later learns of it', async () => {
  const all = testNodes(3)
  const [a, b, c] = all as [TestNode, TestNode, TestNode]
  const [first, second, third] = [await startNetwork(1), await startNetwork(2), await startNetwork(3)]
  const one = await startNode(first, a, [a, b])
  const two = await startNode(second, b, [a, b])
  await second.connect(first.addresses()[0] as string)
  expect(await deploy(one.rollouts)).toMatchObject({ done: true, ok: true })
  expect([one.running, two.running]).toEqual(['2.0.0', '2.0.0'])
  const late = await startNode(third, c, all)
  await third.connect(second.addresses()[0] as string)
  const signal = AbortSignal.timeout(60_000)
  while (late.rollouts.list()[0]?.state !== 'done') {
    signal.throwIfAborted()
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  expect(late.running).toBeUndefined()
})

test('a stranger is not heard, and what a member sends in a wrong form is counted or ends its stream', async () => {
  const [a, b, c] = testNodes(3) as [TestNode, TestNode, TestNode]
  const [first, second, third] = [await startNetwork(1), await startNetwork(2), await startNetwork(3)]
  const one = await startNode(first, a, [a, b], [c.id])
  const address = first.addresses()[0] as string
  for (const [network, who] of [
    [second, 'member'],
    [third, 'stranger'],
  ] as const) {
    await network.connect(address)
    const stream = await network.open(a.id, ROLLOUT_PROTOCOL)
    const body = Buffer.from('{"type":"evidence","envelope":{"payload":"x","payloadType":"y","signatures":[]}}')
    const length = Buffer.alloc(4)
    length.writeUInt32BE(body.length)
    const ended = new Promise<void>((resolve) => {
      stream.on('error', () => resolve())
      stream.on('close', () => resolve())
      stream.on('end', () => resolve())
    })
    stream.resume()
    stream.write(Buffer.concat([length, body, Buffer.from([0, 0, 0, 2]), Buffer.from('{x')]))
    await ended
    stream.destroy()
    const refused = one.counters.entries().filter(([key]) => key.startsWith('rollout_refused'))
    // The stranger's message adds nothing to the member's.
    expect(
      refused.map(([, count]) => count),
      who,
    ).toEqual([1])
  }
  expect(one.rollouts.list()).toEqual([])
})

test('what an exchange brings is read as it comes: nothing but statements is held until its end', async () => {
  const [a, b] = testNodes(2) as [TestNode, TestNode]
  const [first, second] = [await startNetwork(1), await startNetwork(2)]
  const one = await startNode(first, a, [a, b])
  await second.connect(first.addresses()[0] as string)
  const stream = await second.open(a.id, ROLLOUT_PROTOCOL)
  stream.on('error', () => undefined).resume()
  await sendMessage(stream, { type: 'have', rollouts: [] })
  const envelope = { payloadType: 'y', payload: 'x', signatures: [], more: Array.from({ length: 300_000 }, () => []) }
  await sendMessage(stream, { type: 'document', envelope })
  // Without an end: what is kept until then would not be counted yet.
  await expect.poll(() => one.counters.entries().filter(([key]) => key.startsWith('rollout_refused'))).toHaveLength(1)
  stream.destroy()
})

test('a member whose membership has ended is told nothing more and is heard no more, also where it stays connected', async () => {
  const [a, b] = testNodes(2) as [TestNode, TestNode]
  const [first, second] = [await startNetwork(1), await startNetwork(2)]
  const ended: string[] = []
  const one = await startNode(first, a, [a, b], ended)
  const two = await startNode(second, b, [a, b])
  await second.connect(first.addresses()[0] as string)
  expect(await deploy(one.rollouts)).toMatchObject({ done: true, ok: true })
  ended.push(b.id)
  one.rollouts.rosterChanged()
  for (const { rollouts } of [one, two]) {
    const own = { package: { name: 'hello', version: '2.0.0', digest: DIGEST }, app: 'own', all: false, batch: [] }
    const on = [rollouts === one.rollouts ? a.name : b.name]
    const rest = { on, max_unavailable: 0, rollback: true, sources: [], accept_stale: false }
    const { envelope } = rollouts.sign({ ...own, ...rest })
    const done: RolloutEvent[] = []
    for await (const event of rollouts.submit(envelope, { signal: new AbortController().signal })) done.push(event)
    expect(done.at(-1)).toMatchObject({ ok: true })
  }
  for (let round = 0; round < 5; round++) await second.ping(a.id)
  expect([one, two].map(({ rollouts }) => rollouts.list().map(({ author, app }) => `${author} ${app}`))).toEqual([
    expect.not.arrayContaining([`${b.name} own`]),
    expect.not.arrayContaining([`${a.name} own`]),
  ])
})
