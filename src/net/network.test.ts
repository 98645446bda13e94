import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import net from 'node:net'
import { createInterface } from 'node:readline'
import { setImmediate } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { ManualClock } from '../base/clock.ts'
import { Counters } from '../base/counters.ts'
import { PING_INTERVAL_MS, RETIRED_CHECK_MS } from './constants.ts'
import { addressOf, nextEvent, testNetwork, withNetworks } from './fixtures/networks.ts'
import type { Network } from './types.ts'

const NODE_PROGRAM = fileURLToPath(new URL('./fixtures/node-process.ts', import.meta.url))

function isConnected(network: Network, peer: string): boolean {
  return network.connections().some((info) => info.peer === peer)
}

async function connected(network: Network, peer: string): Promise<void> {
  if (isConnected(network, peer)) return
  await nextEvent(network, 'connected', (event) => event.peer === peer)
}

test('an id is stable and known before the start', async () => {
  const privateKey = Buffer.alloc(32, 3)
  const [one, two] = [testNetwork({ privateKey }), testNetwork({ privateKey })]
  expect(one.id).toBe(two.id)
  expect(one.id).toMatch(/^12D3KooW/)
  await one.start()
  expect(addressOf(one)).toContain(`/p2p/${one.id}`)
  await one.stop()
})

test('both sides see a connection with its path, agent and encryption', async () => {
  await withNetworks([{}, { agent: 'warren/9.9.9' }], async (a, b) => {
    const heard = nextEvent(b, 'connected')
    const since = Date.now()
    expect(await a.connect(addressOf(b))).toBe(b.id)
    expect(await heard).toEqual({ peer: a.id })
    expect(await a.connect(b.id)).toBe(b.id)
    await expect.poll(() => a.connections()[0]?.agent).toBe('warren/9.9.9')
    const [info] = a.connections()
    expect(info).toMatchObject({ peer: b.id, direction: 'outbound', relayed: false, encryption: 'TLS 1.3' })
    expect(info?.address).toContain('/ip4/127.0.0.1/tcp/')
    expect(info?.latencyMs).toBeGreaterThan(0)
    expect(info?.since).toBeGreaterThanOrEqual(since - 1_000)
    expect(b.connections()).toMatchObject([{ peer: a.id, direction: 'inbound' }])
    expect(await a.ping(b.id)).toBeGreaterThan(0)
  })
})

test('a second node on the same port says which address is in use', async () => {
  await withNetworks([{}], async (a) => {
    const listen = [addressOf(a).replace(/\/p2p\/.*/, '')]
    const second = testNetwork({ listen })
    await expect(second.start()).rejects.toMatchObject({
      code: 'port_in_use',
      message: expect.stringContaining(listen[0] as string),
    })
    await second.stop()
  })
})

test('an IPv6 port in use is not overlooked because IPv4 works', async () => {
  const blocker = net.createServer()
  blocker.listen({ host: '::1', port: 0 })
  await once(blocker, 'listening')
  const { port } = blocker.address() as net.AddressInfo
  const network = testNetwork({ listen: ['/ip4/127.0.0.1/tcp/0', `/ip6/::1/tcp/${port}`] })
  await expect(network.start()).rejects.toMatchObject({ code: 'port_in_use' })
  await network.stop()
  await new Promise((resolve) => blocker.close(resolve))
})

test('an address that is not of this machine, or no address, is named', async () => {
  await expect(testNetwork({ listen: ['/ip4/192.0.2.1/tcp/0'] }).start()).rejects.toMatchObject({
    code: 'listen_failed',
    message: expect.stringContaining('192.0.2.1'),
  })
  await expect(testNetwork({ listen: ['localhost:9010'] }).start()).rejects.toMatchObject({ code: 'address_invalid' })
  await expect(testNetwork({ staticPeers: ['/unix/tmp/x'] }).start()).rejects.toMatchObject({ code: 'address_invalid' })
})

test('dialling what cannot be reached says why', async () => {
  await withNetworks([{}], async (a) => {
    await expect(a.connect('/ip4/127.0.0.1/tcp/1')).rejects.toMatchObject({
      code: 'peer_unreachable',
      message: expect.stringContaining('the port is closed'),
    })
    const unknown = testNetwork().id
    await expect(a.connect(unknown)).rejects.toMatchObject({ message: `no address is known for ${unknown}` })
    await expect(a.open(unknown, '/x/1')).rejects.toMatchObject({ code: 'peer_unreachable' })
    await expect(a.connect('/unix/run/x.sock')).rejects.toMatchObject({ code: 'address_invalid' })
    await expect(a.connect('burrow-1')).rejects.toMatchObject({ code: 'address_invalid' })
  })
})

