import { crc32 } from 'node:zlib'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { plainHost } from '../../base/ip-scope.ts'
import { decodeStun, encodeStun, MAX_STUN_BYTES, type StunMessage, stunLength } from './message.ts'

const TRANSACTION = Buffer.from('b7e7a701bc34d686fa87dfae', 'hex')

const host = fc.oneof(
  fc.ipV4(),
  fc
    .ipV6()
    .map((text) => new URL(`http://[${text}]`).hostname.slice(1, -1))
    .filter((text) => plainHost(text) === text),
)
const endpoint = fc.record({ host, port: fc.nat(65535) })
const maybe = <T>(one: fc.Arbitrary<T>) => fc.option(one, { nil: undefined })
const message: fc.Arbitrary<StunMessage> = fc.record({
  kind: fc.constantFrom('request', 'indication', 'success', 'error'),
  transaction: fc.uint8Array({ minLength: 12, maxLength: 12 }),
  mapped: maybe(endpoint),
  origin: maybe(endpoint),
  other: maybe(endpoint),
  change: maybe(fc.record({ host: fc.boolean(), port: fc.boolean() })),
  error: maybe(fc.record({ code: fc.integer({ min: 300, max: 699 }), reason: fc.string({ maxLength: 60 }) })),
  unknownAttributes: maybe(fc.array(fc.nat(0xffff), { maxLength: 8 })),
})

/** A message with these attributes, written by hand. */
function raw(attributes: { type: number; value: Uint8Array }[], { type = 0x0001, cookie = 0x2112a442 } = {}): Buffer {
  const body = Buffer.concat(
    attributes.map(({ type, value }) => {
      const head = Buffer.alloc(4)
      head.writeUInt16BE(type)
      head.writeUInt16BE(value.length, 2)
      return Buffer.concat([head, value, Buffer.alloc(-value.length & 3)])
    }),
  )
  const head = Buffer.alloc(8)
  head.writeUInt16BE(type)
  head.writeUInt16BE(body.length, 2)
  head.writeUInt32BE(cookie, 4)
  return Buffer.concat([head, TRANSACTION, body])
}

/** The fingerprint of a message that is to have one behind these bytes. */
function withFingerprint(bytes: Buffer): Buffer {
  const longer = Buffer.from(bytes)
  longer.writeUInt16BE(bytes.length - 20 + 8, 2)
  const tail = Buffer.from('8028000400000000', 'hex')
  tail.writeUInt32BE((crc32(longer) ^ 0x5354554e) >>> 0, 4)
  return Buffer.concat([longer, tail])
}

test('what is written is read again, whatever is in it', () => {
  fc.assert(
    fc.property(message, (given) => {
      const bytes = encodeStun(given)
      expect(stunLength(bytes)).toBe(bytes.length)
      const read = decodeStun(bytes)
      for (const [name, value] of Object.entries(given)) expect(read?.[name as keyof StunMessage]).toEqual(value)
      expect(read?.notUnderstood).toEqual([])
    }),
  )
})

test('the sample answers of RFC 5769 are read', () => {
  const ipv4 = Buffer.from(
    '0101003c2112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220002000080001a147e112a643' +
      '000800142b91f599fd9e90c38c7489f92af9ba53f06be7d780280004c07d4c96',
    'hex',
  )
  expect(decodeStun(ipv4)).toMatchObject({ kind: 'success', mapped: { host: '192.0.2.1', port: 32853 } })
  const ipv6 = Buffer.from(
    '010100482112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220002000140002a147' +
      '0113a9faa5d3f179bc25f4b5bed2b9d900080014a382954e4be67bf11784c97c8292c275bfe3ed4180280004c8fb0b4c',
    'hex',
  )
  const mapped = { host: '2001:db8:1234:5678:11:2233:4455:6677', port: 32853 }
  expect(decodeStun(ipv6)).toMatchObject({ kind: 'success', mapped })
})

