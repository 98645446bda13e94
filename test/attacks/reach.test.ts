/** Strangers at the one port, and members that misuse what makes nodes reach each other. */
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { connect as connectTls } from 'node:tls'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { Counters } from '../../src/base/counters.ts'
import { addressOf, testNetwork } from '../../src/net/fixtures/networks.ts'
import { type Network, type NetworkInit, readMessage, sendMessage } from '../../src/net/index.ts'
import { newIdentity } from './fleet.ts'
import { framed } from './mutations.ts'

const faults: unknown[] = []
const note = (fault: unknown): void => void faults.push(fault)
beforeAll(() => void process.on('unhandledRejection', note).on('uncaughtExceptionMonitor', note))
afterAll(() => void process.off('unhandledRejection', note).off('uncaughtExceptionMonitor', note))

const ends: (() => unknown)[] = []
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end()
  expect(faults.splice(0)).toEqual([])
})

const LIMITS = {
  maxReservations: 64,
  maxCircuits: 512,
  circuitsPerPeer: 16,
  circuitBytes: 0,
  circuitTimeMs: 0,
  ratePerPeer: 0,
}
const REACH = { force: 'auto', stunServers: [], portMapping: false } as const
type Relay = NonNullable<NetworkInit['relay']>

function relay(init: Partial<Relay> = {}): Relay {
  return { servers: [], serve: 'never', limits: LIMITS, mayUse: () => true, isRelay: () => false, ...init }
}

async function start(init: Partial<NetworkInit> = {}): Promise<Network> {
  const network = testNetwork(init)
  ends.push(() => network.stop())
  await network.start()
  return network
}

const portOf = (network: Network): number => Number(/tcp\/(\d+)/.exec(addressOf(network))?.[1])

/** A connection of a stranger to the port; resolves when it is open. */
async function knock(network: Network): Promise<Socket> {
  const socket = connect({ host: '127.0.0.1', port: portOf(network) })
  socket.on('error', () => undefined)
  ends.push(() => socket.destroy())
  await once(socket, 'connect')
  return socket
}

/** Resolves when it is closed, whatever closes it. */
function closed(stream: Duplex): Promise<void> {
  return new Promise((resolve) => {
    if (stream.closed) resolve()
    else stream.once('close', resolve)
  })
}

const WEBSOCKET = 'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13'
const KEY = 'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=='
const UPGRADE = `GET / HTTP/1.1\r\nHost: x\r\n${WEBSOCKET}\r\n${KEY}\r\n\r\n`
const masked = (first: number, length: number, body = Buffer.alloc(0)): Buffer =>
  Buffer.concat([Buffer.from([first, 0x80 | length, 0, 0, 0, 0]), body])
const long = (first: number, length: bigint): Buffer => {
  const head = Buffer.alloc(14)
  head[0] = first
  head[1] = 0xff
  head.writeBigUInt64BE(length, 2)
  return head
}

