import { once } from 'node:events'
import { afterEach, expect, test } from 'vitest'
import { circuit, closed, LIMITS, reserveAt, TestNet } from './fixtures/relays.ts'

const nets: TestNet[] = []
afterEach(async () => {
  for (const net of nets.splice(0)) await net.stop()
})

/** A relay, a dialler, and a target with a reservation. */
async function trio(options: Parameters<TestNet['relay']>[0]) {
  const net = new TestNet()
  nets.push(net)
  const relay = await net.relay(options)
  const [from, to] = [await net.client(), await net.client()]
  await reserveAt(to, relay)
  return { net, relay, from, to }
}

test('those who have filled a node with circuits make room for who has none, the longest silent one first', async () => {
  const { net, relay, to } = await trio({ limits: { ...LIMITS, circuitsPerPeer: 4 } })
  const [greedy, other, newcomer, last] = [
    await net.client(),
    await net.client(),
    await net.client(),
    await net.client(),
  ]
  const silent = await circuit(greedy, to, relay)
  const busy = [await circuit(greedy, to, relay), await circuit(greedy, to, relay), await circuit(other, to, relay)]
  for (const { near, far } of busy) {
    far.write('word')
    await once(near, 'data')
  }
  await circuit(newcomer, to, relay)
  await closed(silent.near)
  expect(silent.near.errored).toMatchObject({ code: 'relay_circuit_ended' })
  const sources = () => relay.server.status().circuits.map(({ from }) => from)
  await expect.poll(() => sources().sort()).toEqual([greedy.id, greedy.id, newcomer.id, other.id].sort())
  expect(busy.every(({ near }) => !near.destroyed)).toBe(true)
  await circuit(last, to, relay)
  await expect.poll(() => sources().sort()).toEqual([greedy.id, last.id, newcomer.id, other.id].sort())
  // With one each nobody has too many.
  const late = await net.client()
  await expect(late.client.dial(relay.id, to.id, {})).rejects.toMatchObject({ code: 'relay_limit_reached' })
  await expect(newcomer.client.dial(relay.id, to.id, {})).rejects.toMatchObject({ code: 'relay_limit_reached' })
  expect(relay.counters.get('relay_circuits_ended', { reason: 'displaced' })).toBe(2)
})

test('both ends learn where the relay sees the other one, and nothing of anybody else', async () => {
  const places = new Map<string, string>()
  const { relay, from, to } = await trio({ observed: (peer) => [`/ip4/${places.get(peer) ?? '192.0.2.9'}/tcp/9`] })
  places.set(from.id, '198.51.100.1')
  places.set(to.id, '198.51.100.2')
  expect(from.client.wasSeenAt(to.id, '198.51.100.2')).toBe(false)
  await circuit(from, to, relay)
  expect(from.client.wasSeenAt(to.id, '198.51.100.2')).toBe(true)
  expect(from.client.wasSeenAt(to.id, '::ffff:198.51.100.2')).toBe(true)
  expect(to.client.wasSeenAt(from.id, '198.51.100.1')).toBe(true)
  expect(to.client.wasSeenAt(from.id, '198.51.100.2')).toBe(false)
  expect(from.client.wasSeenAt(relay.id, '198.51.100.2')).toBe(false)
})
