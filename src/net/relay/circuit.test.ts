import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import type { Duplex } from 'node:stream'
import { afterEach, expect, test } from 'vitest'
import { ManualClock } from '../../base/clock.ts'
import type { StreamOpener } from '../channel.ts'
import { readMessage, sendMessage } from '../frames.ts'
import type { Stream } from '../types.ts'
import { RELAY_PROTOCOL, STOP_PROTOCOL, TARGET_TIMEOUT_MS } from './constants.ts'
import {
  type ClientNode,
  circuit,
  closed,
  LIMITS,
  openerOf,
  type RelayNode,
  reserveAt,
  TestNet,
} from './fixtures/relays.ts'

const nets: TestNet[] = []
afterEach(async () => {
  for (const net of nets.splice(0)) await net.stop()
})
function testNet(): TestNet {
  const net = new TestNet()
  nets.push(net)
  return net
}

type RelayOptions = Parameters<TestNet['relay']>[0]

/** A relay, a dialler, and a target with a reservation. */
async function trio(options: RelayOptions = {}) {
  const net = testNet()
  const relay = await net.relay(options)
  const [from, to] = [await net.client(), await net.client()]
  await reserveAt(to, relay)
  return { net, relay, from, to }
}

test('a dialler reaches a target over a relay: bytes go both ways, and halves close apart', async () => {
  const { net, relay, from, to } = await trio()
  await from.client.dial(relay.id, to.id, {})
  const [near, far] = await Promise.all([from.upgrader.next(), to.upgrader.next()])
  const path = `${net.addressOf(relay.id)}/p2p-circuit/p2p/`
  expect(near.options).toMatchObject({
    direction: 'outbound',
    kind: 'relayed',
    peer: to.id,
    address: `${path}${to.id}`,
  })
  expect(far.options).toMatchObject({
    direction: 'inbound',
    kind: 'relayed',
    peer: from.id,
    address: `${path}${from.id}`,
  })
  const question = randomBytes(3_000_000)
  near.channel.end(question)
  expect(Buffer.concat(await far.channel.toArray()).equals(question)).toBe(true)
  expect(relay.server.status().circuits).toMatchObject([{ from: from.id, to: to.id, bytes: question.length }])
  far.channel.end('answer')
  expect(String(Buffer.concat(await near.channel.toArray()))).toBe('answer')
  await expect.poll(() => relay.server.status().circuits).toEqual([])
  expect(relay.counters.get('relay_circuits_ended', { reason: 'done' })).toBe(1)
  expect(relay.counters.get('relay_bytes')).toBe(question.length + 6)
})

test('a side that is given up is given up for the other, and its room is free again', async () => {
  const { relay, from, to } = await trio()
  const { near, far } = await circuit(from, to, relay)
  near.destroy()
  await closed(far)
  expect(far.errored).toMatchObject({ code: 'stream_reset' })
  await expect.poll(() => relay.server.status().circuits).toEqual([])
  expect(relay.counters.get('relay_circuits_ended', { reason: 'broken' })).toBe(1)
})

test('a target that leaves takes its circuits with it', async () => {
  const { relay, from, to } = await trio()
  const { near } = await circuit(from, to, relay)
  void to.network.stop()
  await closed(near)
  await expect.poll(() => relay.server.status()).toMatchObject({ circuits: [], reservations: [] })
})

test('a reader that sleeps stops the sender: neither loses a byte, and the relay takes little meanwhile', async () => {
  const { relay, from, to } = await trio()
  const { near, far } = await circuit(from, to, relay)
  const chunk = Buffer.alloc(64 * 1024, 1)
  let sent = 0
  while (sent < 64 * 1024 * 1024) {
    if (near.write(chunk)) {
      sent += chunk.length
      continue
    }
    sent += chunk.length
    const drained = await Promise.race([once(near, 'drain').then(() => true), stillFor(relay)])
    if (drained !== true) break
  }
  expect(sent).toBeLessThan(16 * 1024 * 1024)
  near.end()
  let received = 0
  for await (const part of far) received += part.length
  expect(received).toBe(sent)
})

/** Resolves when the relay has passed nothing on for two looks in a row. */
async function stillFor(relay: RelayNode): Promise<false> {
  for (let before = -1; ; ) {
    const bytes = relay.counters.get('relay_bytes')
    if (bytes === before) return false
    before = bytes
    await new Promise((resolve) => setTimeout(resolve, 300))
  }
}

