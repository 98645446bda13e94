import { createSocket, type Socket as UdpSocket } from 'node:dgram'
import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { afterEach, expect, test } from 'vitest'
import { ManualClock, systemClock } from '../../base/clock.ts'
import { Counters } from '../../base/counters.ts'
import { silentLogger } from '../../base/log.ts'
import { answerStunTcp } from './answer.ts'
import { bindingTcp, bindingUdp } from './binding.ts'
import { BINDING_RATE, MAX_TCP_CONNECTIONS_PER_SOURCE, MAX_TCP_REQUESTS, TCP_FIRST_REQUEST_MS } from './constants.ts'
import { decodeStun, encodeStun } from './message.ts'
import { createStunServer, type StunServerInit } from './server.ts'

const ends: (() => unknown)[] = []
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end()
})

const ONE = { host: '127.0.0.1', interface: 'lo' }
const TWO = { host: '127.0.0.2', interface: 'lo' }
const TRANSACTION = Buffer.alloc(12, 5)

async function serve(init: Partial<StunServerInit> = {}) {
  // The second TCP port has the number of the second UDP port, which some connection of this machine may have as its own.
  for (let left = 10; ; left--) {
    const counters = new Counters()
    const server = createStunServer({
      port: 0,
      addresses: () => [ONE, TWO],
      clock: systemClock,
      log: silentLogger,
      counters,
      ...init,
    })
    await server.start()
    const { udp: port, alternateUdp: alternate, alternateTcp: tcp } = server.ports()
    if (port !== null && alternate !== null && tcp !== null) {
      ends.push(() => server.stop())
      return { server, counters, port, alternate, tcp }
    }
    await server.stop()
    if (left === 0) throw new Error('this machine gives no ports')
  }
}

async function udpSocket(type: 'udp4' | 'udp6' = 'udp4'): Promise<UdpSocket> {
  const socket = createSocket(type)
  ends.push(() => socket.close())
  socket.bind(0, type === 'udp4' ? '127.0.0.1' : '::1')
  await once(socket, 'listening')
  return socket
}

/** A listener whose connections all go to the server, as those do that begin like STUN. */
async function front(take: (socket: Socket) => void): Promise<number> {
  const listener: Server = createServer(take)
  ends.push(() => new Promise((resolve) => listener.close(resolve)))
  listener.listen(0, '127.0.0.1')
  await once(listener, 'listening')
  return (listener.address() as { port: number }).port
}

async function dial(port: number): Promise<Socket> {
  const socket = connect({ port, host: '127.0.0.1' })
  socket.on('error', () => undefined)
  ends.push(() => socket.destroy())
  await once(socket, 'connect')
  return socket
}

/** Sends raw bytes and gives the next datagram, with where it came from. */
async function exchange(socket: UdpSocket, bytes: Uint8Array, port: number) {
  const heard = once(socket, 'message') as Promise<[Buffer, { address: string; port: number }]>
  socket.send(bytes, port, '127.0.0.1')
  const [answer, from] = await heard
  return { bytes: answer, from, message: decodeStun(answer) }
}

test('a UDP port learns how it is seen, and the other port and address of the server', async () => {
  const { port, alternate } = await serve()
  const socket = await udpSocket()
  const seen = { host: '127.0.0.1', port: socket.address().port }
  const binding = await bindingUdp(socket, { host: '127.0.0.1', port })
  expect(binding).toEqual({
    ...seen,
    origin: { host: '127.0.0.1', port },
    other: { host: '127.0.0.2', port: alternate },
  })
  const other = await bindingUdp(socket, { host: '127.0.0.1', port: alternate })
  expect(other.other).toEqual({ host: '127.0.0.2', port })
  expect(socket.listenerCount('message')).toBe(0)
})

test('a server with one address names its other port there', async () => {
  const { port, alternate } = await serve({ addresses: () => [ONE] })
  const binding = await bindingUdp(await udpSocket(), { host: 'localhost', port })
  expect(binding.other).toEqual({ host: '127.0.0.1', port: alternate })
})

test('IPv6 is served', async () => {
  const { port } = await serve({ addresses: () => [{ host: '::1', interface: 'lo' }] })
  const socket = await udpSocket('udp6')
  const binding = await bindingUdp(socket, { host: '::1', port })
  expect(binding).toMatchObject({ host: '::1', port: socket.address().port })
})

