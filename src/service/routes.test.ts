import { once } from 'node:events'
import { connect } from 'node:net'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { AnyCall, Caller, Route } from '../api/index.ts'
import { systemClock } from '../base/clock.ts'
import { serviceContract } from './contract.ts'
import { as, startPair, type TestNode, type TestPair } from './fixtures/pair.ts'
import { serviceRoutes } from './routes.ts'

let pair: TestPair
beforeAll(async () => {
  pair = await startPair()
  await pair.office.services.expose({ name: 'web', target: '1', kind: 'tcp', to: [] })
})
afterAll(() => pair.end())

interface Input {
  readonly caller?: Caller
  readonly signal?: AbortSignal
  readonly query?: object
  readonly params?: object
  readonly body?: object
}

/** Answers a call as the router would, after it has judged and parsed it. */
function answer<T>(node: TestNode, call: AnyCall, input: Input): T {
  const routes: Route[] = serviceRoutes(node.services, { clock: systemClock })
  const route = routes.find((each) => each.call === call) as Route
  const caller: Caller = { door: 'local', id: node.network.id, rights: as('admin') }
  const defaults = { caller, signal: new AbortController().signal, query: {}, params: {}, body: {} }
  return route.handle({ upload: undefined as never, ...defaults, ...input } as never) as T
}

test('people are told of all nodes; a peer of this one alone, as far as it may know', async () => {
  const all = await answer<Promise<object>>(pair.laptop, serviceContract.list, {})
  expect(all).toMatchObject({ services: [{ node: 'office', name: 'web', target: '127.0.0.1:1' }], silent: [] })
  const caller: Caller = { door: 'peer', id: 'pi', rights: as('member') }
  const told = await answer<Promise<object>>(pair.office, serviceContract.list, { caller })
  expect(told).toEqual({
    services: [{ node: 'office', name: 'web', kind: 'tcp', port: 1, target: null, to: ['operator'], allowed: false }],
    silent: [],
  })
  const asked = answer<Promise<object>>(pair.office, serviceContract.list, { caller, query: { node: 'laptop' } })
  await expect(asked).rejects.toMatchObject({ code: 'local_only' })
})

test('a node that is gone is named as one that did not answer', async () => {
  const gone = await startPair()
  await gone.office.network.stop()
  const listed = await gone.laptop.services.finder.list({ node: 'office', signal: new AbortController().signal })
  expect(listed).toMatchObject({ services: [], silent: [{ node: 'office' }] })
  await gone.end()
})

test('what is exposed stands in the audit log, with who said so', async () => {
  const body = { name: 'wiki', target: '2', kind: 'tcp', to: ['member'] }
  const caller: Caller = { door: 'peer', id: 'boss', rights: as('admin') }
  await answer<Promise<unknown>>(pair.office, serviceContract.expose, { body, caller })
  expect(pair.office.told.at(-1)).toMatchObject({
    what: 'service',
    outcome: 'done',
    by: 'boss',
    subject: 'expose wiki',
  })
  await answer<Promise<unknown>>(pair.office, serviceContract.unexpose, { params: { service: 'wiki' } })
  expect(pair.office.told.at(-1)).toMatchObject({ by: 'local', subject: 'unexpose wiki' })
})

test('a proxy in the foreground tells where it is, who could not be served and how the way changes, and ends with its reader', async () => {
  const stop = new AbortController()
  const body = { node: 'office', service: 'web', port: 0 }
  type Events = AsyncGenerator<{ event: string; local: string[]; path?: string; code?: string }>
  const events = answer<Events>(pair.laptop, serviceContract.proxy, { body, signal: stop.signal })
  const { value: opened } = await events.next()
  expect(opened).toMatchObject({ event: 'open', node: 'office', path: 'direct' })
  const port = Number(opened.local[0]?.split(':').at(-1))
  const client = connect(port, '127.0.0.1')
  await once(client, 'error')
  expect((await events.next()).value).toMatchObject({ event: 'failed', code: 'service_unreachable' })
  await pair.laptop.network.disconnect(pair.office.network.id)
  expect((await events.next()).value).toMatchObject({ event: 'path', path: 'none' })
  await pair.laptop.network.connect(pair.office.network.id)
  expect((await events.next()).value).toMatchObject({ event: 'path', path: 'direct' })
  const last = events.next()
  stop.abort(new Error('left'))
  await expect(last).rejects.toThrow('left')
  expect(pair.laptop.services.proxies.list()).toEqual([])
})
