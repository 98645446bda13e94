import { randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { toHex } from '../base/bytes.ts'
import { createJoinSecret, decodeJoinCode, encodeJoinCode, inviteSignerOf } from './join-code.ts'
import { peerIdOf } from './peer-id.ts'
import { decodeToken, encodeToken } from './token.ts'

const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length })
const port = fc.integer({ min: 0, max: 65_535 })
const segment = fc.stringMatching(/^[a-z0-9.:_-]{1,20}$/)
const address = fc.oneof(
  fc.tuple(fc.ipV4(), port).map(([ip, at]) => `/ip4/${ip}/tcp/${at}`),
  fc.tuple(fc.ipV6(), port).map(([ip, at]) => `/ip6/${ip}/tcp/${at}`),
  fc.array(segment, { minLength: 1, maxLength: 6 }).map((parts) => `/${parts.join('/')}`),
)
const admins = fc.array(fc.record({ id: bytes(32).map(peerIdOf), addresses: fc.array(address, { maxLength: 4 }) }), {
  maxLength: 3,
})
const relays = fc.array(
  fc.record({ id: bytes(32).map(peerIdOf), addresses: fc.array(address, { minLength: 1, maxLength: 2 }) }),
  { maxLength: 2 },
)
const code = fc.record({ networkId: bytes(32).map(toHex), secret: bytes(16), admins, relays })
const withIds = (list: readonly { id: string; addresses: readonly string[] }[]) =>
  list.map(({ id, addresses }) => ({ id, addresses: addresses.map((each) => `${each}/p2p/${id}`) }))

test('a join code gives back what was put into it, however it was typed', () => {
  fc.assert(
    fc.property(
      code,
      fc.infiniteStream(fc.constantFrom('', '', '', '-', ' ', '\n')),
      fc.boolean(),
      (made, gaps, small) => {
        const text = encodeJoinCode(made)
        const letters = small ? text.toLowerCase().replaceAll('0', 'o').replaceAll('1', 'l') : text
        const typed = [...letters].map((letter) => `${letter}${gaps.next().value}`).join('')
        expect(decodeJoinCode(typed)).toEqual({ ...made, admins: withIds(made.admins), relays: withIds(made.relays) })
      },
    ),
  )
})

test('a deploy token gives back what was put into it', () => {
  const token = fc.record({ networkId: bytes(32).map(toHex), seed: bytes(32), admins, relays })
  fc.assert(
    fc.property(token, (made) => {
      expect(decodeToken(encodeToken(made))).toEqual({
        ...made,
        admins: withIds(made.admins),
        relays: withIds(made.relays),
      })
    }),
  )
})

test('a slip of one letter, two letters that changed places, and a lost end are noticed', () => {
  fc.assert(
    fc.property(code, fc.nat(), fc.constantFrom(...'023456789ABCDEFGHJKMNPQRSTVWXYZ'), (made, at, letter) => {
      const text = encodeJoinCode(made)
      const place = 4 + (at % (text.length - 4))
      const slipped = text.slice(0, place) + letter + text.slice(place + 1)
      if (slipped !== text)
        expect(() => decodeJoinCode(slipped)).toThrow(expect.objectContaining({ code: 'join_code_invalid' }))
      const [first = '', second = ''] = text.slice(place, place + 2)
      const swapped = text.slice(0, place) + second + first + text.slice(place + 2)
      if (swapped !== text)
        expect(() => decodeJoinCode(swapped)).toThrow(expect.objectContaining({ code: 'join_code_invalid' }))
      expect(() => decodeJoinCode(text.slice(0, place))).toThrow(expect.objectContaining({ code: 'join_code_invalid' }))
    }),
  )
})

test('whatever the text, reading it fails with the one error, which does not quote it', () => {
  const hostile = fc.oneof(
    fc.string(),
    fc.string().map((text) => `WRN-${text}`),
    fc.stringMatching(/^WRN-[0-9A-Z]{1,200}$/),
    code.map(encodeJoinCode).map((text) => text.replace('WRN', 'WRT')),
  )
  fc.assert(
    fc.property(hostile, (text) => {
      for (const [decode, name] of [
        [decodeJoinCode, 'join_code_invalid'],
        [decodeToken, 'token_invalid'],
      ] as const) {
        try {
          decode(text)
          expect.unreachable()
        } catch (error) {
          expect(error).toMatchObject({ code: name })
          if (text.length > 12) expect(String((error as Error).message)).not.toContain(text.slice(0, 12))
        }
      }
    }),
  )
})