test('a circuit that has carried its bytes is ended, and both ends are told why', async () => {
  const { relay, from, to } = await trio({ limits: { ...LIMITS, circuitBytes: 100_000 } })
  const { near, far } = await circuit(from, to, relay)
  const told = [endedOf(from), endedOf(to)]
  far.resume()
  near.write(Buffer.alloc(100_000))
  const fields = { relay: relay.id, code: 'circuit_bytes', reason: expect.stringContaining('bytes') }
  expect(await Promise.all(told)).toMatchObject([
    { ...fields, peer: to.id },
    { ...fields, peer: from.id },
  ])
  await closed(near)
  expect(near.errored).toMatchObject({ code: 'relay_circuit_ended', message: expect.stringContaining('bytes') })
  await expect.poll(() => relay.server.status().circuits).toEqual([])
  expect(relay.counters.get('relay_circuits_ended', { reason: 'circuit_bytes' })).toBe(1)
})

function endedOf({ client }: ClientNode): Promise<unknown> {
  return new Promise((resolve) => client.events.on('ended', resolve))
}

test('a circuit that is too old is ended, and both ends are told why', async () => {
  const clock = new ManualClock()
  const { relay, from, to } = await trio({ clock, limits: { ...LIMITS, circuitTimeMs: 7_200_000 } })
  const { near, far } = await circuit(from, to, relay)
  const told = Promise.all([endedOf(from), endedOf(to)])
  // Longer than the beat of a client in real time is waited for, so its reservation goes as well.
  clock.advance(7_199_999)
  expect(near.destroyed || far.destroyed).toBe(false)
  clock.advance(1)
  expect(await told).toMatchObject([{ code: 'circuit_time' }, { code: 'circuit_time' }])
})

test('a rate holds a peer back without losing a byte', async () => {
  const clock = new ManualClock()
  const { relay, from, to } = await trio({ clock, limits: { ...LIMITS, ratePerPeer: 1_000_000 } })
  const { near, far } = await circuit(from, to, relay)
  let received = 0
  far.on('data', (part: Buffer) => {
    received += part.length
  })
  near.end(Buffer.alloc(20_000_000))
  await stillFor(relay)
  // A second's worth in one go, and what came in one piece with the last of it.
  expect(received).toBeGreaterThanOrEqual(1_000_000)
  expect(received).toBeLessThan(2_000_000)
  const ended = once(far, 'end')
  // The reservation ends with its beats, for the relay's time flies; the circuit stays.
  for (let second = 0; second < 25 && received < 20_000_000; second++) {
    clock.advance(1_000)
    await new Promise((resolve) => setImmediate(resolve))
  }
  while (!far.readableEnded) {
    clock.advance(1_000)
    await Promise.race([ended, new Promise((resolve) => setImmediate(resolve))])
  }
  expect(received).toBe(20_000_000)
})

test('one noisy peer keeps neither bytes nor circuits from the others', async () => {
  const { net, relay, from, to } = await trio({ limits: { ...LIMITS, circuitsPerPeer: 6 } })
  const noisy = await net.client()
  const victims = [to, await net.client()]
  await reserveAt(victims[1] as ClientNode, relay)
  // As many circuits as it gets, each flooded, half of them with readers that sleep.
  let flooding = true
  let opened = 0
  const chunk = Buffer.alloc(64 * 1024)
  const floods: Promise<void>[] = []
  for (const [index, victim] of [...victims, ...victims, ...victims, ...victims, ...victims].entries()) {
    const dialled = await noisy.client.dial(relay.id, victim.id, {}).then(
      () => true,
      (error: { code: string }) => expect(error.code).toBe('relay_limit_reached'),
    )
    if (dialled !== true) continue
    opened++
    const { channel } = await noisy.upgrader.next()
    const far = await victim.upgrader.next()
    if (index % 2 === 0) far.channel.resume()
    floods.push(flood(channel, chunk, () => flooding))
  }
  expect(opened).toBe(6)
  const { near, far } = await circuit(from, to, relay)
  far.pipe(far)
  for (let round = 0; round < 50; round++) {
    near.write('ping')
    await once(near, 'data')
  }
  near.pause()
  const bulk = randomBytes(4_000_000)
  near.end(bulk)
  expect(Buffer.concat(await near.toArray()).equals(bulk)).toBe(true)
  flooding = false
  await noisy.network.stop()
  await Promise.all(floods)
})

