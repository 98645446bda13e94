import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { text } from 'node:stream/consumers'
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest'
import { as, startPair, startServer, type TestPair, type TestServer } from './fixtures/pair.ts'

const SIGNAL = new AbortController().signal

let pair: TestPair
const servers: TestServer[] = []

beforeAll(async () => {
  pair = await startPair({ names: { db: 'office/echo' } })
})
afterAll(() => pair.end())
afterEach(async () => {
  pair.setRights(pair.laptop, as('operator'))
  await pair.laptop.services.proxies.close('all')
  for (const { name } of pair.office.services.finder.own({ id: '', rights: as('admin') })) {
    await pair.office.services.unexpose(name)
  }
  for (const server of servers.splice(0)) await server.close()
})

async function serve(onConnection: (socket: Socket) => void): Promise<TestServer> {
  const server = await startServer(onConnection)
  servers.push(server)
  return server
}

/** Exposes a server at the office, and gives the port at which the laptop has it. */
async function proxied(onConnection: (socket: Socket) => void, to: string[] = []): Promise<number> {
  const { port } = await serve(onConnection)
  await pair.office.services.expose({ name: 'echo', target: String(port), kind: 'tcp', to })
  return await openProxy()
}

async function openProxy(
  wanted: { node: string; service?: string } = { node: 'office', service: 'echo' },
): Promise<number> {
  const proxy = await pair.laptop.services.proxies.open({ ...wanted, port: 0 }, SIGNAL)
  return proxy.entrance?.port as number
}

const open = (port: number, host = '127.0.0.1'): Socket => {
  const socket = connect({ host, port, allowHalfOpen: true })
  socket.on('error', () => undefined)
  return socket
}
const closed = (socket: Socket): Promise<void> =>
  new Promise((resolve) => void (socket.closed ? resolve() : socket.once('close', () => resolve())))

test('a client that closes its half gets all that comes after it, and the other way round', async () => {
  const port = await proxied((socket) => {
    // Answers only when it has everything, as `sort` does.
    void text(socket).then((all) => socket.end(all.toUpperCase()))
  })
  const sorted = open(port)
  sorted.end('half close')
  expect(await text(sorted)).toBe('HALF CLOSE')

  const later = await serve((socket) => {
    socket.write('bye')
    socket.end()
    void text(socket).then((all) => heard.resolve(all))
  })
  const heard = Promise.withResolvers<string>()
  await pair.office.services.expose({ name: 'echo', target: String(later.port), kind: 'tcp', to: [] })
  const client = open(port)
  expect(await text(client)).toBe('bye')
  client.end('still sent')
  expect(await heard.promise).toBe('still sent')
})

test('both kinds of loopback listen, at the port of the service where that is free', async () => {
  const { port } = await serve((socket) => socket.end('hello'))
  await pair.office.services.expose({ name: 'echo', target: String(port), kind: 'tcp', to: [] })
  // The service itself has its port on 127.0.0.1 of this machine, so a free one is taken.
  const proxy = await pair.laptop.services.proxies.open({ node: 'office', service: 'echo' }, SIGNAL)
  expect(proxy.entrance?.port).not.toBe(port)
  expect(proxy.view()).toMatchObject({ node: 'office', service: 'echo', path: 'direct', kept: false })
  for (const host of ['127.0.0.1', '::1']) expect(await text(open(proxy.entrance?.port as number, host))).toBe('hello')
  const taken = pair.laptop.services.proxies.open({ node: 'office', service: 'echo', port }, SIGNAL)
  await expect(taken).rejects.toMatchObject({ code: 'port_in_use' })
  expect(pair.laptop.services.proxies.list()).toHaveLength(1)
})

test('a port that another proxy has is refused with what to close', async () => {
  const port = await proxied((socket) => socket.end('here'))
  const id = pair.laptop.services.proxies.list()[0]?.id
  const again = pair.laptop.services.proxies.open({ node: 'office', service: 'echo', port }, SIGNAL)
  await expect(again).rejects.toMatchObject({
    code: 'port_in_use',
    hint: expect.stringContaining(`proxy close ${id}`),
  })
  expect(await text(open(port))).toBe('here')
})