test('the answer comes from the port and the address that were asked for', async () => {
  const { port, alternate } = await serve()
  const socket = await udpSocket()
  const ask = (change: { host: boolean; port: boolean }) =>
    exchange(socket, encodeStun({ kind: 'request', transaction: TRANSACTION, change }), port)
  expect((await ask({ host: false, port: true })).from).toMatchObject({ address: '127.0.0.1', port: alternate })
  expect((await ask({ host: true, port: false })).from).toMatchObject({ address: '127.0.0.2', port })
  const both = await ask({ host: true, port: true })
  expect(both.from).toMatchObject({ address: '127.0.0.2', port: alternate })
  expect(both.message?.origin).toEqual({ host: '127.0.0.2', port: alternate })
})

test('an answer from an address that the server does not have is refused with 420', async () => {
  const { port } = await serve({ addresses: () => [ONE] })
  const change = { host: true, port: true }
  const { message } = await exchange(
    await udpSocket(),
    encodeStun({ kind: 'request', transaction: TRANSACTION, change }),
    port,
  )
  expect(message).toMatchObject({ kind: 'error', error: { code: 420 }, unknownAttributes: [0x0003] })
})

test('a request with an attribute that must be understood and is not gets error 420 that names it', async () => {
  const { port } = await serve()
  const request = Buffer.concat([
    encodeStun({ kind: 'request', transaction: TRANSACTION }),
    Buffer.from('0027000400500000', 'hex'),
  ])
  request.writeUInt16BE(8, 2)
  const { message } = await exchange(await udpSocket(), request, port)
  expect(message).toMatchObject({ kind: 'error', error: { code: 420 }, unknownAttributes: [0x0027] })
})

test('only requests are answered: no answers, indications or noise, so no two servers talk for ever', async () => {
  const { port, counters } = await serve()
  const socket = await udpSocket()
  const send = (bytes: Uint8Array): void => void socket.send(bytes, port, '127.0.0.1')
  for (const kind of ['indication', 'success', 'error'] as const)
    send(encodeStun({ kind, transaction: Buffer.alloc(12) }))
  send(Buffer.alloc(0))
  send(Buffer.alloc(40, 1))
  send(encodeStun({ kind: 'request', transaction: TRANSACTION }).subarray(0, 19))
  const { message } = await exchange(socket, encodeStun({ kind: 'request', transaction: TRANSACTION }), port)
  expect(Buffer.from(message?.transaction ?? [])).toEqual(TRANSACTION)
  expect(counters.get('stun_requests', { transport: 'udp' })).toBe(1)
})

test('on the wire the longest answer is less than twice the shortest request, and a source gets only so many', async () => {
  const { port, counters } = await serve({ clock: new ManualClock() })
  const socket = await udpSocket()
  const request = encodeStun({ kind: 'request', transaction: TRANSACTION })
  const HEADERS = 28
  const { bytes } = await exchange(socket, request, port)
  expect((bytes.length + HEADERS) / (request.length + HEADERS)).toBeLessThan(2)
  for (let sent = 1; sent < BINDING_RATE.burst; sent++) await exchange(socket, request, port)
  socket.send(request, port, '127.0.0.1')
  await expect(
    bindingUdp(socket, { host: '127.0.0.1', port }, { timeoutMs: 200, clock: systemClock }),
  ).rejects.toMatchObject({ code: 'peer_unreachable' })
  expect(counters.get('stun_requests', { transport: 'udp' })).toBe(BINDING_RATE.burst)
  expect(counters.get('stun_refused', { transport: 'udp' })).toBeGreaterThanOrEqual(2)
})

test('an address that comes is served, and one that goes is closed', async () => {
  const clock = new ManualClock()
  let addresses = [ONE]
  let asked = Promise.withResolvers<void>()
  const { port, server } = await serve({
    clock,
    addresses: () => {
      asked.resolve()
      return addresses
    },
  })
  const rescan = async (next: typeof addresses): Promise<void> => {
    addresses = next
    asked = Promise.withResolvers()
    clock.advance(3_000)
    await asked.promise
  }
  await rescan([TWO])
  const socket = await udpSocket()
  await bindingUdp(socket, { host: '127.0.0.2', port })
  await expect(bindingUdp(socket, { host: '127.0.0.1', port }, { timeoutMs: 100 })).rejects.toThrow('no answer in 100')
  await server.stop()
  expect(server.ports()).toEqual({ udp: null, alternateUdp: null, alternateTcp: null })
})

