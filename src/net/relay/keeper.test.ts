import { duplexPair } from 'node:stream'
import { afterEach, expect, test } from 'vitest'
import { ManualClock } from '../../base/clock.ts'
import { Counters } from '../../base/counters.ts'
import { EventBus } from '../../base/events.ts'
import { silentLogger } from '../../base/log.ts'
import { readMessage, sendMessage } from '../frames.ts'
import type { Stream } from '../types.ts'
import { relaysOf } from './addresses.ts'
import {
  FIRST_ANSWER_MS,
  FIRST_BEAT_MS,
  FIRST_RETRY_MS,
  HEDGE_MS,
  OTHER_BEAT_MS,
  RELAY_PROTOCOL,
  RESERVATION_MS,
  SETTLE_MS,
  STEADY_MS,
} from './constants.ts'
import { closed, lost, type RelayNode, reserved, TestNet } from './fixtures/relays.ts'
import { HeldReservation, type Loss } from './held.ts'
import { ReservationKeeper, retryDelayMs } from './keeper.ts'
import type { Reservation } from './messages.ts'
import type { RelayClientEvents } from './types.ts'

const nets: TestNet[] = []
afterEach(async () => {
  for (const net of nets.splice(0)) await net.stop()
})
function testNet(): TestNet {
  const net = new TestNet()
  nets.push(net)
  return net
}
/** More than any jitter of the first retry. */
const AFTER_RETRY_MS = 2 * FIRST_RETRY_MS

async function relays(net: TestNet, count: number): Promise<RelayNode[]> {
  return Promise.all(Array.from({ length: count }, () => net.relay()))
}

test('the two best relays hold a node, and a third takes the place of one that stops until it is back', async () => {
  const net = testNet()
  const clock = new ManualClock()
  const [a, b, c] = (await relays(net, 3)) as [RelayNode, RelayNode, RelayNode]
  const { client, id } = await net.client({ clock })
  client.setCandidates([a.id, b.id, c.id])
  await Promise.all([reserved(client, a.id), reserved(client, b.id)])
  const [first] = client.reservations()
  expect(first).toMatchObject({
    relay: a.id,
    since: clock.now(),
    expires: clock.now() + RESERVATION_MS,
    mappedIp: '127.0.0.1',
  })
  expect(c.server.status().reservations).toEqual([])
  clock.advance(STEADY_MS / 10)
  const gone = lost(client, a.id)
  await a.server.stop()
  expect(await gone).toBe('the relay stops')
  await reserved(client, c.id)
  a.server.start()
  const back = reserved(client, a.id)
  clock.advance(AFTER_RETRY_MS)
  await back
  expect(client.reservations().map(({ relay }) => relay)).toEqual([a.id, b.id, c.id])
  expect(a.server.status().reservations).toMatchObject([{ peer: id, circuits: 0 }])
})

/** Lets beats under way be answered. */
async function turns(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve))
}

test('a worse relay is given back once the better ones have been there for a minute', async () => {
  const clock = new ManualClock()
  const events = new EventBus<RelayClientEvents>()
  const down = new Set(['a'])
  const reserve = async (relay: string) => {
    if (down.has(relay)) throw new Error('nobody listens')
    return relayInMemory()
  }
  const keeper = new ReservationKeeper({ reserve, clock, events, log: silentLogger, counters: new Counters() })
  keeper.setCandidates(['a', 'b', 'c', 'd'])
  keeper.start()
  const held = () => keeper.list().map(({ relay }) => relay)
  await turns()
  expect(held()).toEqual(['b', 'c'])
  await pass(clock, 120_000)
  expect(held()).toEqual(['b', 'c'])
  down.clear()
  await pass(clock, 3_000)
  expect(held()).toEqual(['a', 'b', 'c'])
  await pass(clock, SETTLE_MS - 10_000)
  expect(held()).toEqual(['a', 'b', 'c'])
  await pass(clock, 11_000)
  expect(held()).toEqual(['a', 'b'])
  void keeper.stop()
  expect(held()).toEqual([])
})

/** A relay's end of a reservation that answers each beat. */
function relayInMemory(): { stream: Stream; grant: Reservation } {
  const [near, far] = duplexPair()
  const answer = async (): Promise<void> => {
    for (;;) {
      const { kind, seq } = JSON.parse(String(await readMessage(far)))
      if (kind === 'beat') await sendMessage(far, { kind, seq, expires_ms: RESERVATION_MS })
    }
  }
  answer().catch(() => far.end())
  const grant = { ok: true as const, expires_ms: RESERVATION_MS, address: null, limits: { bytes: 0, ms: 0 } }
  return { stream: Object.assign(near, { peer: 'relay', protocol: RELAY_PROTOCOL }) as Stream, grant }
}

