import { randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { encodeEnvelope, peerIdOf, sealEnvelope, signerFromSeed } from '../../identity/index.ts'
import { type AddressRecord, readRecord, signRecord } from './address-record.ts'
import { endpointOf, inDialOrder, isLan, relayIn } from './address-words.ts'
import { MAX_RECORD_BYTES } from './limits.ts'
import { dialable, mayDialLoopback, tellableAddresses } from './own-addresses.ts'

const signer = signerFromSeed(Buffer.alloc(32, 1))
const id = peerIdOf(signer.publicKey)
const relay = peerIdOf(signerFromSeed(Buffer.alloc(32, 2)).publicKey)
const address = fc
  .tuple(fc.ipV4(), fc.ipV6(), fc.integer({ min: 1, max: 65_535 }), fc.boolean(), fc.constantFrom('', '/ws', '/tls/ws'))
  .map(([v4, v6, port, four, end]) => `${four ? `/ip4/${v4}` : `/ip6/${v6}`}/tcp/${port}${end}`)
  .filter((text) => endpointOf(text) !== undefined)
const record = fc.record({
  id: fc.constant(id),
  sequence: fc.integer({ min: 1 }),
  addresses: fc.array(address, { maxLength: 16 }),
  relays: fc.array(fc.constant(relay), { maxLength: 8 }),
  reachability: fc.constantFrom('public' as const, 'private' as const, 'unknown' as const),
  serves: fc.boolean(),
})

test('a record is read as it was signed', () => {
  fc.assert(
    fc.property(record, (said: AddressRecord) => {
      const { bytes } = signRecord(said, signer)
      expect(bytes.length).toBeLessThanOrEqual(MAX_RECORD_BYTES)
      expect(readRecord(bytes).record).toEqual(said)
    }),
  )
})

test('a record with any byte changed is refused, or is the same record', () => {
  const said = {
    id,
    sequence: 5,
    addresses: ['/ip4/192.0.2.7/tcp/9010'],
    relays: [relay],
    reachability: 'public',
    serves: true,
  } as const
  const { bytes } = signRecord(said, signer)
  fc.assert(
    fc.property(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), (index, flip) => {
      const changed = Buffer.from(bytes)
      changed[index] = (changed[index] as number) ^ flip
      let read: AddressRecord | undefined
      try {
        read = readRecord(changed).record
      } catch (error) {
        expect(error).toMatchObject({ code: 'address_record_invalid' })
      }
      if (read !== undefined) expect(read).toEqual(said)
    }),
  )
})

test('whatever bytes come, a record is refused with its code', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      expect(() => readRecord(bytes)).toThrowError(expect.objectContaining({ code: 'address_record_invalid' }))
    }),
  )
})

test.each([
  ['of another node', { id: relay }],
  ['with an address on no port', { addresses: ['/ip4/192.0.2.7/tcp/0'] }],
  ['with an address of a zone', { addresses: ['/ip6/2001:db8::1%eth0/tcp/1'] }],
  ['with zeros before a port', { addresses: ['/ip4/192.0.2.7/tcp/00001'] }],
  ['with a path of this machine', { addresses: ['/unix/run/x.sock'] }],
  ['with an id in an address', { addresses: [`/ip4/192.0.2.7/tcp/1/p2p/${relay}`] }],
  [
    'with too many addresses',
    { addresses: Array.from({ length: 17 }, (_, index) => `/ip4/192.0.2.7/tcp/${index + 1}`) },
  ],
  ['with something more', { more: true }],
])('a record %s is refused', (_what, change) => {
  const said = {
    format: 1,
    id,
    sequence: 5,
    addresses: [],
    relays: [],
    reachability: 'unknown',
    serves: false,
    ...change,
  }
  const payload = Buffer.from(JSON.stringify(said))
  const payloadType = 'application/vnd.warren.addresses.v1+json'
  const bytes = encodeEnvelope(sealEnvelope({ payloadType, payload, signers: [signer] }))
  expect(() => readRecord(bytes)).toThrowError(expect.objectContaining({ code: 'address_record_invalid' }))
})

