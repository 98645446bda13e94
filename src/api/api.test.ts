import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { setImmediate } from 'node:timers/promises'
import fc from 'fast-check'
import { afterEach, expect, test } from 'vitest'
import { z } from 'zod'
import { ManualClock } from '../base/clock.ts'
import { silentLogger } from '../base/log.ts'
import { rejectOnAbort, sleep } from '../base/wait.ts'
import {
  type Caller,
  createClient,
  createRouter,
  defineCall,
  defineStream,
  implement,
  queryFlag,
  type Route,
} from './index.ts'
import { readLines } from './json-lines.ts'
import { openApiOf } from './openapi.ts'
import { createRateLimit } from './rate-limit.ts'

const contract = {
  greet: defineCall({
    method: 'POST',
    path: '/v1/greeting/{name}',
    role: 'operator',
    summary: 'Greets',
    params: z.object({ name: z.string() }),
    query: z.object({ loud: queryFlag() }),
    body: z.object({ word: z.string().max(10) }),
    response: z.object({ text: z.string() }),
  }),
  count: defineStream({
    method: 'GET',
    path: '/v1/count',
    role: 'viewer',
    summary: 'Counts',
    query: z.object({ cursor: z.coerce.number().default(0), until: z.coerce.number() }),
    event: z.object({ n: z.number(), cursor: z.string() }),
  }),
  upload: defineCall({
    method: 'POST',
    path: '/v1/upload',
    role: 'operator',
    summary: 'Takes bytes',
    upload: { maxBytes: 1_000_000 },
    response: z.object({ bytes: z.number() }),
  }),
  secret: defineCall({
    method: 'GET',
    path: '/v1/secret',
    role: 'admin',
    localOnly: true,
    summary: 'Own socket',
    response: z.object({}),
  }),
}
const local: Caller = { door: 'local', id: 'me', rights: { role: 'admin', grants: [] } }
const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup()
})

async function serve(routes: Route[], caller: Caller = local, heartbeatMs = 15_000) {
  const router = createRouter({ routes, log: silentLogger, whomToAsk: () => 'laptop', heartbeatMs })
  const server = createServer((request, response) => void router.handle(request, response, caller))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  cleanups.push(() => {
    server.closeAllConnections()
    server.close()
  })
  const open = () => connect(port, '127.0.0.1')
  return { open, client: createClient({ open: async () => open(), silenceMs: 30_000 }) }
}
/** As `serve`, on a Unix socket, where a close reaches the other side at once. */
async function serveUnix(routes: Route[]) {
  const folder = await mkdtemp(join(tmpdir(), 'warren-api-'))
  const router = createRouter({ routes, log: silentLogger })
  const server = createServer((request, response) => void router.handle(request, response, local))
  server.listen(join(folder, 's'))
  await once(server, 'listening')
  cleanups.push(async () => {
    server.closeAllConnections()
    server.close()
    await rm(folder, { recursive: true, force: true })
  })
  return { client: createClient({ open: async () => connect(join(folder, 's')), silenceMs: 30_000 }) }
}
const greetRoute = implement(contract.greet, ({ params, query, body }) => ({
  text: `${body.word} ${params.name}${query.loud ? '!' : ''}`,
}))
async function* countFrom(start: number, until: number) {
  for (let n = start + 1; n <= until; n++) yield { n, cursor: String(n) }
}

test('a call carries params, query and body to the handler and the answer back', async () => {
  const { client } = await serve([greetRoute])
  const answer = await client.call(contract.greet, {
    params: { name: 'a/b ü' },
    query: { loud: true },
    body: { word: 'hi' },
  })
  expect(answer).toEqual({ text: 'hi a/b ü!' })
})

test('a body that breaks the contract is refused with the place of the fault', async () => {
  const { client } = await serve([greetRoute])
  const wrong = client.call(contract.greet, { params: { name: 'x' }, body: { word: 'far too long a word' } })
  await expect(wrong).rejects.toMatchObject({
    code: 'request_invalid',
    status: 400,
    message: expect.stringContaining('body.word'),
  })
})

test('a caller without the role is refused with the role it needs and whom to ask', async () => {
  const { client } = await serve([greetRoute], { door: 'peer', id: 'p1', rights: { role: 'viewer', grants: [] } })
  const refused = client.call(contract.greet, { params: { name: 'x' }, body: { word: 'hi' } })
  await expect(refused).rejects.toMatchObject({
    code: 'role_required',
    status: 403,
    message: expect.stringContaining('needs the role operator'),
    hint: expect.stringContaining('laptop'),
  })
})

test('a call of the own socket is refused to a peer, even to an admin', async () => {
  const { client } = await serve([implement(contract.secret, () => ({}))], {
    door: 'peer',
    id: 'p1',
    rights: { role: 'admin', grants: [] },
  })
  await expect(client.call(contract.secret, {})).rejects.toMatchObject({ code: 'local_only' })
})

test('an unknown path names itself', async () => {
  const { client } = await serve([])
  await expect(client.call(contract.secret, {})).rejects.toMatchObject({ code: 'call_not_found', status: 404 })
})

test('a path that is no path is an unknown call, not a failure of the daemon', async () => {
  const errors: string[] = []
  const log = { ...silentLogger, error: (_fields: object, message: string) => errors.push(message) }
  const router = createRouter({ routes: [], log })
  const server = createServer((request, response) => void router.handle(request, response, local)).listen(
    0,
    '127.0.0.1',
  )
  cleanups.push(() => server.close())
  await once(server, 'listening')
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1')
  socket.write('GET // HTTP/1.1\r\nHost: warren\r\nConnection: close\r\n\r\n')
  expect(Buffer.concat(await socket.toArray()).toString()).toContain('call_not_found')
  expect(errors).toEqual([])
})

