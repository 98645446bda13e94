import { once } from 'node:events'
import { request } from 'node:http'
import { createServer } from 'node:net'
import { networkInterfaces } from 'node:os'
import { afterEach, expect, test } from 'vitest'
import type { HandlerInput, Route } from '../api/index.ts'
import { ManualClock } from '../base/clock.ts'
import { Counters } from '../base/counters.ts'
import { silentLogger } from '../base/log.ts'
import type { Network } from '../net/index.ts'
import { relaySection } from './config.ts'
import { relayContract } from './contract.ts'
import { parseEndpoint } from './endpoint.ts'
import { relayRoutes, relaySettings, startRelayService } from './index.ts'
import { writeMetrics } from './metrics.ts'

type Reach = ReturnType<Network['reach']>

const stops: (() => unknown)[] = []
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop()
})

const RELAY: NonNullable<Reach['relay']> = {
  reservations: [{ peer: 'b', since: 1_700_000_000_000, circuits: 1 }],
  circuits: [{ from: 'a', to: 'b', since: 1_700_000_000_000, bytes: 12 }],
  limits: relaySettings(relaySection.schema.parse({}), { isMember: () => true, isRelay: () => false }).limits,
}

function reachOf(relay: Reach['relay']): Reach {
  const held = { relay: 'r', since: 1_700_000_000_000, expires: 1_700_003_600_000, rttMs: 7, mappedIp: '192.0.2.9' }
  return {
    relay,
    reservations: [held],
    relays: ['r'],
    reachability: 'private',
    nat: null,
    mapped: [],
    clocks: [],
  } as never
}

interface Asked {
  status: number
  body: string
}

function ask(address: string, path: string, options: { method?: string; host?: string } = {}): Promise<Asked> {
  const { method = 'GET', host } = options
  const endpoint = parseEndpoint(address) ?? { host: '', port: 0 }
  return new Promise((resolve, reject) => {
    request({ host: host ?? endpoint.host, port: endpoint.port, path, method, agent: false }, async (response) => {
      resolve({ status: response.statusCode ?? 0, body: Buffer.concat(await response.toArray()).toString() })
    })
      .on('error', reject)
      .end()
  })
}

async function service(
  endpoint: string,
  init: { serving?: () => boolean; counters?: Counters; clock?: ManualClock } = {},
) {
  const { serving = () => true, counters = new Counters(), clock = new ManualClock() } = init
  const network = {
    reach: () => reachOf(serving() ? RELAY : null),
    connections: () => [{ peer: 'a' }, { peer: 'a' }, { peer: 'b' }] as never,
    addresses: () => ['/ip4/192.0.2.1/tcp/9010'],
  }
  const startedMs = clock.monotonicMs()
  const running = await startRelayService({ endpoint, network, counters, clock, startedMs, log: silentLogger })
  stops.push(() => running.stop())
  return running
}

test('the health page says 200 while the node serves and 503 when it does not, and nothing else about it', async () => {
  let isServing = true
  const clock = new ManualClock()
  const { health } = await service('127.0.0.1:0', { serving: () => isServing, clock })
  clock.advance(61_500)
  const good = await ask(health as string, '/healthz?probe=1')
  expect(good.status).toBe(200)
  expect(JSON.parse(good.body)).toEqual({ status: 'ok', uptime_seconds: 61, connected_peers: 2 })
  isServing = false
  const bad = await ask(health as string, '/healthz')
  expect([bad.status, JSON.parse(bad.body).status]).toEqual([503, 'unavailable'])
  expect((await ask(health as string, '/')).status).toBe(404)
  expect((await ask(health as string, '/healthz', { method: 'POST' })).status).toBe(405)
})

test('the metrics page has the counters and the gauges of the relay', async () => {
  const counters = new Counters()
  counters.add('relay_circuits_ended', 3, { reason: 'done' })
  counters.add('relay_bytes', 12)
  const { health } = await service('127.0.0.1:0', { counters })
  const { status, body } = await ask(health as string, '/metrics')
  expect(status).toBe(200)
  expect(body.split('\n')).toEqual(
    expect.arrayContaining([
      '# TYPE warren_relay_reservations_held gauge',
      'warren_relay_reservations_held 1',
      'warren_relay_circuits_open 1',
      'warren_relay_serving 1',
      '# TYPE warren_relay_bytes_total counter',
      'warren_relay_bytes_total 12',
      'warren_relay_circuits_ended_total{reason="done"} 3',
    ]),
  )
})

