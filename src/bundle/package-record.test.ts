import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { WarrenError } from '../base/errors.ts'
import { decodeRecord, encodeRecord, type PackageRecord, packageDigest } from './package-record.ts'

const RECORD: PackageRecord = {
  format: 1,
  name: 'hello',
  version: '1.0.0',
  platform: ['linux-x64'],
  manifest: 'a'.repeat(64),
  index: 'b'.repeat(64),
  chunker: 'gear-16-64-256-v1',
  files: 3,
  bytes: 12_000,
}

function codeOf(bytes: Uint8Array): string {
  try {
    decodeRecord(bytes, { maxBytes: 1_000_000, maxFiles: 100 })
  } catch (error) {
    return (error as WarrenError).code
  }
  return 'accepted'
}
const changed = (fields: Record<string, unknown>): Buffer => Buffer.from(JSON.stringify({ ...RECORD, ...fields }))

test('a record comes back from its bytes, and its digest is that of the bytes', () => {
  const bytes = encodeRecord(RECORD)
  expect(decodeRecord(bytes)).toEqual(RECORD)
  expect(packageDigest(bytes)).toBe('fe2e1b91332a9b107b195c9bbc43715e760bb9de027475d6ada441f63b1d1ff8')
})

test('the order in which a record was put together does not change its bytes', () => {
  const shuffled = fc.shuffledSubarray(Object.entries(RECORD), { minLength: Object.keys(RECORD).length })
  fc.assert(
    fc.property(shuffled, (entries) => {
      const record = Object.fromEntries(entries) as unknown as PackageRecord
      expect(encodeRecord(record).equals(encodeRecord(RECORD))).toBe(true)
    }),
  )
})

test('fields of later releases are kept', () => {
  expect(decodeRecord(changed({ licence: 'MIT' }))).toMatchObject({ licence: 'MIT' })
})

test('a record that says too much, too little or anything else is refused', () => {
  expect(codeOf(changed({ format: 2 }))).toBe('record_invalid')
  expect(codeOf(changed({ chunker: 'other-v1' }))).toBe('record_invalid')
  expect(codeOf(changed({ name: '../x' }))).toBe('record_invalid')
  expect(codeOf(changed({ version: '1' }))).toBe('record_invalid')
  expect(codeOf(changed({ index: 'B'.repeat(64) }))).toBe('record_invalid')
  expect(codeOf(changed({ bytes: -1 }))).toBe('record_invalid')
  expect(codeOf(changed({ bytes: 1.5 }))).toBe('record_invalid')
  expect(codeOf(changed({ manifest: undefined }))).toBe('record_invalid')
  expect(codeOf(Buffer.from('[]'))).toBe('record_invalid')
  expect(codeOf(Buffer.from('{'))).toBe('record_invalid')
  expect(codeOf(Buffer.of(0xff))).toBe('record_invalid')
  expect(codeOf(changed({ bytes: 1_000_001 }))).toBe('package_too_large')
  expect(codeOf(changed({ files: 101 }))).toBe('package_too_large')
  expect(codeOf(Buffer.alloc(20_000, ' '))).toBe('package_too_large')
})