async function flood(channel: Duplex, chunk: Buffer, goesOn: () => boolean): Promise<void> {
  const over = closed(channel)
  while (goesOn() && !channel.destroyed) {
    if (channel.write(chunk)) await new Promise((resolve) => setImmediate(resolve))
    else await Promise.race([new Promise((resolve) => channel.once('drain', resolve)), over])
  }
}

test('a node without a reservation, an unknown one and the dialler itself are refused by name', async () => {
  const { net, relay, from, to } = await trio()
  const other = await net.client()
  for (const peer of [other.id, from.id]) {
    await expect(from.client.dial(relay.id, peer, {})).rejects.toMatchObject({
      code: 'relay_no_reservation',
      message: expect.stringContaining(relay.id),
    })
  }
  expect(to.upgrader.kept).toEqual([])
  expect(relay.counters.get('relay_refused', { code: 'no_reservation' })).toBe(2)
})

test('circuits are limited for a pair, for a peer and in all', async () => {
  const { net, relay, from, to } = await trio({ limits: { ...LIMITS, circuitsPerPeer: 5, maxCircuits: 6 } })
  const [second, third] = [await net.client(), await net.client()]
  for (const node of [second, third]) await reserveAt(node, relay)
  for (let count = 0; count < 4; count++) await from.client.dial(relay.id, to.id, {})
  await expect(from.client.dial(relay.id, to.id, {})).rejects.toMatchObject({
    code: 'relay_limit_reached',
    message: expect.stringContaining('these two nodes have 4'),
  })
  await from.client.dial(relay.id, second.id, {})
  await expect(from.client.dial(relay.id, third.id, {})).rejects.toMatchObject({
    message: expect.stringContaining(`${from.id} has 5`),
  })
  await second.client.dial(relay.id, third.id, {})
  await expect(third.client.dial(relay.id, second.id, {})).rejects.toMatchObject({
    message: expect.stringContaining('this relay has 6'),
  })
  from.upgrader.kept[0]?.channel.destroy()
  await expect.poll(() => relay.server.status().circuits.length).toBe(5)
  await third.client.dial(relay.id, second.id, {})
})

test('a target that never answers costs the dialler five seconds, and leaves nothing behind', async () => {
  const clock = new ManualClock()
  const net = testNet()
  const relay = await net.relay({ clock })
  const from = await net.client()
  const silent = await net.node({ listen: [] })
  const arrived: Stream[] = []
  silent.handle(STOP_PROTOCOL, (stream) => void arrived.push(stream))
  await silent.connect(net.addressOf(relay.id))
  const stream = await silent.open(relay.id, RELAY_PROTOCOL)
  await sendMessage(stream, { kind: 'reserve', beat_ms: 60_000 })
  await readMessage(stream)
  const dialled = expect(from.client.dial(relay.id, silent.id, {})).rejects.toMatchObject({
    code: 'relay_target_silent',
  })
  await expect.poll(() => arrived.length).toBe(1)
  // Under way, it takes room: a flood of such requests is limited as circuits are.
  expect(relay.server.status().circuits).toHaveLength(1)
  clock.advance(TARGET_TIMEOUT_MS)
  await dialled
  await expect.poll(() => relay.server.status().circuits).toEqual([])
  await expect.poll(() => arrived[0]?.destroyed).toBe(true)
})

test('a target that refuses says so to the dialler', async () => {
  const net = testNet()
  const relay = await net.relay()
  const from = await net.client()
  const to = await net.client({ mayAnswer: () => false })
  await reserveAt(to, relay)
  await expect(from.client.dial(relay.id, to.id, {})).rejects.toMatchObject({ code: 'relay_target_refused' })
  expect(to.counters.get('relay_client_refused', { code: 'not_allowed' })).toBe(1)
})