test('a TCP port learns how it is seen; the connection stays, and further ones come from the same port', async () => {
  const { server, tcp } = await serve()
  const port = await front((socket) => server.answerTcp(socket))
  const first = await bindingTcp({ server: { host: '127.0.0.1', port } })
  ends.push(() => first.socket.destroy())
  expect(first.mapped).toEqual(first.local)
  expect(first.other).toEqual({ host: '127.0.0.2', port: tcp })
  const second = await bindingTcp({ server: { host: '127.0.0.1', port: tcp }, localPort: first.local.port })
  ends.push(() => second.socket.destroy())
  expect(second.local.port).toBe(first.local.port)
  expect([first.socket.destroyed, second.socket.destroyed]).toEqual([false, false])
})

test('a server can listen on the port of a binding that is kept', async () => {
  const { tcp } = await serve()
  const { local, socket } = await bindingTcp({ server: { host: '127.0.0.1', port: tcp } })
  ends.push(() => socket.destroy())
  const listener = createServer()
  ends.push(() => listener.close())
  listener.listen(local.port)
  await once(listener, 'listening')
  expect((listener.address() as { port: number }).port).toBe(local.port)
})

test('requests over TCP are told apart however they are cut', async () => {
  const { server } = await serve()
  const socket = await dial(await front((taken) => server.answerTcp(taken)))
  const fills = [1, 2]
  const answers: Buffer[] = []
  const both = new Promise<void>((resolve) => {
    socket.on('data', (bytes: Buffer) => {
      answers.push(bytes)
      if (Buffer.concat(answers).length === fills.length * 56) resolve()
    })
  })
  for (const fill of fills) {
    const request = encodeStun({ kind: 'request', transaction: Buffer.alloc(12, fill) })
    for (const byte of request) socket.write(Buffer.from([byte]))
  }
  await both
  const bytes = Buffer.concat(answers)
  const transactions = [decodeStun(bytes.subarray(0, 56)), decodeStun(bytes.subarray(56))].map(
    (one) => one?.transaction[0],
  )
  expect(transactions).toEqual(fills)
})

test('what the server expects it answers whatever the rate; when it has stopped it answers nothing', async () => {
  const expected = '07'.repeat(12)
  const { server } = await serve({ expects: (transaction) => transaction === expected, clock: new ManualClock() })
  const target = { host: '127.0.0.1', port: await front((taken) => server.answerTcp(taken)) }
  const ask = async (transaction?: Buffer) => {
    const { socket } = await bindingTcp({ server: target, ...(transaction && { transaction }) })
    socket.destroy()
  }
  for (let asked = 0; asked < BINDING_RATE.burst; asked++) await ask()
  await expect(ask()).rejects.toMatchObject({ code: 'peer_unreachable' })
  await ask(Buffer.alloc(12, 7))
  await server.stop()
  await expect(ask(Buffer.alloc(12, 7))).rejects.toMatchObject({ code: 'peer_unreachable' })
  await server.start()
  await ask(Buffer.alloc(12, 7))
})

test('a connection whose first bytes were looked at and put back is answered', async () => {
  const { server } = await serve()
  const port = await front((socket) => {
    socket.once('readable', () => {
      const bytes = socket.read() as Buffer
      socket.unshift(bytes)
      server.answerTcp(socket)
    })
  })
  const { socket } = await bindingTcp({ server: { host: '127.0.0.1', port } })
  socket.destroy()
})

test.each([
  ['noise', Buffer.from('GET / HTTP/1.1\r\nhost: x\r\n\r\n')],
  ['a message that is too long', Buffer.from(`0001ffff2112a442${'00'.repeat(12)}`, 'hex')],
  ['an answer', encodeStun({ kind: 'success', transaction: TRANSACTION, mapped: { host: '1.1.1.1', port: 1 } })],
])('a TCP connection that says %s is closed', async (_name, bytes) => {
  const { server } = await serve()
  const socket = await dial(await front((taken) => server.answerTcp(taken)))
  socket.resume()
  socket.write(bytes)
  await once(socket, 'close')
})