test('a stream delivers all events in order and ends', async () => {
  const { client } = await serve([implement(contract.count, ({ query }) => countFrom(query.cursor, query.until))])
  const seen: number[] = []
  for await (const { n } of client.stream(contract.count, { query: { until: 5000 } })) seen.push(n)
  expect(seen).toEqual(Array.from({ length: 5000 }, (_, index) => index + 1))
})

test('an error in the middle of a stream reaches the reader after the events before it', async () => {
  const { client } = await serve([
    implement(contract.count, async function* () {
      yield { n: 1, cursor: '1' }
      throw Object.assign(new Error('no space'), { code: 'ENOSPC' })
    }),
  ])
  const seen: number[] = []
  const read = async () => {
    for await (const { n } of client.stream(contract.count, { query: { until: 2 } })) seen.push(n)
  }
  await expect(read()).rejects.toMatchObject({ code: 'disk_full', status: 507 })
  expect(seen).toEqual([1])
})

test('a broken connection is no end: the stream is taken up again at its cursor', async () => {
  let connections = 0
  const sockets: Socket[] = []
  const { open } = await serve([
    implement(contract.count, async function* ({ query, signal }) {
      connections++
      for await (const event of countFrom(query.cursor, query.until)) {
        yield event
        if (connections === 1 && event.n === 3) await rejectOnAbort(signal)
      }
    }),
  ])
  const client = createClient({
    open: async () => {
      const socket = open()
      sockets.push(socket)
      return socket
    },
  })
  const seen: number[] = []
  for await (const { n } of client.stream(contract.count, { query: { until: 6 } })) {
    seen.push(n)
    if (n === 3) sockets[0]?.destroy()
  }
  expect(seen).toEqual([1, 2, 3, 4, 5, 6])
  expect(connections).toBe(2)
})

test('a reader that leaves a stream fires the handler’s signal', async () => {
  const left = Promise.withResolvers<void>()
  const { client } = await serve([
    implement(contract.count, async function* ({ signal }) {
      yield { n: 1, cursor: '1' }
      await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()))
      left.resolve()
    }),
  ])
  for await (const _event of client.stream(contract.count, { query: { until: 9 } })) break
  await left.promise
})

test('heartbeats keep a silent stream alive and are not events', async () => {
  const { client } = await serve(
    [
      implement(contract.count, async function* () {
        await sleep(200)
        yield { n: 1, cursor: '1' }
      }),
    ],
    local,
    20,
  )
  const seen: number[] = []
  for await (const { n } of client.stream(contract.count, { query: { until: 1 } })) seen.push(n)
  expect(seen).toEqual([1])
})

test('an upload arrives whole, and one over the limit is refused', async () => {
  const { client } = await serve([
    implement(contract.upload, async ({ upload }) => {
      let bytes = 0
      for await (const part of upload) bytes += part.byteLength
      return { bytes }
    }),
  ])
  const chunks = (count: number) =>
    (async function* () {
      for (let index = 0; index < count; index++) yield Buffer.alloc(100_000)
    })()
  expect(await client.call(contract.upload, { upload: chunks(10) })).toEqual({ bytes: 1_000_000 })
  await expect(client.call(contract.upload, { upload: chunks(11) })).rejects.toMatchObject({
    code: 'request_too_large',
  })
})

test('an upload that is refused in its middle ends with the reason, not with a lost connection', async () => {
  const { client } = await serveUnix([
    implement(contract.upload, async ({ upload }) => {
      for await (const _part of upload) throw Object.assign(new Error('no space'), { code: 'ENOSPC' })
      return { bytes: 0 }
    }),
  ])
  const endless = async function* (bytes: number) {
    for (;;) {
      yield Buffer.alloc(bytes)
      await setImmediate()
    }
  }
  for (let round = 0; round < 50; round++) {
    const upload = endless(round % 2 === 0 ? 10 : 100_000)
    await expect(client.call(contract.upload, { upload })).rejects.toMatchObject({ code: 'disk_full' })
  }
})

test('one peer that asks without a pause is slowed, another is not', async () => {
  const clock = new ManualClock()
  const allow = createRateLimit(clock)
  const asks = () => {
    for (let index = 0; index < 1000; index++) allow('noisy')
  }
  expect(asks).toThrow(expect.objectContaining({ code: 'rate_limited' }))
  expect(() => allow('quiet')).not.toThrow()
  clock.advance(1000)
  expect(() => allow('noisy')).not.toThrow()
})

test('the OpenAPI document names every call with its parameters', () => {
  const document = openApiOf(Object.values(contract), { title: 't', version: '1' })
  expect(Object.keys(document.paths as object)).toEqual([
    '/v1/count',
    '/v1/greeting/{name}',
    '/v1/secret',
    '/v1/upload',
  ])
  expect(JSON.stringify(document)).toContain('"maxLength":10')
})

test('lines are the same however the bytes are cut', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.jsonValue()), fc.integer({ min: 1, max: 7 }), async (values, size) => {
      const bytes = Buffer.from(values.map((value) => `${JSON.stringify(value)}\n`).join(''))
      const parts: Uint8Array[] = []
      for (let at = 0; at < bytes.length; at += size) parts.push(bytes.subarray(at, at + size))
      const read: unknown[] = []
      for await (const value of readLines(Readable.from(parts))) read.push(value)
      expect(read).toEqual(values.map((value) => JSON.parse(JSON.stringify(value))))
    }),
  )
})
