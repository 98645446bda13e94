import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { afterEach, expect, test } from 'vitest'
import { ManualClock } from '../base/clock.ts'
import { silentLogger } from '../base/log.ts'
import { createPortMapping, type PortMappings, type PortToMap } from './port-mapping.ts'

/** An address of loopback whose port of NAT-PMP no other test takes. */
const ROUTER = '127.53.0.9'
const MINUTE = 60_000

const ends: (() => unknown)[] = []
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end()
})

/** A router that speaks NAT-PMP: with what it is now, and what it was asked, a word each. */
async function router() {
  const state = { address: [5, 5, 5, 9], shift: 0, result: 0 }
  const asked: string[] = []
  const socket: Socket = createSocket('udp4')
  ends.push(() => socket.close())
  socket.on('message', (request, from) => {
    const answer = Buffer.alloc(request.length < 12 ? 12 : 16)
    answer.writeUInt8((request[1] as number) + 128, 1)
    answer.writeUInt16BE(state.result, 2)
    if (request.length < 12) answer.set(state.address, 8)
    else {
      const port = request.readUInt16BE(4)
      const wanted = request.readUInt16BE(6)
      const gone = request.readUInt32BE(8) === 0
      asked.push(`${gone ? 'remove' : 'map'} ${request[1] === 1 ? 'udp' : 'tcp'} ${port}${gone ? '' : ` at ${wanted}`}`)
      answer.writeUInt16BE(port, 8)
      answer.writeUInt16BE(wanted + state.shift, 10)
    }
    socket.send(answer, from.port, from.address)
  })
  socket.bind(5351, ROUTER)
  await once(socket, 'listening')
  return { state, asked }
}

function mapper(ports: () => readonly PortToMap[]) {
  const clock = new ManualClock()
  const reasons: string[] = []
  const log = { ...silentLogger, info: (fields: object) => 'reason' in fields && reasons.push(String(fields.reason)) }
  const findRouter = async () => ({ router: ROUTER, localHost: '127.0.0.1' })
  const mapping = createPortMapping({ ports, findRouter, clock, log })
  ends.push(() => mapping.stop())
  return { mapping, clock, reasons }
}

const nextChange = (mapping: PortMappings): Promise<string[]> =>
  new Promise((resolve) => {
    const off = mapping.events.on('changed', ({ mapped }) => {
      off()
      resolve(mapped)
    })
  })

/** Moves time and waits for the change that this brings. */
async function changeAfter(
  { mapping, clock }: { mapping: PortMappings; clock: ManualClock },
  ms: number,
): Promise<string[]> {
  // The renewal is planned once the round before it is over.
  await new Promise((resolve) => setImmediate(resolve))
  const change = nextChange(mapping)
  clock.advance(ms)
  return await change
}

test('ports are mapped, renewed at the outer port that was given, followed as they change, and given back', async () => {
  const { state, asked } = await router()
  let ports: PortToMap[] = [{ protocol: 'tcp', port: 9010 }]
  state.shift = 5
  const node = mapper(() => ports)
  node.mapping.start()
  expect(await changeAfter(node, 0)).toEqual(['/ip4/5.5.5.9/tcp/9015'])
  state.shift = 0
  state.address = [5, 5, 5, 10]
  expect(await changeAfter(node, 10 * MINUTE)).toEqual(['/ip4/5.5.5.10/tcp/9015'])
  ports = [{ protocol: 'udp', port: 9010 }]
  node.mapping.changed()
  expect(await changeAfter(node, 1_000)).toEqual([])
  expect(node.mapping.mappings()).toMatchObject([{ protocol: 'udp', externalPort: 9010, by: 'NAT-PMP' }])
  await node.mapping.stop()
  expect(asked).toEqual([
    'map tcp 9010 at 9010',
    'map tcp 9010 at 9015',
    'map udp 9010 at 9010',
    'remove tcp 9010',
    'remove udp 9010',
  ])
  expect(node.mapping.mappings()).toEqual([])
})

test('an outer address that is not public is of no use: nothing is mapped, that is said, and it is tried again', async () => {
  const { state, asked } = await router()
  state.address = [100, 64, 0, 7]
  const node = mapper(() => [{ protocol: 'tcp', port: 9010 }])
  node.mapping.start()
  node.clock.advance(0)
  while (node.mapping.reason() === null) await new Promise((resolve) => setImmediate(resolve))
  expect(node.reasons).toEqual([expect.stringContaining('behind another NAT itself: its outer address is 100.64.0.7')])
  expect(asked).toEqual([])
  state.address = [5, 5, 5, 9]
  expect(await changeAfter(node, 2 * MINUTE)).toEqual(['/ip4/5.5.5.9/tcp/9010'])
  expect(node.mapping.reason()).toBeNull()
})

test('a machine without a default route is told so', async () => {
  const reasons: string[] = []
  const told = Promise.withResolvers<void>()
  const info = (fields: object): void => {
    reasons.push(String((fields as { reason?: string }).reason))
    told.resolve()
  }
  const log = { ...silentLogger, info }
  const mapping = createPortMapping({ ports: () => [], findRouter: async () => undefined, log })
  mapping.start()
  await told.promise
  await mapping.stop()
  expect(reasons).toEqual(['this machine has no default route over IPv4'])
})
