import { PassThrough } from 'node:stream'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { sendMessage } from '../frames.ts'
import { decodeMessage, type Message, Talk } from './messages.ts'

const address = fc.record({ host: fc.oneof(fc.ipV4(), fc.ipV6()), port: fc.integer({ min: 1, max: 65_535 }) })
const mapping = fc.constantFrom('same', 'depends', 'blocked', 'unknown')
const candidates = fc.record({
  tcp: fc.record({
    mapping,
    own: fc.array(address, { maxLength: 6 }),
    listening: fc.array(address, { maxLength: 7 }),
    dialling: fc.array(address, { maxLength: 3 }),
  }),
  udp: fc.record({ mapping, addresses: fc.array(address, { maxLength: 8 }), channel: fc.boolean() }),
  birthday: fc.boolean(),
})

test('what one side offers is what the other reads', () => {
  fc.assert(
    fc.property(candidates, (offered) => {
      const message = { type: 'offer', candidates: offered }
      expect(decodeMessage(Buffer.from(JSON.stringify(message)))).toEqual(message)
    }),
  )
})

test('bytes that are no message are refused, whatever they are', () => {
  const refused = (bytes: Uint8Array): void => {
    expect(() => decodeMessage(bytes)).toThrow(expect.objectContaining({ code: 'protocol_unsupported' }))
  }
  fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), refused))
  fc.assert(fc.property(fc.jsonValue(), (value) => refused(Buffer.from(JSON.stringify(value)))))
})

const offerOf = (count: number, host = '192.0.2.1', port = 9): object => ({
  type: 'offer',
  candidates: {
    tcp: { mapping: 'same', own: [], listening: Array.from({ length: count }, () => ({ host, port })), dialling: [] },
    udp: { mapping: 'same', addresses: [], channel: true },
    birthday: true,
  },
})
const decode = (message: object): Message => decodeMessage(Buffer.from(JSON.stringify(message)))

test('names, ports out of range and more than 16 addresses are refused', () => {
  expect(decode(offerOf(16)).type).toBe('offer')
  for (const wrong of [offerOf(17), offerOf(1, 'example.com'), offerOf(1, '192.0.2.1', 0), offerOf(1, '::1', 65_536)]) {
    expect(() => decode(wrong)).toThrow(expect.objectContaining({ code: 'protocol_unsupported' }))
  }
})

test('nothing in the description of a data channel can add a line to what the library parses', () => {
  const good = {
    type: 'describe',
    fragment: 'abcd',
    password: 'a'.repeat(22),
    fingerprint: Array(32).fill('AB').join(':'),
  }
  expect(decode(good)).toEqual(good)
  for (const wrong of ['ab\r\na=x', 'abcd\n', 'ab cd']) {
    expect(() => decode({ ...good, fragment: wrong })).toThrow()
    expect(() => decode({ ...good, password: `${'a'.repeat(22)}${wrong}` })).toThrow()
    expect(() => decode({ ...good, fingerprint: wrong })).toThrow()
  }
})

const soon = (): AbortSignal => AbortSignal.timeout(60_000)

test('a result is heard whatever else is waited for, and a message out of turn ends the talk', async () => {
  const stream = new PassThrough()
  const talk = new Talk(stream)
  const hearing = talk.hear(['go'], soon())
  await sendMessage(stream, { type: 'result', ok: true, how: 'reversed', ms: 3 })
  expect(await talk.result).toMatchObject({ ok: true, how: 'reversed' })
  await sendMessage(stream, { type: 'go', stage: 'tcp', rttMs: 1, birthday: false })
  expect(await hearing).toMatchObject({ stage: 'tcp' })
  await sendMessage(stream, { type: 'found' })
  await expect(talk.hear(['answer'], soon())).rejects.toMatchObject({ code: 'protocol_unsupported' })
})

test('a peer that talks without end, too long, or not at all is not listened to', async () => {
  const chatty = new PassThrough()
  const talk = new Talk(chatty)
  for (let n = 0; n < 17; n++) await sendMessage(chatty, { type: 'found' })
  await expect(talk.result).rejects.toMatchObject({ code: 'protocol_unsupported' })
  const long = new PassThrough()
  const longTalk = new Talk(long)
  void sendMessage(long, Buffer.alloc(9_000, 32))
  await expect(longTalk.hear(['begin'], soon())).rejects.toMatchObject({ code: 'message_too_large' })
  const silent = new Talk(new PassThrough())
  await expect(silent.hear(['begin'], AbortSignal.timeout(10))).rejects.toMatchObject({ name: 'TimeoutError' })
})