/** What strangers begin with, each in the pieces in which it is sent. */
const OPENINGS: Readonly<Record<string, readonly (string | Buffer)[]>> = {
  nothing: [],
  'every first byte': Array.from({ length: 256 }, (_, byte) => Buffer.from([byte])),
  'noise that looks like TLS': [Buffer.from([0x16]), randomBytes(2000)],
  'a TLS record that is too long': [Buffer.from('160301ffff', 'hex'), randomBytes(70_000)],
  'a TLS alert': [Buffer.from('16030100021503', 'hex')],
  'multistream without an end': [Buffer.from('13', 'hex'), Buffer.alloc(70_000, 0x2f)],
  'multistream with another protocol': ['\x13/multistream/1.0.0\n', '\x0f/plaintext/2.0\n'],
  'Noise, then junk': ['\x13/multistream/1.0.0\n', '\x07/noise\n', randomBytes(3000)],
  'STUN, then junk': [Buffer.from('000100002112a442', 'hex'), randomBytes(600)],
  'a header without an end': ['GET / HTTP/1.1\r\nA: ', 'x'.repeat(20_000)],
  'a request in pieces': [...'GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n'],
  'requests in a row': ['GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(50)],
  'a request with two lengths': ['GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n'],
  'a body that never ends': ['GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n', 'ffffffff\r\n'],
  'an upgrade to something else': ['GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n'],
  'an upgrade elsewhere': [UPGRADE.replace('GET /', 'GET /../x')],
  'an upgrade without a key': [UPGRADE.replace(KEY, 'Sec-WebSocket-Key: x')],
  'a WebSocket with junk': [UPGRADE, randomBytes(3000)],
  'a WebSocket with text': [UPGRADE, masked(0x81, 5, Buffer.from('hello'))],
  'a WebSocket message that is too long': [UPGRADE, long(0x82, 2n ** 40n)],
  'a WebSocket message of many pieces': [UPGRADE, masked(0x02, 0), Buffer.alloc(6 * 20_000, masked(0x00, 0))],
  'a WebSocket full of pings': [UPGRADE, Buffer.alloc(106 * 2000, masked(0x89, 100, Buffer.alloc(100, 1)))],
  'a WebSocket that closes again and again': [UPGRADE, masked(0x88, 0), masked(0x88, 0)],
  'TLS inside a WebSocket, cut': [UPGRADE, masked(0x82, 5, Buffer.from('1603010200', 'hex'))],
}

test('whatever strangers begin with, in whatever pieces, the port stays open for members', async () => {
  const health: NonNullable<NetworkInit['health']> = (_request, response) => void response.end('ok')
  const node = await start({ relay: relay({ serve: 'always' }), reach: REACH, health })
  const say = async (pieces: readonly (string | Buffer)[], finish: 'end' | 'reset' | 'hold'): Promise<void> => {
    const socket = await knock(node)
    socket.resume()
    for (const piece of pieces) {
      if (socket.destroyed) break
      socket.write(typeof piece === 'string' ? Buffer.from(piece, 'latin1') : piece)
      await new Promise(setImmediate)
    }
    if (finish === 'end') socket.end()
    else if (finish === 'reset') socket.resetAndDestroy()
    if (finish === 'end') await closed(socket)
  }
  for (const [name, pieces] of Object.entries(OPENINGS)) {
    if (name === 'every first byte') {
      for (const piece of pieces) await say([piece], 'reset')
      continue
    }
    for (const finish of ['end', 'reset', 'hold'] as const) await say(pieces, finish)
  }
  // A handshake as others have it, with another protocol inside and no certificate.
  const tls = connectTls({ port: portOf(node), host: '127.0.0.1', rejectUnauthorized: false, ALPNProtocols: ['h2'] })
  tls.on('error', () => undefined)
  await closed(tls)
  const member = await start()
  await member.connect(addressOf(node))
  expect(await member.ping(node.id)).toBeGreaterThan(0)
})

test('a node that serves no STUN keeps no connection of a stranger that begins like it', async () => {
  const node = await start({ reach: REACH })
  const strangers = await Promise.all(Array.from({ length: 100 }, () => knock(node)))
  for (const stranger of strangers) stranger.resume().write(Buffer.from('000102002112a442', 'hex'))
  // One who is never silent for long was kept for as long as it liked.
  const drip = setInterval(() => {
    for (const stranger of strangers) stranger.write('\0')
  }, 500)
  ends.push(() => clearInterval(drip))
  await Promise.all(strangers.map(closed))
})

test('who is removed at the relay loses its circuits there, and who is removed at the other end its connection', async () => {
  const removed = new Set<string>()
  const hub = await start({ relay: relay({ serve: 'always', mayUse: (peer) => !removed.has(peer) }) })
  const gone = new Set<string>()
  const gate: NetworkInit['gate'] = {
    allow: (peer) => (gone.has(peer) ? { allowed: false, reason: 'removed' } : { allowed: true }),
  }
  const use = { listen: [], relay: relay({ servers: [addressOf(hub)] }) }
  const [target, first, second] = [await start({ ...use, gate }), await start(use), await start(use)]
  target.handle('/echo/1', (stream) => void stream.pipe(stream))
  const streams = [first, second].map(async (network) => {
    await expect.poll(() => network.path(target.id).state).toBe('relayed')
    const stream = await network.open(target.id, '/echo/1')
    stream.on('error', () => undefined).write('x')
    await once(stream, 'data')
    return stream
  })
  const [one, two] = await Promise.all(streams)
  removed.add(first.id)
  hub.recheck()
  await closed(one as Duplex)
  await expect
    .poll(() => hub.reach().relay?.circuits.some(({ from, to }) => from === first.id || to === first.id))
    .toBe(false)
  expect(hub.reach().relay?.reservations.map(({ peer }) => peer)).not.toContain(first.id)
  gone.add(second.id)
  target.recheck()
  await closed(two as Duplex)
  await expect.poll(() => second.path(target.id).state).toBe('none')
  await expect(second.connect(target.id)).rejects.toMatchObject({ code: expect.any(String) })
  expect(target.connections().map(({ peer }) => peer)).not.toContain(second.id)
})

test('a relay that lies about times, addresses and peers is not believed', async () => {
  const counters = new Counters()
  const liar = await start()
  let expires = Number.MAX_SAFE_INTEGER
  liar.handle('/warren/relay/1', async (stream) => {
    stream.on('error', () => undefined)
    await readMessage(stream)
    const limits = { bytes: 0, ms: 0 }
    await sendMessage(stream, { ok: true, expires_ms: expires, address: '/ip4/\u001b[2J/tcp/1', limits })
    stream.resume()
  })
  const node = await start({ listen: [], counters, relay: relay({ servers: [addressOf(liar)] }) })
  const refused = () => counters.get('relay_client_failed', { code: 'message_malformed' })
  await expect.poll(refused).toBeGreaterThan(0)
  expect(node.reach().reservations).toEqual([])
  expires = 3_600_000
  await expect.poll(() => node.reach().reservations.length).toBe(1)
  const stranger = newIdentity('nobody')
  const circuit = await liar.open(node.id, '/warren/relay-stop/1')
  circuit.on('error', () => undefined)
  const stop = { kind: 'stop', peer: stranger.id, circuit: '00'.repeat(8), limits: { bytes: 0, ms: 0 } }
  await sendMessage(circuit, stop)
  expect(JSON.parse(String(await readMessage(circuit)))).toEqual({ ok: true })
  circuit.resume().write(randomBytes(5000))
  await closed(circuit)
  expect(node.connections().map(({ peer }) => peer)).toEqual([liar.id])
})

const PROTOCOLS = ['relay', 'relay-stop', 'reach', 'punch', 'addresses'].map((name) => `/warren/${name}/1`)
const WORDS: readonly unknown[] = [
  null,
  [],
  'x',
  { kind: 'reserve', beat_ms: 1e308 },
  { kind: 'connect', peer: '12D3KooW' },
  { kind: 'stop', peer: 'x'.repeat(1500) },
  { kind: 'ended', circuit: '0'.repeat(16), code: 'x', message: '\u0000\u001b[2J' },
  { probes: Array.from({ length: 4 }, () => ({ port: 65_535, nonce: 'f'.repeat(24) })) },
  { probes: [{ port: 0, nonce: '' }] },
  { type: 'begin', nonce: '0'.repeat(32) },
  { type: 'go', stage: 'udp', rttMs: 60_000, birthday: true },
  { type: 'hello', now: 1e308, digest: '', record: 'x' },
  { type: 'have', now: -1e308, sequences: { __proto__: 1 } },
  { type: 'records', records: ['{}', ''] },
  JSON.parse('{"__proto__":{"kind":"reserve"},"constructor":1}'),
]

test('members that say anything to the protocols by which nodes reach each other harm nobody', async () => {
  const node = await start({ relay: relay({ serve: 'always' }), reach: REACH })
  const members = await Promise.all(Array.from({ length: 4 }, () => start()))
  const talk = async (member: Network, protocol: string, bytes: Uint8Array): Promise<void> => {
    const stream = await member.open(node.id, protocol).catch(() => undefined)
    if (stream === undefined) return
    stream.on('error', () => undefined).resume()
    stream.write(bytes)
    stream.end()
  }
  await Promise.all(
    members.map(async (member, index) => {
      await member.connect(addressOf(node))
      for (const protocol of PROTOCOLS) {
        for (const word of WORDS.filter((_, at) => at % members.length === index)) {
          await talk(member, protocol, framed(JSON.stringify(word)))
        }
        for (const bytes of [Buffer.from('ffffffff', 'hex'), randomBytes(200), Buffer.alloc(4)]) {
          await talk(member, protocol, bytes)
        }
      }
    }),
  )
  const late = await start()
  await late.connect(addressOf(node))
  expect(await late.ping(node.id)).toBeGreaterThan(0)
})