/** Time goes by, and what it brings about is answered. */
async function pass(clock: ManualClock, ms: number): Promise<void> {
  for (let passed = 0; passed < ms; passed += 500) {
    clock.advance(500)
    await turns()
  }
}

test('a relay that is down at the start is tried again until it is there, and the next one serves meanwhile', async () => {
  const net = testNet()
  const clock = new ManualClock()
  const [a, b, c] = (await relays(net, 3)) as [RelayNode, RelayNode, RelayNode]
  let isUp = false
  let attempts = 0
  const node = await net.client({
    clock,
    connect: async (relay, { signal }) => {
      if (relay === a.id) attempts++
      if (relay === a.id && !isUp) throw new Error('nobody listens')
      await node.network.connect(net.addressOf(relay), { signal })
    },
  })
  node.client.setCandidates([a.id, b.id, c.id])
  await Promise.all([reserved(node.client, b.id), reserved(node.client, c.id)])
  expect(attempts).toBe(1)
  clock.advance(AFTER_RETRY_MS)
  await expect.poll(() => attempts).toBe(2)
  isUp = true
  const back = reserved(node.client, a.id)
  clock.advance(4 * AFTER_RETRY_MS)
  await back
})

test('an attempt that hangs keeps the next relay from being tried for two seconds only', async () => {
  const net = testNet()
  const clock = new ManualClock()
  const [a, b, c] = (await relays(net, 3)) as [RelayNode, RelayNode, RelayNode]
  const node = await net.client({
    clock,
    connect: (relay, { signal }) =>
      relay === a.id ? new Promise(() => undefined) : node.network.connect(net.addressOf(relay), { signal }),
  })
  node.client.setCandidates([a.id, b.id, c.id])
  await reserved(node.client, b.id)
  expect(c.server.status().reservations).toEqual([])
  clock.advance(HEDGE_MS)
  await reserved(node.client, c.id)
})

test('a relay that is silent is given up after two beats, and asked again over a new connection', async () => {
  const net = testNet()
  const clock = new ManualClock()
  const silent = await net.node()
  const heads: unknown[] = []
  silent.handle(RELAY_PROTOCOL, async (stream) => {
    heads.push(JSON.parse(String(await readMessage(stream))))
    const grant = { ok: true, expires_ms: RESERVATION_MS, address: null, limits: { bytes: 0, ms: 0 } }
    await sendMessage(stream, grant)
    stream.on('end', () => stream.end())
    stream.resume()
  })
  const fresh: boolean[] = []
  const node = await net.client({
    clock,
    connect: (relay, options) => {
      fresh.push(options.fresh)
      return node.network.connect(net.addressOf(relay), { signal: options.signal })
    },
  })
  node.client.setCandidates([silent.id])
  await reserved(node.client, silent.id)
  expect(heads).toEqual([{ kind: 'reserve', beat_ms: FIRST_BEAT_MS }])
  const gone = lost(node.client, silent.id)
  clock.advance(FIRST_BEAT_MS + 2 * FIRST_ANSWER_MS - 1)
  expect(node.client.reservations()).toHaveLength(1)
  clock.advance(1)
  expect(await gone).toContain('has not answered 2 beats')
  clock.advance(AFTER_RETRY_MS)
  await reserved(node.client, silent.id)
  expect(fresh).toEqual([false, true])
})

test('a network that has changed is noticed at once where somebody says so', async () => {
  const net = testNet()
  const clock = new ManualClock()
  const [relay] = (await relays(net, 1)) as [RelayNode]
  const { client } = await net.client({ clock })
  client.setCandidates([relay.id])
  await reserved(client, relay.id)
  expect(client.reservations()[0]?.rttMs).toBeNull()
  client.checkNow()
  await expect.poll(() => client.reservations()[0]?.rttMs).toBe(0)
})

test('who is publicly reachable gives its reservations back, and takes them again when it no longer is', async () => {
  const net = testNet()
  const [a, b] = (await relays(net, 2)) as [RelayNode, RelayNode]
  const { client, id } = await net.client()
  client.setCandidates([a.id, b.id, a.id])
  await Promise.all([reserved(client, a.id), reserved(client, b.id)])
  client.needed(false)
  expect(client.reservations()).toEqual([])
  await expect.poll(() => [a, b].flatMap(({ server }) => server.status().reservations)).toEqual([])
  expect(a.counters.get('relay_reservations_ended', { reason: 'given_back' })).toBe(1)
  client.setCandidates([a.id])
  expect(client.reservations()).toEqual([])
  client.needed(true)
  await reserved(client, a.id)
  expect(a.server.status().reservations).toMatchObject([{ peer: id }])
})