test('a dial ends with its signal', async () => {
  await withNetworks([{}], async (a) => {
    const silent = net.createServer(() => undefined).listen(0, '127.0.0.1')
    await once(silent, 'listening')
    const { port } = silent.address() as net.AddressInfo
    const stop = new AbortController()
    const dialled = a.connect(`/ip4/127.0.0.1/tcp/${port}`, { signal: stop.signal })
    await once(silent, 'connection')
    stop.abort(new Error('enough'))
    await expect(dialled).rejects.toThrow('enough')
    await new Promise((resolve) => silent.close(resolve))
  })
})

test('a protocol that the other node does not speak is refused by name', async () => {
  await withNetworks([{}, {}], async (a, b) => {
    await a.connect(addressOf(b))
    await expect(a.open(b.id, '/warren/none/1')).rejects.toMatchObject({ code: 'protocol_unsupported' })
    const stop = b.handle('/warren/some/1', (stream) => void stream.end())
    ;(await a.open(b.id, '/warren/some/1')).destroy()
    stop()
    await expect(a.open(b.id, '/warren/some/1')).rejects.toMatchObject({ code: 'protocol_unsupported' })
  })
})

test('a handler that throws resets its stream and nothing else', async () => {
  await withNetworks([{}, {}], async (a, b) => {
    b.handle('/test/1', () => Promise.reject(new Error('mistake')))
    await a.connect(addressOf(b))
    const stream = await a.open(b.id, '/test/1')
    await expect(stream.toArray()).rejects.toMatchObject({ code: 'stream_reset' })
    expect(await a.ping(b.id)).toBeGreaterThan(0)
  })
})

test('two nodes that dial each other at once keep one and the same connection', async () => {
  for (let round = 0; round < 5; round++) {
    await withNetworks([{}, {}], async (a, b) => {
      await Promise.all([a.connect(addressOf(b)), b.connect(addressOf(a))])
      await expect.poll(() => [a.connections().length, b.connections().length]).toEqual([1, 1])
      const directions = [a, b].map((network) => network.connections()[0]?.direction)
      expect(directions.toSorted()).toEqual(['inbound', 'outbound'])
    })
  }
})

test('the superfluous connection is closed when its streams have ended, without cutting one', async () => {
  const clock = new ManualClock()
  const counters = new Counters()
  await withNetworks(
    [
      { clock, counters },
      { clock, counters },
    ],
    async (a, b) => {
      for (const network of [a, b]) network.handle('/echo/1', (stream) => void stream.pipe(stream))
      await a.connect(addressOf(b))
      const early = await a.open(b.id, '/echo/1')
      await b.connect(addressOf(a).replace(/\/p2p\/.*/, ''))
      await expect.poll(() => [a.connections().length, b.connections().length]).toEqual([1, 1])
      for (let round = 0; round < 5; round++) clock.advance(RETIRED_CHECK_MS)
      early.end('still here')
      expect(Buffer.concat(await early.toArray()).toString()).toBe('still here')
      await expect
        .poll(() => {
          clock.advance(RETIRED_CHECK_MS)
          return counters.get('net_connections_closed')
        })
        .toBe(2)
      expect(await a.ping(b.id)).toBeGreaterThan(0)
      expect(await b.ping(a.id)).toBeGreaterThan(0)
    },
  )
})

test('a node disconnected by hand stays away until it is connected again', async () => {
  await withNetworks([{}, {}], async (a, b) => {
    await b.addAddress(a.id, [addressOf(a)])
    await connected(a, b.id)
    await connected(b, a.id)
    const gone = nextEvent(b, 'disconnected')
    await a.disconnect(b.id)
    await gone
    expect((await nextEvent(a, 'refused')).reason).toBe('it was disconnected by hand')
    expect(a.connections()).toEqual([])
    expect(a.path(b.id)).toMatchObject({ state: 'none', why: 'it was disconnected by hand' })
    await a.addAddress(b.id, [addressOf(b)])
    expect(await a.connect(b.id)).toBe(b.id)
    expect(isConnected(a, b.id)).toBe(true)
  })
})