test('an address that a server gives in the clear counts where it gives no other', () => {
  const clear = { type: 0x0001, value: Buffer.from([0, 1, 0x10, 0, 9, 9, 9, 9]) }
  expect(decodeStun(raw([clear], { type: 0x0101 }))?.mapped).toEqual({ host: '9.9.9.9', port: 4096 })
})

test('an attribute that must be understood and is not is named once; one that need not be is passed over', () => {
  const some = (type: number) => ({ type, value: Buffer.from('abc') })
  const read = decodeStun(raw([some(0x0026), some(0x7fff), some(0x0026), some(0x8022), some(0xc001)]))
  expect(read?.notUnderstood).toEqual([0x0026, 0x7fff])
})

test('a fingerprint is checked where there is one, and is the last', () => {
  const good = withFingerprint(raw([{ type: 0x8022, value: Buffer.from('abcd') }]))
  expect(decodeStun(good)?.kind).toBe('request')
  const wrong = Buffer.from(good)
  wrong[wrong.length - 1] = (wrong[wrong.length - 1] as number) ^ 1
  expect(decodeStun(wrong)).toBeUndefined()
  const changed = Buffer.from(good)
  changed[9] = (changed[9] as number) ^ 1
  expect(decodeStun(changed)).toBeUndefined()
  const followed = Buffer.concat([good, Buffer.from('8022000461626364', 'hex')])
  followed.writeUInt16BE(followed.length - 20, 2)
  expect(decodeStun(followed)).toBeUndefined()
})

test('what is no Binding message is nothing: another cookie, method, class bits, or length', () => {
  expect(decodeStun(raw([], { cookie: 0x2112a443 }))).toBeUndefined()
  expect(decodeStun(raw([], { type: 0x0003 }))).toBeUndefined()
  expect(decodeStun(raw([], { type: 0x4001 }))).toBeUndefined()
  expect(decodeStun(Buffer.concat([raw([]), Buffer.alloc(4)]))).toBeUndefined()
  expect(decodeStun(raw([]).subarray(0, 19))).toBeUndefined()
  const pastTheEnd = raw([{ type: 0x8022, value: Buffer.alloc(4) }])
  pastTheEnd.writeUInt16BE(5, 22)
  expect(decodeStun(pastTheEnd)).toBeUndefined()
  const long = raw([{ type: 0x8022, value: Buffer.alloc(MAX_STUN_BYTES) }])
  expect(stunLength(long)).toBeUndefined()
  expect(decodeStun(long)).toBeUndefined()
  expect(decodeStun(raw(Array.from({ length: 33 }, () => ({ type: 0x8022, value: Buffer.alloc(0) }))))).toBeUndefined()
})

test('an attribute with a wrong length is as if it was not there', () => {
  const read = decodeStun(
    raw([
      { type: 0x0020, value: Buffer.from([0, 1, 0, 0, 1]) },
      { type: 0x0020, value: Buffer.alloc(0) },
      { type: 0x0020, value: Buffer.from([0, 3, 0, 0, 1, 1, 1, 1]) },
      { type: 0x0003, value: Buffer.alloc(3) },
      { type: 0x0009, value: Buffer.alloc(2) },
    ]),
  )
  expect(read).toMatchObject({ kind: 'request' })
  expect([read?.mapped, read?.change, read?.error]).toEqual([undefined, undefined, undefined])
})

test('no bytes make it throw, and no flipped bit yields what is too long', () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 700 }), (bytes) => decodeStun(bytes) === undefined))
  fc.assert(
    fc.property(message, fc.nat(), fc.nat(7), (given, at, bit) => {
      const bytes = encodeStun(given)
      const index = at % bytes.length
      bytes[index] = (bytes[index] as number) ^ (1 << bit)
      const read = decodeStun(bytes)
      expect((read?.error?.reason.length ?? 0) <= 200).toBe(true)
    }),
  )
})
