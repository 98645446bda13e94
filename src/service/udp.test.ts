import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startPair, type TestPair } from './fixtures/pair.ts'

const SIGNAL = new AbortController().signal

let pair: TestPair
let echo: Socket
let port: number

beforeAll(async () => {
  pair = await startPair()
  echo = await bound()
  echo.on('message', (datagram, from) => echo.send(datagram, from.port, from.address))
  await pair.office.services.expose({ name: 'echo', target: String(echo.address().port), kind: 'udp', to: [] })
  const proxy = await pair.laptop.services.proxies.open({ node: 'office', service: 'echo', port: 0 }, SIGNAL)
  port = proxy.entrance?.port as number
})
afterAll(async () => {
  echo.close()
  await pair.end()
})

async function bound(): Promise<Socket> {
  const socket = createSocket('udp4').bind(0, '127.0.0.1')
  await once(socket, 'listening')
  return socket
}

async function ask(client: Socket, datagram: Buffer): Promise<Buffer> {
  client.send(datagram, port, '127.0.0.1')
  return (await once(client, 'message'))[0] as Buffer
}

test('datagrams go there and back whole, from the empty one to the largest', async () => {
  const client = await bound()
  for (const size of [0, 1, 1200, 65_507]) {
    const datagram = Buffer.alloc(size, 'd')
    expect((await ask(client, datagram)).equals(datagram)).toBe(true)
  }
  client.close()
})

test('each client has a flow of its own, and gets its own answers', async () => {
  const clients = [await bound(), await bound(), await bound()]
  const answers = await Promise.all(clients.map((client, index) => ask(client, Buffer.from(`client ${index}`))))
  expect(answers.map(String)).toEqual(['client 0', 'client 1', 'client 2'])
  expect(pair.laptop.services.proxies.list()[0]).toMatchObject({ kind: 'udp', connections: 4 })
  for (const client of clients) client.close()
})

test('a service of UDP is not to be had as TCP, nor over a pipe', async () => {
  const pipe = pair.laptop.services.proxies.pipe({ node: 'office', service: 'echo' }, SIGNAL)
  await expect(pipe).rejects.toMatchObject({ code: 'service_not_found' })
})

test('the end of a service ends its flows', async () => {
  expect(await pair.office.services.unexpose('echo')).toEqual({ name: 'echo', cut: 4 })
  await expect.poll(() => pair.laptop.services.proxies.list()[0]?.connections).toBe(0)
})