test('static peers are dialled until they are there, with and without an id', async () => {
  const late = testNetwork({ privateKey: Buffer.alloc(32, 5) })
  const probe = net.createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const { port } = probe.address() as net.AddressInfo
  await new Promise((resolve) => probe.close(resolve))
  const address = `/ip4/127.0.0.1/tcp/${port}`
  await withNetworks([{ staticPeers: [address] }, { staticPeers: [`${address}/p2p/${late.id}`] }], async (a, b) => {
    const node = testNetwork({ privateKey: Buffer.alloc(32, 5), listen: [address] })
    await node.start()
    try {
      await Promise.all([connected(a, late.id), connected(b, late.id)])
    } finally {
      await node.stop()
    }
  })
})

interface NodeProcess {
  child: ChildProcess
  address: string
}

async function startNodeProcess(listen: string): Promise<NodeProcess> {
  const child = spawn(process.execPath, [NODE_PROGRAM, listen, '9'.repeat(64)], { stdio: ['pipe', 'pipe', 'inherit'] })
  const [line] = (await once(createInterface({ input: child.stdout as NodeJS.ReadableStream }), 'line')) as [string]
  return { child, address: line }
}

test('a node process that is killed is missed at once, and back when it is started again', async () => {
  await withNetworks([{}], async (a) => {
    const first = await startNodeProcess('/ip4/127.0.0.1/tcp/0')
    const peer = first.address.split('/p2p/')[1] as string
    let second: NodeProcess | undefined
    try {
      await a.addAddress(peer, [first.address])
      await connected(a, peer)
      const gone = nextEvent(a, 'disconnected')
      first.child.kill('SIGKILL')
      expect(await gone).toEqual({ peer })
      const back = nextEvent(a, 'connected')
      second = await startNodeProcess(first.address.replace(/\/p2p\/.*/, ''))
      expect(await back).toEqual({ peer })
    } finally {
      first.child.kill('SIGKILL')
      second?.child.kill('SIGKILL')
    }
  })
})

test('a node process that hangs is given up after two missed pings', async () => {
  const clock = new ManualClock()
  const counters = new Counters()
  await withNetworks([{ counters, clock }], async (a) => {
    const node = await startNodeProcess('/ip4/127.0.0.1/tcp/0')
    try {
      const peer = await a.connect(node.address)
      node.child.kill('SIGSTOP')
      const gone = nextEvent(a, 'disconnected')
      const timer = setInterval(() => clock.advance(1_000), 1)
      expect(await gone).toEqual({ peer })
      clearInterval(timer)
      expect(counters.get('net_connections_dead')).toBe(1)
    } finally {
      node.child.kill('SIGKILL')
    }
  })
})

test('a node process that answers one beat late stays connected', async () => {
  const clock = new ManualClock()
  await withNetworks([{ clock }], async (a) => {
    const node = await startNodeProcess('/ip4/127.0.0.1/tcp/0')
    try {
      const peer = await a.connect(node.address)
      const [before] = a.connections()
      node.child.kill('SIGSTOP')
      clock.advance(PING_INTERVAL_MS)
      await setImmediate()
      clock.advance(10_000)
      await setImmediate()
      node.child.kill('SIGCONT')
      // Answered after the late beat is, on the same connection.
      await a.ping(peer)
      expect(a.connections()[0]?.since).toBe(before?.since)
    } finally {
      node.child.kill('SIGKILL')
    }
  })
})

test('forty nodes come to one node at once', async () => {
  const networks = Array.from({ length: 40 }, () => testNetwork({ listen: [] }))
  await withNetworks([{}], async (hub) => {
    try {
      await Promise.all(networks.map((network) => network.start()))
      await Promise.all(networks.map((network) => network.connect(addressOf(hub))))
      await expect.poll(() => hub.connections().length).toBe(40)
    } finally {
      await Promise.all(networks.map((network) => network.stop()))
    }
  })
})

test('a network that was stopped answers so, and stops twice and unstarted without harm', async () => {
  const never = testNetwork()
  await never.stop()
  const network = testNetwork()
  await network.start()
  await network.stop()
  await network.stop()
  await expect(network.connect('/ip4/127.0.0.1/tcp/1')).rejects.toMatchObject({ code: 'network_not_running' })
  await expect(network.start()).rejects.toMatchObject({ code: 'network_not_running' })
})