test('a body with a right checksum and anything in it is read or refused with the one error', async () => {
  const { encodeCodeText } = await import('./code-text.ts')
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), bytes(48), (rest, front) => {
      for (const body of [rest, ...[1, 2].map((version) => Buffer.concat([Buffer.of(version), front, rest]))]) {
        try {
          decodeJoinCode(encodeCodeText('WRN', body))
        } catch (error) {
          expect(error).toMatchObject({ code: 'join_code_invalid' })
        }
      }
    }),
  )
})

test('a join code with one admin at two addresses stays short enough for a chat and a QR code', () => {
  const id = peerIdOf(randomBytes(32))
  const text = encodeJoinCode({
    networkId: toHex(randomBytes(32)),
    secret: createJoinSecret(),
    admins: [{ id, addresses: [`/ip4/192.168.1.20/tcp/9010/p2p/${id}`, '/ip6/fd00::20/tcp/9010'] }],
    relays: [],
  })
  expect(text).toMatch(/^WRN-[0-9A-Z]+$/)
  expect(text.length).toBeLessThan(200)
  expect(decodeJoinCode(text).admins).toEqual([
    { id, addresses: [`/ip4/192.168.1.20/tcp/9010/p2p/${id}`, `/ip6/fd00::20/tcp/9010/p2p/${id}`] },
  ])
})

test('a join code without relays is of version 1, and two relays make it longer by 130 letters', () => {
  const [id, relay] = [peerIdOf(randomBytes(32)), peerIdOf(randomBytes(32))]
  const made = {
    networkId: toHex(randomBytes(32)),
    secret: createJoinSecret(),
    admins: [{ id, addresses: ['/ip4/192.168.1.20/tcp/9010'] }],
    relays: [] as { id: string; addresses: string[] }[],
  }
  const without = encodeJoinCode(made)
  // A byte is eight bits: a letter and three of the next one's.
  expect(without).toMatch(/^WRN-0[4-7]/)
  const relays = [relay, id].map((each) => ({ id: each, addresses: ['/ip4/192.0.2.9/tcp/9010'] }))
  const longer = encodeJoinCode({ ...made, relays })
  expect(longer).toMatch(/^WRN-0[8-9AB]/)
  expect(longer.length - without.length).toBeLessThanOrEqual(130)
  expect(encodeJoinCode({ ...made, relays: [{ id: relay, addresses: [] }] })).toBe(without)
})

test('more admins and addresses than fit are left out, and so are addresses that are none', () => {
  const ids = Array.from({ length: 5 }, () => peerIdOf(randomBytes(32)))
  const addresses = [
    'no address',
    `/dns4/${'x'.repeat(250)}/tcp/1`,
    ...[1, 2, 3, 4, 5].map((n) => `/ip4/10.0.0.${n}/tcp/1`),
  ]
  const { admins: read, relays: over } = decodeJoinCode(
    encodeJoinCode({
      networkId: '0'.repeat(64),
      secret: createJoinSecret(),
      admins: ids.map((id) => ({ id, addresses })),
      relays: ids.map((id) => ({ id, addresses })),
    }),
  )
  expect(read.map(({ id }) => id)).toEqual(ids.slice(0, 3))
  expect(read[0]?.addresses).toEqual([1, 2, 3, 4].map((n) => `/ip4/10.0.0.${n}/tcp/1/p2p/${ids[0]}`))
  expect(over.map(({ id }) => id)).toEqual(ids.slice(0, 2))
  expect(over[0]?.addresses).toEqual([1, 2].map((n) => `/ip4/10.0.0.${n}/tcp/1/p2p/${ids[0]}`))
})

test('the key of an invite follows from its secret alone', () => {
  const secret = createJoinSecret()
  expect(inviteSignerOf(secret).keyId).toBe(inviteSignerOf(Uint8Array.from(secret)).keyId)
  expect(inviteSignerOf(createJoinSecret()).keyId).not.toBe(inviteSignerOf(secret).keyId)
})