test('a large answer to a reader that sleeps waits at its source, and then comes whole', async () => {
  const bytes = 64 * 1024 * 1024
  let written = 0
  const port = await proxied((socket) => {
    const chunk = Buffer.alloc(256 * 1024, 'x')
    const more = (): void => {
      while (written < bytes) {
        written += chunk.length
        if (!socket.write(chunk)) return void socket.once('drain', more)
      }
      socket.end()
    }
    more()
  })
  const client = open(port)
  await once(client, 'connect')
  client.pause()
  // Nothing more goes in once every buffer on the way is full.
  let before = -1
  await vi.waitFor(
    () => {
      const stands = written === before && written > 0
      before = written
      expect(stands).toBe(true)
    },
    { interval: 300, timeout: 60_000 },
  )
  expect(written).toBeLessThan(bytes / 2)
  let read = 0
  for await (const chunk of client) read += chunk.length
  expect(read).toBe(bytes)
})

test('a reset on either side is a reset on the other, never an end', async () => {
  const reset = Promise.withResolvers<Error>()
  const port = await proxied((socket) => {
    socket.once('error', reset.resolve)
    socket.once('data', (data) => {
      if (String(data) === 'reset me') socket.resetAndDestroy()
      else socket.write('ready')
    })
  })
  const client = open(port)
  client.write('reset me')
  expect(await once(client, 'error')).toMatchObject([{ code: 'ECONNRESET' }])

  const other = open(port)
  other.write('hello')
  await once(other, 'data')
  other.resetAndDestroy()
  expect(await reset.promise).toMatchObject({ code: 'ECONNRESET' })
})

test('a target that nobody serves resets the client at once, and the reason is told', async () => {
  const gone = await serve(() => undefined)
  await pair.office.services.expose({ name: 'echo', target: String(gone.port), kind: 'tcp', to: [] })
  await gone.close()
  const proxy = await pair.laptop.services.proxies.open({ node: 'office', service: 'echo', port: 0 }, SIGNAL)
  const failed = new Promise((resolve) => proxy.events.on('failed', resolve))
  await closed(open(proxy.entrance?.port as number))
  expect(await failed).toMatchObject({ code: 'service_unreachable', message: expect.stringContaining('ECONNREFUSED') })
  expect(proxy.view().problem).toContain('ECONNREFUSED')
})

test('rights are judged at each connection, and a refusal says whom to ask', async () => {
  const port = await proxied((socket) => socket.end('in'))
  expect(await text(open(port))).toBe('in')
  pair.setRights(pair.laptop, as('member'))
  expect(await text(open(port)).catch(({ code }) => code)).toBe('ECONNRESET')
  expect(pair.office.told.at(-1)).toMatchObject({
    what: 'service',
    outcome: 'refused',
    by: pair.laptop.network.id,
    subject: 'echo',
    reason: expect.stringContaining('service_refused'),
  })
  const again = pair.laptop.services.proxies.open({ node: 'office', service: 'echo', port: 0 }, SIGNAL)
  await expect(again).rejects.toMatchObject({
    code: 'service_refused',
    hint: expect.stringContaining('--service echo'),
  })
  const grants = [{ role: 'operator' as const, apps: null, services: ['ec*'], expires: null }]
  pair.setRights(pair.laptop, { role: 'member', grants })
  expect(await text(open(port))).toBe('in')
})

test('open connections are cut when the right to them goes, when the service goes, and when it is exposed otherwise', async () => {
  const port = await proxied((socket) => socket.write('ready'), ['laptop'])
  const openOne = async (): Promise<Socket> => {
    const socket = open(port)
    await once(socket, 'data')
    return socket
  }
  const removed = await openOne()
  pair.setRights(pair.laptop, undefined)
  await closed(removed)
  expect(pair.office.told.at(-1)).toMatchObject({
    outcome: 'refused',
    reason: expect.stringContaining('service_removed'),
  })
  pair.setRights(pair.laptop, as('member'))
  const unnamed = await openOne()
  const { port: other } = await serve((socket) => socket.write('other'))
  await pair.office.services.expose({ name: 'echo', target: String(other), kind: 'tcp', to: ['laptop'] })
  await closed(unnamed)
  const unexposed = await openOne()
  expect(await pair.office.services.unexpose('echo')).toEqual({ name: 'echo', cut: 1 })
  await closed(unexposed)
})

