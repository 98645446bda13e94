import { once } from 'node:events'
import { type AddressInfo, createServer, connect as dial, type Socket } from 'node:net'
import { expect, test } from 'vitest'
import { Counters } from '../../base/counters.ts'
import { addressOf, withNetworks } from '../fixtures/networks.ts'

/** A way to a port that can be made to swallow everything. */
async function makeWay(port: number) {
  const sockets = new Set<Socket>()
  let silent = false
  const server = createServer((near) => {
    const far = dial(port, '127.0.0.1')
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(from)
      from.on('error', () => undefined).on('close', () => to.destroy())
      from.on('data', (bytes) => void (silent || to.write(bytes)))
    }
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    address: `/ip4/127.0.0.1/tcp/${(server.address() as AddressInfo).port}`,
    swallow() {
      silent = true
    },
    async close() {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}

const portOf = (address: string): number => Number(/\/tcp\/(\d+)/.exec(address)?.[1])

test('a request on a connection that has become silent goes over another one, and the silent one ends', async () => {
  const counters = new Counters()
  await withNetworks([{ counters }, {}], async (a, b) => {
    const way = await makeWay(portOf(addressOf(b)))
    try {
      await a.connect(`${way.address}/p2p/${b.id}`)
      b.handle('/echo/1', (stream) => void stream.pipe(stream))
      await expect.poll(() => a.reach().clocks.length).toBe(1)
      way.swallow()
      const stream = await a.open(b.id, '/echo/1')
      stream.end('by another way')
      expect(Buffer.concat(await stream.toArray()).toString()).toBe('by another way')
      expect(counters.get('net_requests_hedged')).toBe(1)
      await expect.poll(() => a.connections().map(({ address }) => address)).toEqual([addressOf(b)])
      await expect.poll(() => counters.get('net_connections_closed')).toBe(1)
    } finally {
      await way.close()
    }
  })
})

test('a ping on a connection that has become silent measures another one', async () => {
  await withNetworks([{}, {}], async (a, b) => {
    const way = await makeWay(portOf(addressOf(b)))
    try {
      await a.connect(`${way.address}/p2p/${b.id}`)
      await expect.poll(() => a.reach().clocks.length).toBe(1)
      way.swallow()
      expect(await a.ping(b.id)).toBeLessThan(1_500)
    } finally {
      await way.close()
    }
  })
})

test('a request whose signal fires ends with its reason, silent connection or not', async () => {
  await withNetworks([{}, {}], async (a, b) => {
    const way = await makeWay(portOf(addressOf(b)))
    try {
      await a.connect(`${way.address}/p2p/${b.id}`)
      way.swallow()
      const stop = new AbortController()
      const opening = a.open(b.id, '/echo/1', { signal: stop.signal })
      stop.abort(new Error('enough'))
      await expect(opening).rejects.toThrow('enough')
    } finally {
      await way.close()
    }
  })
})
