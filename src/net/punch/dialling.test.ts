import { once } from 'node:events'
import { createServer, type Server, type Socket } from 'node:net'
import { expect, test } from 'vitest'
import { systemClock } from '../../base/clock.ts'
import { randomPorts } from './birthday.ts'
import { dialAll, openSimultaneously, openSocket } from './dialling.ts'

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const port = portOf(server)
  server.close()
  await once(server, 'close')
  return port
}

const portOf = (server: Server): number => (server.address() as { port: number }).port
const base = { rttMs: 1, clock: systemClock }
const host = '127.0.0.1'

// That two sides meet with no listener is seen in test/netns/punch.test.ts: loopback hands a packet over before the other
// side can have sent its own.
test('what is refused is tried again from the same port until somebody is there', async () => {
  const [localPort, port] = [await freePort(), await freePort()]
  const ended = new AbortController()
  const found = Promise.withResolvers<Socket>()
  const init = { ...base, signal: ended.signal, localPort, onConnected: found.resolve }
  const trying = openSimultaneously([{ host, port }], init)
  const server = createServer().listen(port, host)
  const [accepted] = (await once(server, 'connection')) as [Socket]
  const socket = await found.promise
  await trying
  expect(accepted.remotePort).toBe(localPort)
  for (const each of [accepted, socket]) each.destroy()
  server.close()
})

test('an address that refuses is dialled again, and the one that answers is given', async () => {
  const port = await freePort()
  const server = createServer()
  const found = Promise.withResolvers<Socket>()
  const ended = new AbortController()
  const dialling = dialAll([{ host, port }], { ...base, signal: ended.signal, onConnected: found.resolve })
  expect(await openSocket({ host, port }, { timeoutMs: 1000, signal: ended.signal })).toEqual({
    failed: 'ECONNREFUSED',
  })
  server.listen(port, host)
  const socket = await found.promise
  await dialling
  socket.destroy()
  server.close()
})

test('a signal ends the trying at once and leaves no socket', async () => {
  const ended = new AbortController()
  const [localPort, port] = [await freePort(), await freePort()]
  const onConnected = (): void => expect.unreachable('nobody is there')
  const trying = openSimultaneously([{ host, port }], { ...base, signal: ended.signal, localPort, onConnected })
  await new Promise((resolve) => setImmediate(resolve))
  ended.abort()
  await trying
  expect(await openSocket({ host, port }, { timeoutMs: 1000, signal: ended.signal })).toEqual({ failed: 'ended' })
  // The port is free again: somebody can listen on it.
  const server = createServer().listen(localPort, host)
  await once(server, 'listening')
  server.close()
})

test('ports to probe are all different and none is below 1024', () => {
  const ports = randomPorts(2048)
  expect(new Set(ports).size).toBe(2048)
  for (const port of ports) expect(port >= 1024 && port < 65_536).toBe(true)
})
