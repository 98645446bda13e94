import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import { createServer } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { z } from 'zod'
import { ManualClock } from '../base/clock.ts'
import type { Decision } from '../base/decisions.ts'
import { silentLogger } from '../base/log.ts'
import {
  type AnyCall,
  type ApiClient,
  apiErrors,
  type Caller,
  createClient,
  createRouter,
  defineCall,
  defineStream,
  type Grant,
  implement,
  type Rights,
  ROLES,
  type Route,
  roleIncludes,
} from './index.ts'

const SRC = join(dirname(fileURLToPath(import.meta.url)), '..')
const peer = (role: Rights['role'], ...grants: Grant[]): Caller => ({
  door: 'peer',
  id: 'p1',
  rights: { role, grants },
})
const grant = (role: Grant['role'], ...apps: string[]): Grant => ({ role, apps, services: null, expires: null })
const cleanups: (() => unknown)[] = []
let told: Decision[]
let clock: ManualClock
beforeEach(() => {
  told = []
  clock = new ManualClock()
})
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup()
})

async function serve(routes: readonly Route[]) {
  const router = createRouter({
    routes,
    log: silentLogger,
    whomToAsk: () => 'laptop',
    tell: (one) => void told.push(one),
    clock,
  })
  let caller: Caller = peer('relay')
  const server = createServer((request, response) => void router.handle(request, response, caller))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  cleanups.push(() => {
    server.closeAllConnections()
    server.close()
  })
  const open = () => connect(port, '127.0.0.1')
  const client = createClient({ open: async () => open() })
  return {
    open,
    client,
    as(next: Caller): ApiClient {
      caller = next
      return client
    },
  }
}

/** Every call of every contract of the program. */
async function allCalls(): Promise<AnyCall[]> {
  const folders = readdirSync(SRC, { withFileTypes: true }).filter(
    (entry) => entry.isDirectory() && entry.name !== 'api',
  )
  const files = folders.flatMap(({ name }) => {
    const has = readdirSync(join(SRC, name)).includes('contract.ts')
    return has ? [join(SRC, name, 'contract.ts')] : []
  })
  const modules: object[] = await Promise.all(files.map((file) => import(file)))
  const isCall = (value: unknown): value is AnyCall =>
    typeof value === 'object' && value !== null && ['call', 'stream'].includes((value as AnyCall).kind)
  return modules
    .flatMap((module) => Object.values(module))
    .filter((value) => typeof value === 'object' && value !== null)
    .flatMap((contract) => Object.values(contract as object).filter(isCall))
}

/** Sends the first line of a request and no body; gives the error code, or `begun` where it was not refused. */
async function askFor(call: AnyCall, app: string, { as, open }: Awaited<ReturnType<typeof serve>>, caller: Caller) {
  as(caller)
  const socket = open()
  const path = call.path.replaceAll(/\{([a-z_]+)\}/g, (_whole, name: string) => (name === 'app' ? app : 'x'))
  // A body that never comes: whoever is refused is refused without it.
  const length = call.body === undefined && call.upload === undefined ? 0 : 2
  socket.write(
    `${call.method} ${path} HTTP/1.1\r\nHost: warren\r\nConnection: close\r\nContent-Length: ${length}\r\n\r\n`,
  )
  try {
    for await (const part of socket) {
      const code = /"code":"(\w+)"/.exec(String(part))?.[1]
      return code === 'role_required' || code === 'local_only' ? code : 'begun'
    }
    return 'begun'
  } finally {
    socket.destroy()
  }
}

/** A handler that was reached has been let through: what it says does not matter here. */
const reached = (call: AnyCall): Route => ({
  call,
  handle: () => {
    throw apiErrors.request_invalid('reached')
  },
})

test('every call of the program is answered for the roles that include its own, and for no other', async () => {
  const calls = await allCalls()
  expect(calls.length).toBeGreaterThan(30)
  for (const call of calls) {
    // A body that does not come must not hold the answer up.
    const { body: _body, upload: _upload, params: _params, query: _query, ...bare } = call
    const door = await serve([reached(bare as AnyCall)])
    for (const role of ROLES) {
      for (const caller of [peer(role), { ...peer(role), door: 'local' } as Caller]) {
        const expected =
          call.localOnly === true && caller.door === 'peer'
            ? 'local_only'
            : roleIncludes(role, call.role)
              ? 'begun'
              : 'role_required'
        const found = await askFor({ ...bare } as AnyCall, 'api', door, caller)
        expect([call.method, call.path, role, caller.door, found]).toEqual([
          call.method,
          call.path,
          role,
          caller.door,
          expected,
        ])
      }
    }
  }
})