test('a TCP connection that sends a byte now and then is closed when its time is over', async () => {
  const clock = new ManualClock()
  const { server } = await serve({ clock })
  const arrived = Promise.withResolvers<Socket>()
  const socket = await dial(
    await front((taken) => {
      server.answerTcp(taken)
      arrived.resolve(taken)
    }),
  )
  const taken = await arrived.promise
  socket.resume()
  const request = encodeStun({ kind: 'request', transaction: TRANSACTION })
  socket.write(request.subarray(0, 1))
  await once(taken, 'data')
  clock.advance(TCP_FIRST_REQUEST_MS - 1)
  socket.write(request.subarray(1, 2))
  await once(taken, 'data')
  expect(taken.destroyed).toBe(false)
  clock.advance(1)
  expect(taken.destroyed).toBe(true)
})

test('a TCP connection gets only so many answers, and a source only so many connections', async () => {
  const { server, counters } = await serve()
  const port = await front((taken) => server.answerTcp(taken))
  const sockets = [] as Socket[]
  for (let opened = 0; opened < MAX_TCP_CONNECTIONS_PER_SOURCE; opened++) sockets.push(await dial(port))
  const refused = await dial(port)
  refused.resume()
  await once(refused, 'close')
  expect(counters.get('stun_refused', { transport: 'tcp' })).toBe(1)
  const [first] = sockets as [Socket]
  const closed = once(first, 'close')
  first.resume()
  const request = encodeStun({ kind: 'request', transaction: TRANSACTION })
  first.write(Buffer.concat(Array.from({ length: MAX_TCP_REQUESTS + 1 }, () => request)))
  await closed
  expect(counters.get('stun_requests', { transport: 'tcp' })).toBe(MAX_TCP_REQUESTS)
})

test('who admits only what it waits for says nothing to others', async () => {
  const admitted = '07'.repeat(12)
  const port = await front((taken) => answerStunTcp(taken, { admits: (transaction) => transaction === admitted }))
  const good = await bindingTcp({ server: { host: '127.0.0.1', port }, transaction: Buffer.alloc(12, 7) })
  good.socket.destroy()
  await expect(bindingTcp({ server: { host: '127.0.0.1', port } })).rejects.toMatchObject({ code: 'peer_unreachable' })
})

test('a binding fails where nobody answers, and leaves nothing behind', async () => {
  const silent = await udpSocket()
  const socket = await udpSocket()
  const server = { host: '127.0.0.1', port: silent.address().port }
  await expect(bindingUdp(socket, server, { timeoutMs: 50 })).rejects.toMatchObject({ code: 'peer_unreachable' })
  for (const port of [0, 70_000]) {
    const nowhere = { host: '127.0.0.1', port }
    await expect(bindingUdp(socket, nowhere)).rejects.toMatchObject({ code: 'peer_unreachable' })
    await expect(bindingTcp({ server: nowhere })).rejects.toMatchObject({ code: 'peer_unreachable' })
  }
  const reason = new Error('not wanted any more')
  await expect(bindingUdp(socket, server, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
  expect(socket.listenerCount('message')).toBe(0)
  const mute = await front((taken) => void taken.resume())
  await expect(bindingTcp({ server: { host: '127.0.0.1', port: mute }, timeoutMs: 50 })).rejects.toMatchObject({
    code: 'peer_unreachable',
  })
  await expect(bindingTcp({ server })).rejects.toMatchObject({ code: 'peer_unreachable' })
})

test('a lost request is sent again, and an answer of another transaction is not taken', async () => {
  const server = await udpSocket()
  let requests = 0
  server.on('message', (bytes, from) => {
    const request = decodeStun(bytes)
    if (request === undefined || ++requests < 2) return
    const mapped = { host: '9.9.9.9', port: 9 }
    const forged = encodeStun({ kind: 'success', transaction: Buffer.alloc(12), mapped: { host: '6.6.6.6', port: 6 } })
    server.send(forged, from.port, from.address)
    server.send(encodeStun({ kind: 'success', transaction: request.transaction, mapped }), from.port, from.address)
  })
  const target = { host: '127.0.0.1', port: server.address().port }
  expect(await bindingUdp(await udpSocket(), target)).toMatchObject({ host: '9.9.9.9', port: 9 })
  expect(requests).toBe(2)
})

test('a socket that is closed while it asks fails the binding and nothing else', async () => {
  const silent = await udpSocket()
  const socket = createSocket('udp4')
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
  const asked = bindingUdp(socket, { host: '127.0.0.1', port: silent.address().port })
  const sent = once(silent, 'message')
  await sent
  socket.close()
  await expect(asked).rejects.toMatchObject({ code: 'peer_unreachable' })
})
