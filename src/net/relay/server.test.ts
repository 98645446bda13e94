import { randomBytes } from 'node:crypto'
import { afterEach, expect, test } from 'vitest'
import { ManualClock } from '../../base/clock.ts'
import { peerIdOf } from '../../identity/index.ts'
import { readMessage, sendMessage } from '../frames.ts'
import type { Network, Stream } from '../types.ts'
import { HEAD_BYTES, HEAD_TIMEOUT_MS, RELAY_PROTOCOL, REQUEST_RATE, RESERVATION_MS, SILENT_BEATS } from './constants.ts'
import { closed, LIMITS, type RelayNode, TestNet } from './fixtures/relays.ts'

const nets: TestNet[] = []
afterEach(async () => {
  for (const net of nets.splice(0)) await net.stop()
})
async function relayAndPeer(options: Parameters<TestNet['relay']>[0] = {}) {
  const net = new TestNet()
  nets.push(net)
  const relay = await net.relay(options)
  const peer = await joined(net, relay)
  return { net, relay, peer }
}
async function joined(net: TestNet, relay: RelayNode): Promise<Network> {
  const peer = await net.node({ listen: [] })
  await peer.connect(net.addressOf(relay.id))
  return peer
}
async function ask(peer: Network, relay: RelayNode, head: object | Uint8Array): Promise<Stream> {
  const stream = await peer.open(relay.id, RELAY_PROTOCOL)
  await sendMessage(stream, head)
  return stream
}
async function word(stream: Stream): Promise<Record<string, unknown>> {
  return JSON.parse(String(await readMessage(stream)))
}
const reserve = (beatMs = 60_000) => ({ kind: 'reserve', beat_ms: beatMs })