test('a right narrowed to an app opens the calls on that app, and of the rest only what sorts out by itself', async () => {
  const opened: string[] = []
  for (const call of await allCalls()) {
    const { body: _body, upload: _upload, params: _params, query: _query, ...bare } = call
    const door = await serve([reached(bare as AnyCall)])
    const ask = (app: string, ...grants: Grant[]) => askFor(bare as AnyCall, app, door, peer('member', ...grants))
    const own = await ask('api', grant('operator', 'api'))
    if (own === 'begun') opened.push(`${call.method} ${call.path}`)
    const onApp = call.path.includes('{app}')
    if (onApp || call.subject !== undefined)
      expect([call.path, await ask('db', grant('operator', 'api'))]).toEqual([call.path, 'role_required'])
    if (onApp)
      expect(await ask('api', grant('viewer', 'a*'))).toBe(
        roleIncludes('viewer', call.role) ? 'begun' : 'role_required',
      )
    // A grant for a service, and one that names nothing, open no call on an app.
    const services: Grant = { role: 'operator', apps: null, services: ['*'], expires: null }
    if (call.filtered !== true)
      expect([call.path, (await ask('api', services)) === 'begun']).toEqual([
        call.path,
        roleIncludes('member', call.role),
      ])
    if (call.localOnly === true || call.role === 'admin') expect(own).not.toBe('begun')
  }
  expect(opened.filter((name) => !name.includes('/v1/app')).sort()).toEqual([
    'GET /v1/rollout',
    'GET /v1/rollout/{id}',
    'GET /v1/rollout/{id}/watch',
    'POST /v1/rollout/halt',
  ])
})

const contract = {
  list: defineCall({
    method: 'GET',
    path: '/v1/thing',
    role: 'viewer',
    summary: 'Lists',
    query: z.object({ secret: z.string().optional() }),
    response: z.object({}),
  }),
  put: defineCall({
    method: 'POST',
    path: '/v1/thing/{app}',
    role: 'operator',
    summary: 'Changes',
    params: z.object({ app: z.string() }),
    body: z.object({ password: z.string() }),
    response: z.object({}),
  }),
  named: defineCall({
    method: 'POST',
    path: '/v1/thing',
    role: 'operator',
    summary: 'Names its app in the body',
    body: z.object({ app: z.string() }),
    subject: ({ body }) => ({ app: (body as { app: string }).app }),
    response: z.object({}),
  }),
  flow: defineStream({
    method: 'POST',
    path: '/v1/flow',
    role: 'operator',
    summary: 'Flows',
    event: z.object({ n: z.number() }),
  }),
}

test('the refusal names the role, what the caller has, and whom to ask', async () => {
  const { as } = await serve([implement(contract.put, () => ({}))])
  const refused = as(peer('member', grant('viewer', 'web-*', 'api'))).call(contract.put, {
    params: { app: 'db' },
    body: { password: 'x' },
  })
  await expect(refused).rejects.toMatchObject({
    code: 'role_required',
    message:
      'POST /v1/thing/{app} needs the role operator; the calling node has the role member, and viewer for the apps web-*, api',
    hint: 'An admin gives it: warren grant NODE operator    (on laptop)',
    details: { needed: 'operator', has: 'member', grants: [grant('viewer', 'web-*', 'api')] },
  })
})

test('an encoded name is the name that the handler gets', async () => {
  const seen: string[] = []
  const { as } = await serve([
    implement(contract.put, ({ params }) => {
      seen.push(params.app)
      return {}
    }),
  ])
  const client = as(peer('member', grant('operator', 'a/b')))
  await client.call(contract.put, { params: { app: 'a/b' }, body: { password: 'x' } })
  await expect(client.call(contract.put, { params: { app: 'a%2Fb' }, body: { password: 'x' } })).rejects.toMatchObject({
    code: 'role_required',
  })
  expect(seen).toEqual(['a/b'])
})

