import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type ApiClient, type Caller, createClient, createRouter, type Grant, type Rights } from '../api/index.ts'
import { silentLogger } from '../base/log.ts'
import { rolloutContract } from './contract.ts'
import { digestOf, Fleet } from './fixtures/fleet.ts'
import { envelopeToJson } from './rollouts.ts'
import { rolloutRoutes } from './routes.ts'

let fleet: Fleet
let server: Server
let client: ApiClient
let caller: Caller

beforeEach(async () => {
  fleet = await Fleet.create(2)
  await fleet.startAll()
  const router = createRouter({ routes: rolloutRoutes(fleet.engine(0)), log: silentLogger })
  server = createServer((request, response) => void router.handle(request, response, caller)).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  client = createClient({ open: async () => connect(port, '127.0.0.1') })
})
afterEach(async () => {
  server.closeAllConnections()
  server.close()
  await fleet.stop()
})

const rights = (role: Rights['role'], grants: Grant[]): Caller => ({ door: 'peer', id: 'p1', rights: { role, grants } })
const narrowed = (role: Grant['role'], ...apps: string[]): Caller =>
  rights('member', [{ role, apps, services: null, expires: null }])
async function submit(app: string) {
  fleet.machine(0).packages.add(digestOf(1))
  const { envelope } = fleet.engine(0).sign(fleet.request(1, { app }))
  const events: unknown[] = []
  const body = { envelope: envelopeToJson(envelope) }
  for await (const event of client.stream(rolloutContract.submit, { body })) events.push(event)
  return events.at(-1) as { id: string; ok: boolean }
}

test('a right narrowed to an app deploys and shows that app, and knows nothing of another', async () => {
  caller = narrowed('operator', 'api')
  expect(await submit('api')).toMatchObject({ ok: true })
  await expect(submit('db')).rejects.toMatchObject({ code: 'role_required' })
  caller = rights('operator', [])
  const other = await submit('db')
  caller = narrowed('operator', 'api')
  expect((await client.call(rolloutContract.list, {})).map(({ app }) => app)).toEqual(['api'])
  const params = { params: { id: other.id } }
  await expect(client.call(rolloutContract.status, params)).rejects.toMatchObject({ code: 'rollout_not_found' })
  const watched = client.stream(rolloutContract.watch, params)[Symbol.asyncIterator]()
  await expect(watched.next()).rejects.toMatchObject({ code: 'rollout_not_found' })
  const plan = { package: { name: 'db', version: '1.0.0', digest: digestOf(1) }, all: true }
  await expect(client.call(rolloutContract.plan, { body: plan })).rejects.toMatchObject({ code: 'role_required' })
  expect(await client.call(rolloutContract.plan, { body: { ...plan, app: 'api' } })).toMatchObject({ generation: 2 })
})

test('who may only look may watch and not halt', async () => {
  caller = rights('operator', [])
  const { id } = await submit('api')
  const halt = { body: { envelope: envelopeToJson(fleet.engine(0).signHalt(id, { revert: true })) } }
  for (const [who, code] of [
    [narrowed('viewer', 'api'), 'role_required'],
    [rights('viewer', narrowed('operator', 'db').rights.grants as Grant[]), 'rollout_forbidden'],
    [narrowed('operator', 'db'), 'rollout_not_found'],
    [rights('viewer', []), 'role_required'],
  ] as const) {
    caller = who
    await expect(client.call(rolloutContract.halt, halt)).rejects.toMatchObject({ code })
  }
  caller = narrowed('viewer', 'api')
  expect(await client.call(rolloutContract.status, { params: { id } })).toMatchObject({ app: 'api', state: 'done' })
  caller = narrowed('operator', 'a*')
  expect(await client.call(rolloutContract.halt, halt)).toMatchObject({ state: 'halted' })
})

test('a document that cannot be read opens nothing to a narrowed right', async () => {
  caller = narrowed('operator', '*')
  for (const payload of [
    '',
    'bm8=',
    Buffer.from('null').toString('base64'),
    Buffer.from('{"app":7}').toString('base64'),
  ]) {
    const envelope = { payload, payloadType: 'x', signatures: [] }
    const stream = client.stream(rolloutContract.submit, { body: { envelope } })[Symbol.asyncIterator]()
    await expect(stream.next()).rejects.toMatchObject({ code: 'role_required' })
  }
})

test('whoever may not see a rollout does not learn by its id, or a part of it, that it is there', async () => {
  caller = rights('operator', [])
  const { id } = await submit('db')
  caller = narrowed('operator', 'api')
  const answers = new Set<string>()
  for (const text of [id, id.slice(0, 12), '0'.repeat(12), '0'.repeat(64)]) {
    const error = await client.call(rolloutContract.status, { params: { id: text } }).catch((thrown: unknown) => thrown)
    answers.add(JSON.stringify(error))
  }
  expect([...answers]).toHaveLength(1)
})
