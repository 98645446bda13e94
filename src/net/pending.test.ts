import { connect, type Socket } from 'node:net'
import { expect, test } from 'vitest'
import { ManualClock } from '../base/clock.ts'
import { MAX_PENDING_CONNECTIONS } from './constants.ts'
import { addressOf, withNetworks } from './fixtures/networks.ts'
import { PendingConnections, sourceOf } from './pending.ts'

test('one address that opens connections and says nothing does not keep members out', async () => {
  await withNetworks([{}, {}], async (network, member) => {
    const port = Number(addressOf(network).split('/')[4])
    const sockets: Socket[] = []
    try {
      for (let count = 0; count < MAX_PENDING_CONNECTIONS; count++) {
        const socket = connect({ port, host: '127.0.0.1', localAddress: '127.0.0.2' })
        sockets.push(socket.on('error', () => undefined))
        await new Promise<void>((resolve) => socket.once('connect', resolve).once('close', () => resolve()))
      }
      expect(await member.connect(addressOf(network))).toBe(network.id)
    } finally {
      for (const socket of sockets) socket.destroy()
    }
  })
})

test.each([
  ['/ip4/192.0.2.7/tcp/9010', '192.0.2.7'],
  ['/ip6/2001:db8:1:2:3:4:5:6/tcp/9010', '2001:db8:1:2::/64'],
  ['/ip6/2001:db8::1/tcp/9010', '2001:db8:0:0::/64'],
  ['/ip6/::1/tcp/9010', '0:0:0:0::/64'],
])('connections from %s count for %s', (address, source) => {
  expect(sourceOf(address)).toBe(source)
})

test('an address whose proofs fail again and again is heard seldom, and others are not concerned', () => {
  const clock = new ManualClock()
  const pending = new PendingConnections(clock)
  const come = (address: string): boolean => {
    const end = pending.begin(address)
    end?.()
    if (end !== undefined) pending.failed(address)
    return end !== undefined
  }
  const heard = (address: string, times: number): number =>
    Array.from({ length: times }, () => come(address)).filter(Boolean).length
  expect(heard('/ip4/192.0.2.7/tcp/1', 1000)).toBe(200)
  expect(heard('/ip4/192.0.2.7/tcp/2', 10)).toBe(0)
  expect(heard('/ip4/192.0.2.8/tcp/1', 10)).toBe(10)
  clock.advance(1000)
  expect(heard('/ip4/192.0.2.7/tcp/1', 1000)).toBe(20)
})
