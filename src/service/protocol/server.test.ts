import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { readMessage, type Stream, sendMessage } from '../../net/index.ts'
import { as, startPair, startServer, type TestPair, type TestServer } from '../fixtures/pair.ts'
import { MAX_CONNECTIONS_PER_PEER } from '../limits.ts'
import { LIST_PROTOCOL, SERVICE_PROTOCOL } from './constants.ts'
import { decodeHead, decodeList, requireYes } from './messages.ts'

let pair: TestPair
let server: TestServer
beforeAll(async () => {
  pair = await startPair()
  server = await startServer((socket) => socket.write('hello'))
  await pair.office.services.expose({ name: 'web', target: String(server.port), kind: 'tcp', to: [] })
})
afterAll(async () => {
  await pair.end()
  await server.close()
})

const open = (protocol = SERVICE_PROTOCOL): Promise<Stream> =>
  pair.laptop.network.open(pair.office.network.id, protocol)

/** The code with which a head is refused. */
async function refusal(head: object | Uint8Array): Promise<string> {
  const stream = await open()
  await sendMessage(stream, head)
  const answer = JSON.parse(String(await readMessage(stream)))
  stream.destroy()
  return answer.code ?? 'ok'
}

test('heads that are none are refused, and the server goes on', async () => {
  const heads = [
    Buffer.alloc(0),
    Buffer.from('{'),
    {},
    { service: '../x', kind: 'tcp' },
    { service: 'web', kind: 'sctp' },
  ]
  for (const head of heads) expect(await refusal(head)).toBe('service_unreachable')
  expect(await refusal({ service: 'web', kind: 'udp' })).toBe('service_not_found')
  expect(await refusal({ service: 'nosuch', kind: 'tcp' })).toBe('service_not_found')
  expect(await refusal({ service: 'web', kind: 'tcp' })).toBe('ok')
})

test('a head that is too long is not read', async () => {
  const stream = await open()
  stream.write(Buffer.from([0, 0, 0x10, 1]))
  const answer = JSON.parse(String(await readMessage(stream)))
  expect(answer).toMatchObject({ ok: false, message: expect.stringContaining('4097') })
  stream.destroy()
})

test('who has no rights learns neither names nor what is missing', async () => {
  pair.setRights(pair.laptop, undefined)
  for (const service of ['web', 'nosuch']) expect(await refusal({ service, kind: 'tcp' })).toBe('service_refused')
  expect(decodeList((await readMessage(await open(LIST_PROTOCOL))) as Buffer)).toEqual([])
  pair.setRights(pair.laptop, as('operator'))
})

test('a peer has so many connections and no more, and is told why', async () => {
  const streams: Stream[] = []
  for (let count = 0; count < MAX_CONNECTIONS_PER_PEER; count++) {
    const stream = await open()
    await sendMessage(stream, { service: 'web', kind: 'tcp' })
    requireYes((await readMessage(stream)) as Buffer)
    streams.push(stream)
  }
  expect(await refusal({ service: 'web', kind: 'tcp' })).toBe('service_busy')
  for (const stream of streams) stream.destroy()
  await expect.poll(() => refusal({ service: 'web', kind: 'tcp' })).toBe('ok')
})

test('a stream that ends before its head, and a target that is gone, leave nothing open', async () => {
  const early = await open()
  early.end()
  early.resume()
  await once(early, 'close')
  const stream = await open()
  await sendMessage(stream, { service: 'web', kind: 'tcp' })
  requireYes((await readMessage(stream)) as Buffer)
  stream.end()
  // The server of the test never ends its half: cut by the service's end.
  await pair.office.services.unexpose('web')
  await expect(text(stream)).rejects.toMatchObject({ code: 'stream_reset' })
})

test('messages are read by their schema or refused', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.json(),
        fc.string(),
        fc.jsonValue().map((value) => JSON.stringify(value)),
      ),
      (message) => {
        for (const decode of [decodeHead, decodeList, requireYes]) {
          try {
            decode(Buffer.from(message))
          } catch (error) {
            expect((error as { code: string }).code).toMatch(/^service_/)
          }
        }
      },
    ),
  )
  const list = { services: [{ name: 'web', kind: 'tcp', port: 80, target: null, to: ['member'], allowed: true }] }
  expect(decodeList(Buffer.from(JSON.stringify(list)))).toEqual(list.services)
})