test('attempts come at 0.25, 0.5, 1, 2, 2 … s for five minutes, and then up to 60 s apart', () => {
  expect([1, 2, 3, 4, 5, 100].map((failures) => retryDelayMs(failures, 0))).toEqual([250, 500, 1000, 2000, 2000, 2000])
  expect(retryDelayMs(200, 299_999)).toBe(2000)
  expect([300_000, 360_000, 480_000, 3_600_000].map((ms) => retryDelayMs(200, ms))).toEqual([
    2000, 20_000, 60_000, 60_000,
  ])
})

test('addresses of one relay are one relay, and an address without an id is refused', () => {
  const id = '12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA'
  const [v4, v6] = [`/ip4/192.0.2.7/tcp/9010/p2p/${id}`, `/ip6/2001:db8::7/tcp/9010/p2p/${id}`]
  expect(relaysOf([v4, v6, v4])).toEqual([{ id, addresses: [v4, v6] }])
  for (const bad of ['/ip4/192.0.2.7/tcp/9010', '/ip4/192.0.2.7/tcp/9010/p2p/nobody', id]) {
    expect(() => relaysOf([bad])).toThrow(expect.objectContaining({ code: 'address_invalid' }))
  }
})

interface Word {
  kind: string
  seq: number
  beat_ms: number
  renew: boolean
}

/** A reservation with the relay's end in the hands of the test. */
function held(clock: ManualClock, first: boolean) {
  const [near, far] = duplexPair()
  const losses: Loss[] = []
  const grant = {
    ok: true as const,
    expires_ms: 100_000,
    address: '/ip6/2001:db8::1/tcp/1',
    limits: { bytes: 0, ms: 0 },
  }
  const reservation = new HeldReservation({
    stream: Object.assign(near, { peer: 'relay', protocol: RELAY_PROTOCOL }) as Stream,
    grant,
    clock,
    first,
    onLost: (loss) => losses.push(loss),
  })
  const next = async (): Promise<Word> => JSON.parse(String(await readMessage(far)))
  const answer = (seq: number) => sendMessage(far, { kind: 'beat', seq, expires_ms: 100_000 })
  return { reservation, near, far, losses, next, answer }
}

test('a reservation is renewed when half of its time is over, by its beats', async () => {
  const clock = new ManualClock()
  const { reservation, next, answer } = held(clock, false)
  const renewed: boolean[] = []
  for (let beat = 1; beat <= 8; beat++) {
    clock.advance(OTHER_BEAT_MS)
    const word = await next()
    renewed.push(word.renew)
    await answer(word.seq)
    await expect.poll(() => reservation.rttMs).toBe(0)
    reservation.rttMs = null
  }
  expect(renewed).toEqual([false, false, false, true, false, false, false, true])
})

test('a relay that becomes the first one is asked at once and then more often', async () => {
  const clock = new ManualClock()
  const { reservation, next, answer } = held(clock, false)
  reservation.setFirst(true)
  const word = await next()
  expect(word).toMatchObject({ kind: 'beat', beat_ms: FIRST_BEAT_MS })
  clock.advance(80)
  await answer(word.seq)
  await expect.poll(() => reservation.rttMs).toBe(80)
  clock.advance(FIRST_BEAT_MS)
  expect(await next()).toMatchObject({ seq: 2 })
})

test('one missed beat is forgiven, and an answer that comes late counts', async () => {
  const clock = new ManualClock()
  const { reservation, losses, next, answer } = held(clock, true)
  clock.advance(FIRST_BEAT_MS)
  const first = await next()
  clock.advance(FIRST_ANSWER_MS)
  await next()
  await answer(first.seq)
  await expect.poll(() => reservation.rttMs).toBe(FIRST_ANSWER_MS)
  // Round trips are slow now, and the time for an answer with them.
  clock.advance(FIRST_BEAT_MS + 3 * FIRST_ANSWER_MS)
  expect(losses).toEqual([])
})

test('a relay that says nonsense on a reservation loses it', async () => {
  const { near, far, losses } = held(new ManualClock(), true)
  await sendMessage(far, { kind: 'beat', seq: 'one' })
  await expect.poll(() => losses).toMatchObject([{ code: 'closed' }])
  await closed(near)
})
