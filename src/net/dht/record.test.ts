import { randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { encodeEnvelope, peerIdOf, sealEnvelope, signerFromSeed } from '../../identity/index.ts'
import { MAX_CLOCK_SKEW_MS, MAX_RECORD_BYTES, MAX_RECORD_TTL_MS, MAX_SEQUENCE_AHEAD_MS } from './limits.ts'
import { checkRecord, sealRecord, selectRecord } from './record.ts'

const NOW = 1_800_000_000_000
const KEY = '/warren/release/web'
const signer = signerFromSeed(Buffer.alloc(32, 1))
const author = peerIdOf(signer.publicKey)
const RULES = { isMember: (peer: string) => peer === author, nowMs: NOW }
const PLAIN = { key: KEY, value: Buffer.from('1.2.3'), sequence: NOW, expiresMs: NOW + 60_000 }

const keys = fc.stringMatching(/^[a-z0-9./@-]{1,60}$/).map((name) => `/warren/x${name}`)
const records = fc.record({
  key: keys,
  value: fc.uint8Array({ maxLength: 2000 }),
  sequence: fc.integer({ min: 0, max: NOW + MAX_SEQUENCE_AHEAD_MS }),
  expiresMs: fc.integer({ min: NOW + 1, max: NOW + MAX_RECORD_TTL_MS }),
})

test('a record comes out as it was signed', () => {
  fc.assert(
    fc.property(records, (record) => {
      const read = checkRecord(record.key, sealRecord(record, signer, NOW), RULES)
      expect({ ...read, value: Buffer.from(read.value) }).toEqual({
        ...record,
        author,
        value: Buffer.from(record.value),
      })
    }),
    { numRuns: 50 },
  )
})

test('a record of which any byte was changed is refused, or is the same record', () => {
  const sealed = sealRecord(PLAIN, signer, NOW)
  fc.assert(
    fc.property(fc.nat(sealed.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
      const changed = Buffer.from(sealed)
      changed[at] = (changed[at] as number) ^ flip
      let read: unknown
      try {
        read = checkRecord(KEY, changed, RULES)
      } catch (error) {
        expect(error).toMatchObject({ code: 'dht_record_invalid' })
        return
      }
      expect(read).toEqual(checkRecord(KEY, sealed, RULES))
    }),
    { numRuns: 300 },
  )
})

test('bytes of anybody are refused with the code for it, whatever they are', () => {
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 500 }),
    fc.json().map((text) => new Uint8Array(Buffer.from(text))),
    fc.json().map((text) => new Uint8Array(seal(text))),
  )
  fc.assert(
    fc.property(bytes, (hostile) => {
      expect(() => checkRecord(KEY, hostile, RULES)).toThrowError(
        expect.objectContaining({ code: 'dht_record_invalid' }),
      )
    }),
    { numRuns: 200 },
  )
})

test.each([
  ['of another key', { key: '/warren/release/other' }, KEY],
  ['that has expired', { expiresMs: NOW }, KEY],
  ['that expires too late', { expiresMs: NOW + MAX_RECORD_TTL_MS + MAX_CLOCK_SKEW_MS + 1 }, KEY],
  ['whose sequence would be the last word', { sequence: Number.MAX_SAFE_INTEGER }, KEY],
  ['with a sequence below none', { sequence: -1 }, KEY],
  ['with half a sequence', { sequence: 0.5 }, KEY],
  ['for a key outside of the namespace', { key: '/pk/abc' }, '/pk/abc'],
  ['for a key with a blank', { key: '/warren/a b' }, '/warren/a b'],
  ['for a key of another node', { key: '/warren/node/12D3KooWother/x' }, '/warren/node/12D3KooWother/x'],
])('a record %s is refused', (_what, change, key) => {
  const record = { ...PLAIN, ...change }
  const { value, expiresMs, ...rest } = record
  const payload = { format: 1, author, ...rest, expires_ms: expiresMs, value: value.toString('base64') }
  expect(() => checkRecord(key, seal(JSON.stringify(payload)), RULES)).toThrowError(
    expect.objectContaining({ code: 'dht_record_invalid' }),
  )
})

test('a node may write under its own id', () => {
  const key = `/warren/node/${author}/address`
  expect(checkRecord(key, sealRecord({ ...PLAIN, key }, signer, NOW), RULES).author).toBe(author)
})

test('a record by one who is no member, or in the name of another, is refused', () => {
  const stranger = signerFromSeed(randomBytes(32))
  const refused = expect.objectContaining({ code: 'dht_record_invalid' })
  expect(() => checkRecord(KEY, sealRecord(PLAIN, stranger, NOW), RULES)).toThrowError(refused)
  const payload = { format: 1, key: KEY, author, sequence: 1, expires_ms: PLAIN.expiresMs, value: '' }
  expect(() => checkRecord(KEY, seal(JSON.stringify(payload), stranger), RULES)).toThrowError(refused)
})

test('a record of more than 16 KiB is neither signed nor taken', () => {
  const refused = expect.objectContaining({ code: 'dht_record_invalid' })
  expect(() => sealRecord({ ...PLAIN, value: randomBytes(MAX_RECORD_BYTES) }, signer, NOW)).toThrowError(refused)
  const most = sealRecord({ ...PLAIN, value: randomBytes(8_500) }, signer, NOW)
  expect(most.length).toBeLessThanOrEqual(MAX_RECORD_BYTES)
  expect(checkRecord(KEY, most, RULES).value).toHaveLength(8_500)
})

test('the highest sequence is the best, then the last to expire, then the lowest hash, in whatever order they come', () => {
  const few = fc.record({
    sequence: fc.integer({ min: 0, max: 3 }),
    expires: fc.integer({ min: 1, max: 3 }),
    value: fc.uint8Array({ maxLength: 3 }),
  })
  fc.assert(
    fc.property(fc.array(few, { minLength: 1, maxLength: 6 }), fc.nat(), (all, turn) => {
      const sealed = all.map(({ sequence, expires, value }) =>
        sealRecord({ key: KEY, sequence, expiresMs: NOW + expires, value }, signer, NOW),
      )
      const best = sealed[selectRecord(sealed)] as Buffer
      const turned = sealed.map((_one, at) => sealed[(at + turn) % sealed.length] as Buffer)
      expect(turned[selectRecord(turned)]).toEqual(best)
      const read = checkRecord(KEY, best, RULES)
      const highest = Math.max(...all.map(({ sequence }) => sequence))
      expect(read.sequence).toBe(highest)
      const last = Math.max(...all.filter(({ sequence }) => sequence === highest).map(({ expires }) => expires))
      expect(read.expiresMs).toBe(NOW + last)
    }),
    { numRuns: 50 },
  )
})

test('what does not parse is never the best', () => {
  const good = sealRecord(PLAIN, signer, NOW)
  expect(selectRecord([Buffer.from('{}'), good, Buffer.alloc(0)])).toBe(1)
  expect(selectRecord([Buffer.from('{}')])).toBe(-1)
})

function seal(payload: string, by = signer): Buffer {
  const payloadType = 'application/vnd.warren.dht-record+json'
  return encodeEnvelope(sealEnvelope({ payloadType, payload: Buffer.from(payload), signers: [by] }))
}
