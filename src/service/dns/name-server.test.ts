import { createSocket } from 'node:dgram'
import { Resolver } from 'node:dns/promises'
import { once } from 'node:events'
import { connect } from 'node:net'
import { text } from 'node:stream/consumers'
import codec, { type DecodedPacket } from 'dns-packet'
import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { systemClock } from '../../base/clock.ts'
import { silentLogger } from '../../base/log.ts'
import { as, startPair, startServer, type TestPair, type TestServer } from '../fixtures/pair.ts'
import { LoopbackAddresses } from './loopback-addresses.ts'
import { answerQuery } from './messages.ts'
import { type NameServer, startNameServer } from './name-server.ts'

let pair: TestPair
let server: TestServer
let names: NameServer
const resolver = new Resolver({ timeout: 5000, tries: 1 })

beforeAll(async () => {
  pair = await startPair({ names: { intranet: 'office/web' } })
  server = await startServer((socket) => socket.end('by name'))
  await pair.office.services.expose({ name: 'web', target: String(server.port), kind: 'tcp', to: ['member'] })
  await pair.office.services.expose({ name: 'secret', target: '1', kind: 'tcp', to: ['admin'] })
  const { laptop } = pair
  const directory = (await startDirectory()) as Parameters<typeof startNameServer>[0]['directory']
  names = await startNameServer({
    at: '127.0.0.1:0',
    names: { intranet: 'office/web' },
    finder: laptop.services.finder,
    directory,
    open: (target, signal) => laptop.services.open(target, signal),
    clock: systemClock,
    log: silentLogger,
  })
  resolver.setServers([`127.0.0.1:${names.at.port}`])
})
afterAll(async () => {
  await names.stop()
  await server.close()
  await pair.end()
})

/** What the zone asks of a directory: the nodes by name. */
async function startDirectory(): Promise<unknown> {
  const nodes = [pair.office, pair.laptop].map(({ name, network }) => ({ id: network.id, name }))
  return { nodes: () => [...nodes, { id: 'nobody', name: 'away' }] }
}

const codeOf = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => 'no error',
    ({ code }) => code,
  )

test('a service has a loopback address of its own, and answers there at its own port', async () => {
  const [address] = await resolver.resolve4('WEB.office.warren')
  expect(address).toMatch(/^127\.(6[4-9]|[7-9]\d|1[01]\d|12[0-7])\./)
  expect(await text(connect(server.port, address))).toBe('by name')
  expect(await resolver.resolve4('web.office.warren')).toEqual([address])
})

test('a node has one too, where all that it lets this node have answers; so has a name of the config', async () => {
  for (const name of ['office.warren', 'intranet.warren']) {
    const [address] = await resolver.resolve4(name)
    expect(await text(connect(server.port, address))).toBe('by name')
  }
})

test('what is not there, or not for this node, has no name; other zones are refused', async () => {
  for (const name of ['nosuch.warren', 'nosuch.office.warren', 'secret.office.warren', 'a.web.office.warren']) {
    expect(await codeOf(resolver.resolve4(name)), name).toBe('ENOTFOUND')
  }
  expect(await codeOf(resolver.resolve4('example.org'))).toBe('EREFUSED')
  expect(await codeOf(resolver.resolve6('office.warren'))).toBe('ENODATA')
  // A node that cannot be asked keeps its name; what it exposes is not known.
  expect(await resolver.resolve4('away.warren')).toHaveLength(1)
  expect(await codeOf(resolver.resolve4('web.away.warren'))).toBe('ESERVFAIL')
})

test('a name that was taken back is gone with the next question after half a minute, and connections at once', async () => {
  const [address] = await resolver.resolve4('web.office.warren')
  pair.setRights(pair.laptop, undefined)
  expect(await text(connect(server.port, address)).catch(({ code }) => code)).toBe('ECONNRESET')
  pair.setRights(pair.laptop, as('operator'))
})

test('the same is answered over TCP, question after question', async () => {
  const socket = connect(names.at.port, '127.0.0.1')
  const query = codec.streamEncode({ type: 'query', id: 7, questions: [{ type: 'A', name: 'office.warren' }] })
  socket.write(Buffer.concat([query, query]))
  let bytes = Buffer.alloc(0)
  while (bytes.length < 2 || bytes.length < 2 * (2 + bytes.readUInt16BE())) {
    bytes = Buffer.concat([bytes, (await once(socket, 'data'))[0] as Buffer])
  }
  const answer = codec.streamDecode(bytes) as DecodedPacket
  expect(answer).toMatchObject({ id: 7, rcode: 'NOERROR', flag_aa: true, answers: [{ type: 'A' }] })
  socket.destroy()
})

test('whatever is asked, the resolver answers by the rules or not at all', async () => {
  const find = async () => ({ address: '127.64.0.1' })
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 80 }), async (bytes) => {
      const answer = await answerQuery(codec as never, Buffer.from(bytes), find)
      if (answer !== undefined) expect(codec.decode(answer)).toMatchObject({ type: 'response' })
    }),
    { numRuns: 2000 },
  )
  const query = (more: object) => codec.encode({ type: 'query', id: 1, ...more })
  const codeFor = async (bytes: Buffer) => {
    const answer = await answerQuery(codec as never, bytes, find)
    return answer && (codec.decode(answer) as { rcode?: string }).rcode
  }
  const question = { type: 'A' as const, name: 'office.warren' }
  expect(await codeFor(query({ questions: [] }))).toBe('FORMERR')
  expect(await codeFor(query({ questions: [question, question] }))).toBe('FORMERR')
  expect(await codeFor(query({ flags: 2 << 11, questions: [question] }))).toBe('NOTIMP')
  expect(await codeFor(query({ questions: [{ ...question, class: 'CH' }] }))).toBe('REFUSED')
  expect(await codeFor(codec.encode({ type: 'response', id: 1 }))).toBeUndefined()
  // A name that points at itself.
  const loop = Buffer.concat([query({ questions: [question] }).subarray(0, 12), Buffer.from([0xc0, 12, 0, 1, 0, 1])])
  expect(await codeFor(loop)).toBe('FORMERR')
})

test('garbage over UDP leaves the resolver answering', async () => {
  const socket = createSocket('udp4')
  for (const bytes of [Buffer.alloc(0), Buffer.alloc(11), Buffer.alloc(5000), Buffer.alloc(12, 0xff)]) {
    socket.send(bytes, names.at.port, '127.0.0.1')
  }
  expect(await resolver.resolve4('office.warren')).toHaveLength(1)
  socket.close()
})

test('addresses stay what they were, and no two keys share one', () => {
  const addresses = new LoopbackAddresses()
  const all = Array.from({ length: 20_000 }, (_, index) => addresses.of(`node ${index}`))
  expect(new Set(all).size).toBe(all.length)
  expect(addresses.of('node 7')).toBe(all[7])
  expect(new LoopbackAddresses().of('node 0')).toBe(all[0])
})