test('a reservation is granted with its limits and the address that the relay sees', async () => {
  const { relay, peer } = await relayAndPeer({ limits: { ...LIMITS, circuitBytes: 7, circuitTimeMs: 8 } })
  expect(await word(await ask(peer, relay, reserve()))).toEqual({
    ok: true,
    expires_ms: RESERVATION_MS,
    address: expect.stringMatching(/^\/ip4\/127\.0\.0\.1\/tcp\//),
    limits: { bytes: 7, ms: 8 },
  })
  expect(relay.server.status().reservations).toMatchObject([{ peer: peer.id, circuits: 0 }])
})

test('a second reservation of a peer replaces its first, which is told', async () => {
  const { relay, peer } = await relayAndPeer({ limits: { ...LIMITS, maxReservations: 1 } })
  const first = await ask(peer, relay, reserve())
  await word(first)
  expect(await word(await ask(peer, relay, reserve()))).toMatchObject({ ok: true })
  expect(await word(first)).toMatchObject({ kind: 'end', code: 'replaced' })
  await closed(first)
  expect(relay.server.status().reservations).toHaveLength(1)
})

test('reservations are limited, and the limit says so by its code', async () => {
  const { net, relay, peer } = await relayAndPeer({ limits: { ...LIMITS, maxReservations: 1 } })
  const held = await ask(peer, relay, reserve())
  await word(held)
  const other = await joined(net, relay)
  expect(await word(await ask(other, relay, reserve()))).toMatchObject({ ok: false, code: 'limit_reached' })
  held.destroy()
  await expect.poll(() => relay.server.status().reservations).toEqual([])
  expect(await word(await ask(other, relay, reserve()))).toMatchObject({ ok: true })
})

test('who may not use the relay, or is not connected directly, gets neither reservation nor circuit', async () => {
  const first = await relayAndPeer({ mayUse: () => false })
  expect(await word(await ask(first.peer, first.relay, reserve()))).toMatchObject({ ok: false, code: 'not_allowed' })
  const second = await relayAndPeer({ observed: () => [] })
  expect(await word(await ask(second.peer, second.relay, reserve()))).toMatchObject({ ok: false, code: 'not_allowed' })
  const connect = { kind: 'connect', peer: peerIdOf(randomBytes(32)) }
  expect(await word(await ask(second.peer, second.relay, connect))).toMatchObject({ ok: false, code: 'not_allowed' })
})

test('a client that is silent for three beats loses its reservation and is told why', async () => {
  const clock = new ManualClock()
  const { relay, peer } = await relayAndPeer({ clock })
  const stream = await ask(peer, relay, reserve(3_000))
  await word(stream)
  clock.advance(3_000 * SILENT_BEATS - 1)
  await sendMessage(stream, { kind: 'beat', seq: 1, beat_ms: 3_000, renew: false })
  expect(await word(stream)).toMatchObject({ kind: 'beat', seq: 1 })
  clock.advance(3_000 * SILENT_BEATS)
  expect(await word(stream)).toMatchObject({ kind: 'end', code: 'silent' })
  expect(relay.server.status().reservations).toEqual([])
})

test('a reservation that is not renewed ends with its time, and one that is goes on', async () => {
  const clock = new ManualClock()
  const { net, relay, peer } = await relayAndPeer({ clock })
  const renewing = await joined(net, relay)
  const [kept, expiring] = [await ask(renewing, relay, reserve()), await ask(peer, relay, reserve())]
  for (const stream of [kept, expiring]) await word(stream)
  const beat = async (stream: Stream, renew: boolean) => {
    await sendMessage(stream, { kind: 'beat', seq: 1, beat_ms: 60_000, renew })
    return word(stream)
  }
  let last: Record<string, unknown> = {}
  for (let minute = 1; minute < 60; minute++) {
    clock.advance(60_000)
    last = await beat(expiring, false)
    await beat(kept, true)
  }
  expect(last).toMatchObject({ expires_ms: 60_000 })
  clock.advance(60_000)
  expect(await word(expiring)).toMatchObject({ kind: 'end', code: 'expired' })
  expect(await beat(kept, true)).toMatchObject({ kind: 'beat', expires_ms: RESERVATION_MS })
})

test('a flood of beats costs the flooder its reservation', async () => {
  const { relay, peer } = await relayAndPeer()
  const stream = await ask(peer, relay, reserve())
  await word(stream)
  for (let seq = 0; seq < 200; seq++) {
    sendMessage(stream, { kind: 'beat', seq, beat_ms: 60_000, renew: false }).catch(() => undefined)
  }
  let last = await word(stream)
  while (last.kind === 'beat') last = await word(stream)
  expect(last).toMatchObject({ kind: 'end', code: 'too_fast' })
})

test('a flood of requests is refused by its rate, and another peer is served meanwhile', async () => {
  const clock = new ManualClock()
  const { net, relay, peer } = await relayAndPeer({ clock })
  const other = await joined(net, relay)
  const unknown = peerIdOf(randomBytes(32))
  const codes = new Set<unknown>()
  for (let count = 0; count < REQUEST_RATE.burst + 3; count++) {
    const stream = await ask(peer, relay, { kind: 'connect', peer: unknown })
    codes.add((await word(stream)).code)
    stream.destroy()
  }
  expect([...codes]).toEqual(['no_reservation', 'too_fast'])
  expect(relay.counters.get('relay_refused', { code: 'too_fast' })).toBe(3)
  expect(await word(await ask(other, relay, reserve()))).toMatchObject({ ok: true })
})

test('what is no request is reset and counted, whatever its size and form', async () => {
  const { relay, peer } = await relayAndPeer()
  const heads: (object | Uint8Array)[] = [
    Buffer.alloc(HEAD_BYTES + 1, 0x20),
    Buffer.from('{'),
    Buffer.alloc(0),
    {},
    { kind: 'reserve', beat_ms: 0 },
    { kind: 'reserve', beat_ms: 1e12 },
    { kind: 'connect', peer: 'nobody' },
    { kind: 'connect', peer: ['12D3'] },
    { kind: 'stop', peer: peer.id },
  ]
  for (const head of heads) await closed(await ask(peer, relay, head))
  // Only its length is read.
  const huge = await peer.open(relay.id, RELAY_PROTOCOL)
  huge.write(Buffer.from([0xff, 0xff, 0xff, 0xff]))
  await closed(huge)
  expect(relay.counters.get('relay_refused', { code: 'malformed' })).toBe(heads.length + 1)
  expect(relay.server.status()).toMatchObject({ reservations: [], circuits: [] })
})

test('a request that never comes is given up', async () => {
  const clock = new ManualClock()
  const { relay, peer } = await relayAndPeer({ clock })
  const stream = await peer.open(relay.id, RELAY_PROTOCOL)
  stream.write(Buffer.from([0, 0]))
  // The time runs from when the relay has the stream, which is not seen here.
  await expect
    .poll(() => {
      clock.advance(HEAD_TIMEOUT_MS)
      return stream.closed
    })
    .toBe(true)
  expect(stream.errored).toMatchObject({ code: 'stream_reset' })
})

test('streams of one peer are limited, and the ones of others are not', async () => {
  const { net, relay, peer } = await relayAndPeer({ limits: { ...LIMITS, circuitsPerPeer: 2 } })
  const other = await joined(net, relay)
  const streams: Stream[] = []
  // They say nothing, and hold a place each until their time is over.
  for (let count = 0; count < 15; count++) streams.push(await peer.open(relay.id, RELAY_PROTOCOL))
  for (const stream of streams) stream.write(Buffer.from([0]))
  await expect.poll(() => streams.filter((stream) => stream.destroyed).length).toBe(5)
  expect(await word(await ask(other, relay, reserve()))).toMatchObject({ ok: true })
})