test('a dialler that leaves while its target thinks frees the circuit and the target', async () => {
  const net = testNet()
  const relay = await net.relay()
  const silent = await net.node({ listen: [] })
  const arrived: Stream[] = []
  silent.handle(STOP_PROTOCOL, (stream) => void arrived.push(stream))
  await silent.connect(net.addressOf(relay.id))
  const reservation = await silent.open(relay.id, RELAY_PROTOCOL)
  await sendMessage(reservation, { kind: 'reserve', beat_ms: 60_000 })
  await readMessage(reservation)
  const from = await net.client()
  const giveUp = new AbortController()
  const dialled = from.client.dial(relay.id, silent.id, { signal: giveUp.signal })
  await expect.poll(() => arrived.length).toBe(1)
  giveUp.abort(new Error('enough'))
  await expect(dialled).rejects.toThrow('enough')
  await expect.poll(() => relay.server.status().circuits).toEqual([])
  await expect.poll(() => arrived[0]?.destroyed).toBe(true)
})

test('a relay that stops ends its circuits and tells those who hold a reservation', async () => {
  const { relay, from, to } = await trio()
  const { near, far } = await circuit(from, to, relay)
  const reasons = new Promise((resolve) => to.client.events.on('lost', resolve))
  await relay.server.stop()
  expect(await reasons).toEqual({ relay: relay.id, reason: 'the relay stops' })
  await Promise.all([near, far].map((stream) => closed(stream)))
  await expect(from.client.dial(relay.id, to.id, {})).rejects.toMatchObject({ code: 'protocol_unsupported' })
})

test('who is removed loses circuits and reservation at once, and others keep theirs', async () => {
  const removed = new Set<string>()
  const { net, relay, from, to } = await trio({ mayUse: (peer) => !removed.has(peer) })
  const other = await net.client()
  await reserveAt(other, relay)
  const gone = await circuit(from, to, relay)
  const kept = await circuit(from, other, relay)
  const reason = new Promise((resolve) => to.client.events.on('lost', resolve))
  removed.add(to.id)
  relay.server.recheck()
  expect(await reason).toMatchObject({ reason: expect.stringContaining('not served any more') })
  await Promise.all([gone.near, gone.far].map((stream) => closed(stream)))
  await expect.poll(() => relay.server.status().circuits.length).toBe(1)
  expect(relay.server.status()).toMatchObject({ reservations: [{ peer: other.id }], circuits: [{ to: other.id }] })
  kept.near.write('still here')
  expect(String((await once(kept.far, 'data'))[0])).toBe('still here')
  await expect(to.client.dial(relay.id, other.id, {})).rejects.toMatchObject({ code: 'relay_not_allowed' })
})

test('a stop from a node that is no relay of this one is refused', async () => {
  const { relay, from, to } = await trio()
  await from.network.connect(relay.network.addresses()[0] as string)
  const net = nets[0] as TestNet
  const stranger = await net.node()
  await to.network.connect(net.addressOf(stranger.id))
  const stream = await openerOf(stranger as never as Parameters<typeof openerOf>[0]).openOn(to.id, STOP_PROTOCOL)
  await sendMessage(stream, { kind: 'stop', peer: from.id, circuit: '0'.repeat(16), limits: { bytes: 0, ms: 0 } })
  expect(JSON.parse(String(await readMessage(stream)))).toMatchObject({ ok: false, code: 'no_reservation' })
  expect(to.upgrader.kept).toEqual([])
})

test('a notice of an end counts from the relay of that circuit alone', async () => {
  const { net, relay, from, to } = await trio()
  let id = ''
  const opener: StreamOpener = openerOf(relay.network)
  const { near, far } = await circuit(from, to, relay)
  const stranger = await net.node()
  await to.network.connect(net.addressOf(stranger.id))
  id = 'f'.repeat(16)
  for (const [who, peer] of [
    [openerOf(stranger), to.id],
    [opener, to.id],
  ] as const) {
    const stream = await who.openOn(peer, STOP_PROTOCOL)
    await sendMessage(stream, { kind: 'ended', circuit: id, code: 'circuit_time', message: 'lie' })
    await closed(stream)
  }
  near.write('alive')
  expect(String((await once(far, 'data'))[0])).toBe('alive')
})

test('a circuit of which one half is closed and the other silent lasts no longer than any other', async () => {
  const clock = new ManualClock()
  const { relay, from, to } = await trio({ clock, limits: { ...LIMITS, circuitTimeMs: 60_000 } })
  const { near, far } = await circuit(from, to, relay)
  near.end()
  far.resume()
  await once(far, 'end')
  expect(relay.server.status().circuits).toHaveLength(1)
  clock.advance(60_000)
  await Promise.all([near, far].map((stream) => closed(stream)))
  await expect.poll(() => relay.server.status().circuits).toEqual([])
})