test('on a wildcard address metrics are for this machine alone, and on a named one for all who reach it', async (context) => {
  const outside = Object.values(networkInterfaces())
    .flatMap((each) => each ?? [])
    .find(({ family, internal }) => family === 'IPv4' && !internal)?.address
  if (outside === undefined) return context.skip('this machine has no address but loopback')
  const wildcard = (await service('0.0.0.0:0')).health as string
  expect((await ask(wildcard, '/metrics', { host: '127.0.0.1' })).status).toBe(200)
  // A connection to an own address comes from that address.
  expect((await ask(wildcard, '/metrics', { host: outside })).status).toBe(403)
  expect((await ask(wildcard, '/healthz', { host: outside })).status).toBe(200)
  const named = (await service(`${outside}:0`)).health as string
  expect((await ask(named, '/metrics')).status).toBe(200)
})

test('a port that is taken is named, and without an address there is no page', async () => {
  const taken = createServer().listen(0, '127.0.0.1')
  stops.push(() => taken.close())
  await once(taken, 'listening')
  const { port } = taken.address() as { port: number }
  await expect(service(`127.0.0.1:${port}`)).rejects.toMatchObject({
    code: 'port_in_use',
    message: expect.stringContaining(`127.0.0.1:${port}`),
  })
  expect((await service('')).health).toBeNull()
})

test('a page that is stopped closes its connections and frees its port', async () => {
  const running = await service('127.0.0.1:0')
  const address = running.health as string
  await ask(address, '/healthz')
  await running.stop()
  await running.stop()
  await expect(ask(address, '/healthz')).rejects.toMatchObject({ code: 'ECONNREFUSED' })
  await service(address)
})

test('labels of counters are escaped as the format of metrics wants it', () => {
  const counters = new Counters()
  counters.add('refused', 1, { reason: 'a "b" \\ \n \t \u0001' })
  expect(writeMetrics(counters.entries(), [])).toBe(
    '# TYPE warren_refused_total counter\nwarren_refused_total{reason="a \\"b\\" \\\\ \\n ? ?"} 1\n',
  )
})

test('an endpoint is a host and a port', () => {
  expect(parseEndpoint('[::1]:9011')).toEqual({ host: '::1', port: 9011 })
  expect(parseEndpoint('localhost:1')).toEqual({ host: 'localhost', port: 1 })
  for (const bad of ['', '9011', ':9011', '::1:9011', '127.0.0.1:99999', '127.0.0.1:x', 'a b:1']) {
    expect(parseEndpoint(bad)).toBeUndefined()
  }
})

test('the config has defaults that carry services, and refuses a relay without an id', () => {
  expect(relaySection.schema.parse(undefined)).toMatchObject({
    serve: 'auto',
    access: 'members',
    max_reservations: 64,
    circuits_per_peer: 16,
    circuit_bytes: 2 * 2 ** 30,
    circuit_time: 7_200_000,
    rate_per_peer: 0,
    health: '',
  })
  for (const bad of [
    { servers: ['/ip4/192.0.2.1/tcp/9010'] },
    { health: '9011' },
    { max_reservations: 0 },
    { other: 1 },
  ]) {
    expect(relaySection.schema.safeParse(bad).success).toBe(false)
  }
})

test('members only may use a relay, unless its network may', () => {
  const rules = { isMember: (peer: string) => peer === 'member', isRelay: () => false }
  const members = relaySettings(relaySection.schema.parse({}), rules)
  expect(['member', 'stranger'].map((peer) => members.mayUse(peer))).toEqual([true, false])
  const network = relaySettings(relaySection.schema.parse({ access: 'network' }), rules)
  expect(network.mayUse('stranger')).toBe(true)
})

test('the state of relay and client is shown by name, in the shape of the contract', async () => {
  const status = async (relay: Reach['relay']) => {
    const nameOf = (id: string) => (id === 'a' ? 'office' : null)
    const [route] = relayRoutes({ network: { reach: () => reachOf(relay) }, nameOf }) as [Route]
    return relayContract.status.response.parse(await route.handle({} as HandlerInput<Route['call']>))
  }
  expect(await status(RELAY)).toMatchObject({
    server: {
      reservations: [{ node: { id: 'b', name: null }, since: '2023-11-14T22:13:20.000Z', circuits: 1 }],
      circuits: [{ from: { id: 'a', name: 'office' }, to: { id: 'b' }, bytes: 12 }],
      limits: { max_reservations: 64, circuit_time_ms: 7_200_000 },
    },
    reservations: [{ relay: { id: 'r' }, expires: '2023-11-14T23:13:20.000Z', rtt_ms: 7, mapped_ip: '192.0.2.9' }],
    relays: [{ id: 'r' }],
    reachability: 'private',
  })
  expect((await status(null)).server).toBeNull()
})