test('a change of rights that leaves a right leaves its connections', async () => {
  const port = await proxied((socket) => socket.pipe(socket), ['laptop'])
  const socket = open(port)
  socket.write('one')
  await once(socket, 'data')
  pair.setRights(pair.laptop, as('member'))
  socket.write('two')
  expect(String((await once(socket, 'data'))[0])).toBe('two')
  socket.destroy()
})

test('lists say what there is, who may, and hide the target from who may not see it', async () => {
  await pair.office.services.expose({ name: 'echo', target: '[::1]:7', kind: 'udp', to: ['laptop', 'operator'] })
  pair.setRights(pair.laptop, as('member'))
  await pair.office.services.expose({ name: 'web', target: '192.168.7.7:80', kind: 'tcp', to: [] })
  const { services, silent } = await pair.laptop.services.finder.list({ signal: SIGNAL })
  expect(silent).toEqual([])
  expect(services).toEqual([
    {
      node: 'office',
      name: 'echo',
      kind: 'udp',
      port: 7,
      target: '[::1]:7',
      to: ['laptop', 'operator'],
      allowed: true,
    },
    { node: 'office', name: 'web', kind: 'tcp', port: 80, target: null, to: ['operator'], allowed: false },
  ])
  pair.setRights(pair.laptop, undefined)
  expect((await pair.laptop.services.finder.list({ signal: SIGNAL })).services).toEqual([])
})

test('what does not exist is named; names of the config stand for a node and a service', async () => {
  const missing = pair.laptop.services.proxies.open({ node: 'office', service: 'nosuch' }, SIGNAL)
  await expect(missing).rejects.toMatchObject({ code: 'service_not_found', message: expect.stringContaining('office') })
  const unnamed = pair.laptop.services.proxies.open({ node: 'nosuch' }, SIGNAL)
  await expect(unnamed).rejects.toMatchObject({ code: 'service_unnamed' })
  await proxied((socket) => socket.end('by name'))
  expect(await text(open(await openProxy({ node: 'db' })))).toBe('by name')
  expect(await text(open(await openProxy({ node: 'office/echo' })))).toBe('by name')
})

test('a service of this node itself is reached by the same words', async () => {
  const { port } = await serve((socket) => void text(socket).then((all) => socket.end(all)))
  await pair.laptop.services.expose({ name: 'own', target: String(port), kind: 'tcp', to: [] })
  const socket = open(await openProxy({ node: 'laptop', service: 'own' }))
  socket.end('to myself')
  expect(await text(socket)).toBe('to myself')
  await pair.laptop.services.unexpose('own')
})

test('a pipe carries one connection with both halves, and ends with what ended it', async () => {
  const { port } = await serve((socket) => void text(socket).then((all) => socket.end(all)))
  await pair.office.services.expose({ name: 'echo', target: String(port), kind: 'tcp', to: [] })
  const { proxy, ended } = await pair.laptop.services.proxies.pipe({ node: 'office', service: 'echo' }, SIGNAL)
  const socket = connect({ path: proxy.view().local[0] as string, allowHalfOpen: true })
  socket.end('through')
  expect(await text(socket)).toBe('through')
  await ended
  pair.setRights(pair.laptop, as('member'))
  const refused = pair.laptop.services.proxies.pipe({ node: 'office', service: 'echo' }, SIGNAL)
  await expect(refused).rejects.toMatchObject({ code: 'service_refused' })
})

test('exposures and kept proxies outlive a restart; closed ones do not', async () => {
  const { port } = await serve((socket) => socket.end('kept'))
  await pair.office.services.expose({ name: 'echo', target: String(port), kind: 'tcp', to: [] })
  const kept = await pair.laptop.services.proxies.keep({ node: 'office', service: 'echo', port: 0 }, SIGNAL)
  const local = Number(kept.local[0]?.split(':').at(-1))
  await pair.office.restart()
  await pair.laptop.restart()
  await expect.poll(() => text(open(local)).catch(() => undefined)).toBe('kept')
  expect(pair.laptop.services.proxies.list()).toMatchObject([{ id: kept.id, kept: true, total: expect.any(Number) }])
  await pair.laptop.services.proxies.close(kept.id)
  await pair.laptop.restart()
  expect(pair.laptop.services.proxies.list()).toEqual([])
  await expect(pair.laptop.services.proxies.close(kept.id)).rejects.toMatchObject({ code: 'proxy_not_found' })
})
