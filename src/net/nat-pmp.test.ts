import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { afterEach, expect, test } from 'vitest'
import { natPmpOf } from './nat-pmp.ts'

const ends: (() => unknown)[] = []
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end()
})

/** A router on loopback that answers each request with these datagrams, in turn one list a request. */
async function router(...answers: string[][]): Promise<{ port: number; requests: string[]; socket: Socket }> {
  const socket = createSocket('udp4')
  ends.push(() => socket.close())
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
  const requests: string[] = []
  socket.on('message', (bytes, from) => {
    const list = answers[requests.length] ?? []
    requests.push(bytes.toString('hex'))
    for (const answer of list) socket.send(Buffer.from(answer, 'hex'), from.port, from.address)
  })
  return { port: socket.address().port, requests, socket }
}

const MAP = { protocol: 'tcp', internalPort: 9010, externalPort: 9010, lifetimeSeconds: 3600 } as const

test('requests and answers have the bytes of RFC 6886', async () => {
  const { port, requests } = await router(
    ['008000000000000105050509'],
    ['008200000000000123321f9000000e10'],
    ['008200000000000123320000000000'.padEnd(32, '0')],
  )
  const pmp = natPmpOf('127.0.0.1', { port })
  expect(await pmp.externalAddress()).toBe('5.5.5.9')
  expect(await pmp.map(MAP)).toBe(8080)
  await pmp.map({ ...MAP, lifetimeSeconds: 0 })
  expect(requests).toEqual(['0000', '000200002332233200000e10', '000200002332000000000000'])
})

test('a lost answer is asked for again, and what is no answer is passed over', async () => {
  const { port, requests } = await router(
    [],
    [
      '',
      '00',
      '0082',
      '018200000000000123321f9000000e10',
      '00810000',
      '008200000000000100091f9000000e10',
      '0082000000000001',
    ],
    ['008200000000000123321f9000000e10'],
  )
  expect(await natPmpOf('127.0.0.1', { port }).map(MAP)).toBe(8080)
  expect(requests.length).toBe(3)
})

test('a router that refuses says why, and one that is not there is given up', async () => {
  const { port } = await router(['008200020000000100000000'])
  await expect(natPmpOf('127.0.0.1', { port }).map(MAP)).rejects.toMatchObject({
    code: 'peer_unreachable',
    message: expect.stringContaining('it does not allow mappings'),
  })
  // The system refuses to connect to everybody.
  await expect(natPmpOf('255.255.255.255').externalAddress()).rejects.toMatchObject({ code: 'peer_unreachable' })
  const { port: silent } = await router()
  const ends = new AbortController()
  const asked = natPmpOf('127.0.0.1', { port: silent }).externalAddress(ends.signal)
  ends.abort(new Error('enough'))
  await expect(asked).rejects.toThrow('enough')
})

test('the answer of another host is not heard', async () => {
  const { port, socket } = await router()
  const stranger = createSocket('udp4')
  ends.push(() => stranger.close())
  stranger.bind(0, '127.0.0.2')
  await once(stranger, 'listening')
  const asked = natPmpOf('127.0.0.1', { port }).externalAddress()
  const [, from] = (await once(socket, 'message')) as [Buffer, { port: number }]
  stranger.send(Buffer.from('008000000000000106060606', 'hex'), from.port, '127.0.0.1')
  await once(socket, 'message')
  socket.send(Buffer.from('008000000000000105050509', 'hex'), from.port, '127.0.0.1')
  expect(await asked).toBe('5.5.5.9')
})
