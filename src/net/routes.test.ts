import { expect, test } from 'vitest'
import { type HandlerInput, type Route, roleIncludes } from '../api/index.ts'
import { type Clock, systemClock } from '../base/clock.ts'
import { netContract } from './contract.ts'
import { addressOf, withNetworks } from './fixtures/networks.ts'
import { netRoutes } from './routes.ts'
import type { Network } from './types.ts'

function inputOf(body: unknown, query: unknown = {}, door: 'local' | 'peer' = 'local'): HandlerInput<Route['call']> {
  return { body, query, caller: { door }, signal: new AbortController().signal } as never
}

function routesOf(network: Network, names: Record<string, string>, clock: Clock = systemClock) {
  const routes = netRoutes({
    network,
    clock,
    known: () => Object.values(names),
    resolve: (text) => names[text] ?? text,
    nameOf: (peer) => Object.entries(names).find(([, id]) => id === peer)?.[0] ?? null,
  })
  return (call: Route['call'], input: HandlerInput<Route['call']>) =>
    routes.find((route) => route.call === call)?.handle(input)
}

test('peers are connected, listed, pinged and disconnected by name, in the shapes of the contract', async () => {
  await withNetworks([{}, {}], async (a, b) => {
    await a.connect(addressOf(b))
    await a.disconnect(b.id)
    const call = routesOf(a, { office: b.id })
    const peer = netContract.connect.response.parse(await call(netContract.connect, inputOf({ node: addressOf(b) })))
    expect(peer).toMatchObject({ name: 'office', id: b.id, path: 'direct', direction: 'outbound' })
    const listed = netContract.list.response.parse(await call(netContract.list, inputOf(undefined, { all: false })))
    expect(listed.map((one) => one.name)).toEqual(['office'])
    const body = netContract.ping.body?.parse({ node: 'office', count: 2, interval_ms: 10 })
    const events: unknown[] = []
    for await (const event of call(netContract.ping, inputOf(body)) as AsyncIterable<unknown>) {
      events.push(netContract.ping.event.parse(event))
    }
    expect(events).toMatchObject([
      { seq: 1, name: 'office', path: 'direct', latency_ms: expect.any(Number) },
      { seq: 2, name: 'office', path: 'direct', latency_ms: expect.any(Number) },
    ])
    expect(await call(netContract.disconnect, inputOf({ node: 'office' }))).toEqual({
      id: b.id,
      name: 'office',
      closed: 1,
    })
    expect(await call(netContract.list, inputOf(undefined, { all: true }))).toEqual([])
  })
})

test('a program that is no Warren node is listed with --all only', async () => {
  await withNetworks([{}, { agent: 'kubo/0.30' }], async (a, b) => {
    await a.connect(addressOf(b))
    await expect.poll(() => a.connections()[0]?.agent).toBe('kubo/0.30')
    const call = routesOf(a, {})
    expect(await call(netContract.list, inputOf(undefined, { all: false }))).toEqual([])
    expect(await call(netContract.list, inputOf(undefined, { all: true }))).toHaveLength(1)
  })
})

test('a node does not ping itself', async () => {
  await withNetworks([{}], async (a) => {
    const call = routesOf(a, { own: a.id })
    const body = netContract.ping.body?.parse({ node: 'own' })
    const events = call(netContract.ping, inputOf(body)) as AsyncGenerator<unknown>
    await expect(events.next()).rejects.toMatchObject({ code: 'invalid_value' })
  })
})

test('a ping that gets no answer is an event with its reason', async () => {
  await withNetworks([{}, {}], async (a, b) => {
    const call = routesOf(a, { away: b.id })
    const body = netContract.ping.body?.parse({ node: 'away', count: 1 })
    const events: unknown[] = []
    for await (const event of call(netContract.ping, inputOf(body)) as AsyncIterable<unknown>) events.push(event)
    expect(events).toMatchObject([{ seq: 1, latency_ms: null, path: null, error: { code: 'peer_unreachable' } }])
  })
})

test('who may deploy may not cut a node off from those who decide on trust, nor undo what a person has cut off', () => {
  for (const call of [netContract.connect, netContract.disconnect])
    expect(roleIncludes('operator', call.role)).toBe(false)
})

test('a peer that asks for pings gets one a second at most, so that it does not flood others from here', async () => {
  await withNetworks([{}, {}], async (a, b) => {
    await a.connect(addressOf(b))
    const delays: number[] = []
    const setTimeout: Clock['setTimeout'] = (run, delayMs) => {
      delays.push(delayMs)
      return systemClock.setTimeout(run, 0)
    }
    const call = routesOf(a, { office: b.id }, { ...systemClock, setTimeout })
    const body = netContract.ping.body?.parse({ node: 'office', count: 2, interval_ms: 10 })
    for (const door of ['local', 'peer'] as const) {
      for await (const _event of call(netContract.ping, inputOf(body, {}, door)) as AsyncIterable<unknown>);
    }
    expect(delays).toEqual([10, 1000])
  })
})