test('names so long that a record is too large are left out of it', () => {
  const addresses = Array.from(
    { length: 16 },
    () => `/dns/${`${randomBytes(31).toString('hex')}.`.repeat(3)}example/tcp/9010`,
  )
  const { record: kept, bytes } = signRecord(
    { id, sequence: 1, addresses, relays: [], reachability: 'unknown', serves: false },
    signer,
  )
  expect(kept.addresses.length).toBeGreaterThan(3)
  expect(readRecord(bytes).record).toEqual(kept)
})

const SUBNETS = [
  { address: '127.0.0.1', bits: 8, internal: true },
  { address: '192.168.7.20', bits: 24, internal: false },
  { address: 'fd00:1::5', bits: 64, internal: false },
]

test('addresses nearby come first, then IPv6, then IPv4, and private ones elsewhere last', () => {
  const ordered = [
    '/ip6/fd00:1::9/tcp/1',
    '/ip4/192.168.7.3/tcp/1',
    '/ip6/2001:db8::1/tcp/1',
    '/dns4/example.org/tcp/1',
    '/ip4/198.51.100.7/tcp/1',
    '/ip4/10.0.0.1/tcp/1',
  ]
  fc.assert(
    fc.property(fc.shuffledSubarray(ordered, { minLength: ordered.length }), (shuffled) => {
      expect(inDialOrder([...shuffled, ...shuffled, 'nonsense'], SUBNETS)).toEqual(ordered)
    }),
  )
})

test('loopback is told and dialled only by those who live on it', () => {
  expect(tellableAddresses(['/ip4/127.0.0.1/tcp/1', '/ip4/192.168.7.20/tcp/1/p2p/x', '/ip6/fe80::1/tcp/1'])).toEqual([
    '/ip4/192.168.7.20/tcp/1',
  ])
  expect(tellableAddresses(['/ip4/127.0.0.1/tcp/1'])).toEqual(['/ip4/127.0.0.1/tcp/1'])
  expect(mayDialLoopback(['/ip4/0.0.0.0/tcp/9010'], SUBNETS)).toBe(false)
  expect(mayDialLoopback(['/ip4/127.0.0.1/tcp/0'], SUBNETS)).toBe(true)
  expect(mayDialLoopback(['/ip4/0.0.0.0/tcp/9010'], SUBNETS.slice(0, 1))).toBe(true)
  const said = [
    '/ip4/127.0.0.1/tcp/22',
    '/ip6/::1/tcp/22',
    '/ip4/169.254.1.1/tcp/80',
    '/ip4/0.0.0.0/tcp/1',
    '/ip4/224.0.0.1/tcp/1',
    '/ip4/192.168.7.20/tcp/9',
    '/dns/localhost/tcp/1',
    '/ip4/198.51.100.7/tcp/1',
  ]
  const own = new Set(['/ip4/192.168.7.20/tcp/9'])
  expect(dialable(said, { loopback: false, own })).toEqual(['/ip4/198.51.100.7/tcp/1'])
})

test('a machine nearby is told from one far away', () => {
  expect(isLan('/ip4/192.168.7.3/tcp/1/p2p/x', SUBNETS)).toBe(true)
  expect(isLan('/ip4/192.168.8.3/tcp/1', SUBNETS)).toBe(false)
  expect(isLan('/ip4/127.0.0.1/tcp/1', SUBNETS)).toBe(true)
  expect(relayIn(`/ip4/192.0.2.1/tcp/1/p2p/${relay}/p2p-circuit/p2p/${id}`)).toEqual({
    relay,
    address: '/ip4/192.0.2.1/tcp/1',
  })
  expect(relayIn(`/ip4/192.0.2.1/tcp/1/p2p/${relay}`)).toBeUndefined()
})