test('a subject in the body is judged by the body that the handler gets', async () => {
  const seen: string[] = []
  const { as } = await serve([
    implement(contract.named, ({ body }) => {
      seen.push(body.app)
      return {}
    }),
  ])
  const narrowed = as(peer('member', grant('operator', 'api')))
  await narrowed.call(contract.named, { body: { app: 'api' } })
  await expect(narrowed.call(contract.named, { body: { app: 'db' } })).rejects.toMatchObject({ code: 'role_required' })
  expect(seen).toEqual(['api'])
  expect(told.map(({ outcome }) => outcome)).toEqual(['allowed', 'refused'])
})

test('every refusal and every change is told, with the path and never the query or the body', async () => {
  const { as } = await serve([
    implement(contract.list, () => ({})),
    implement(contract.put, () => {
      throw apiErrors.request_invalid('no such thing')
    }),
  ])
  const put = { params: { app: 'api' }, body: { password: 'hunter2' } }
  await expect(as(peer('viewer')).call(contract.put, put)).rejects.toMatchObject({ code: 'role_required' })
  await expect(as(peer('viewer')).call(contract.put, put)).rejects.toMatchObject({ code: 'role_required' })
  const person: Caller = { door: 'local', id: 'me', rights: { role: 'admin', grants: [] } }
  await expect(as(person).call(contract.put, put)).rejects.toMatchObject({ code: 'request_invalid' })
  await as(person).call(contract.list, { query: { secret: 'hunter2' } })
  expect(told.map(({ outcome, by, subject }) => `${outcome} ${by} ${subject}`)).toEqual([
    'refused p1 POST /v1/thing/api',
    'refused p1 POST /v1/thing/api',
    'allowed local POST /v1/thing/api',
    'failed local POST /v1/thing/api',
  ])
  expect(told[0]?.reason).toMatch(/^role_required: /)
  expect(told[3]?.reason).toBe('request_invalid: no such thing')
  expect(JSON.stringify(told)).not.toContain('hunter2')
})

test('reads by a peer are told once a minute for each caller and call', async () => {
  const { as } = await serve([implement(contract.list, () => ({}))])
  const other: Caller = { ...peer('viewer'), id: 'p2' }
  for (const caller of [peer('viewer'), peer('viewer'), other, peer('viewer')]) await as(caller).call(contract.list, {})
  expect(told.map(({ by }) => by)).toEqual(['p1', 'p2'])
  clock.advance(60_000)
  await as(peer('viewer')).call(contract.list, {})
  expect(told.map(({ by }) => by)).toEqual(['p1', 'p2', 'p1'])
})

test('a stream that breaks in its middle is told as failed, and a flood of a peer once', async () => {
  const { as } = await serve([
    implement(contract.flow, async function* () {
      yield { n: 1 }
      throw Object.assign(new Error('no space'), { code: 'ENOSPC' })
    }),
  ])
  const client = as(peer('operator'))
  const read = async () => {
    for await (const _event of client.stream(contract.flow, {}));
  }
  await expect(read()).rejects.toMatchObject({ code: 'disk_full' })
  expect(told.map(({ outcome, reason }) => [outcome, reason?.split(':')[0]])).toEqual([
    ['allowed', undefined],
    ['failed', 'disk_full'],
  ])
  told = []
  const many = await Promise.allSettled(Array.from({ length: 230 }, () => client.call(contract.list, {})))
  const codes = many.map((one) => (one.status === 'rejected' ? one.reason.code : ''))
  expect(codes.filter((code) => code === 'rate_limited').length).toBeGreaterThan(1)
  expect(told.map(({ reason }) => reason?.split(':')[0])).toEqual(['rate_limited'])
})

test('changes that one peer asks for without end are slowed, so that each can have its line', async () => {
  const { as } = await serve([implement(contract.named, () => ({}))])
  const client = as(peer('operator'))
  const many = await Promise.allSettled(
    Array.from({ length: 130 }, () => client.call(contract.named, { body: { app: 'api' } })),
  )
  expect(many.filter(({ status }) => status === 'fulfilled')).toHaveLength(100)
  expect(told.filter(({ outcome }) => outcome === 'allowed')).toHaveLength(100)
  clock.advance(1000)
  const more = await Promise.allSettled(
    Array.from({ length: 20 }, () => client.call(contract.named, { body: { app: 'api' } })),
  )
  expect(more.filter(({ status }) => status === 'fulfilled')).toHaveLength(5)
})
