import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { WarrenError } from '../base/errors.ts'
import { MAX_CHUNK_BYTES, MIN_CHUNK_BYTES } from './cutter.ts'
import { contentSize, decodeIndex, encodeIndex, type IndexFile, type PackageIndex, sortFiles } from './package-index.ts'
import { fileUsedAsFolder, pathFault } from './package-path.ts'

const HASH = 'ab'.repeat(32)

const chunk = fc.record({
  hash: fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => Buffer.from(bytes).toString('hex')),
  size: fc.integer({ min: MIN_CHUNK_BYTES + 1, max: MAX_CHUNK_BYTES }),
})
const name = fc.oneof(
  fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 }),
  fc.constantFrom('a', 'b', 'manifest.yaml'),
)
const path = fc
  .array(name, { minLength: 1, maxLength: 4 })
  .map((names) => names.join('/'))
  .filter((text) => pathFault(text) === undefined)
const index: fc.Arbitrary<PackageIndex> = fc
  .uniqueArray(
    fc.record({ path, mode: fc.constantFrom<0o644 | 0o755>(0o644, 0o755), chunks: fc.array(chunk, { maxLength: 4 }) }),
    {
      selector: (file) => file.path,
      maxLength: 8,
    },
  )
  .filter((files) => fileUsedAsFolder(files.map((file) => file.path)) === undefined)
  .map((files) => ({
    files: sortFiles(files.map((file) => ({ ...file, size: file.chunks.reduce((sum, { size }) => sum + size, 0) }))),
  }))

function codeOf(work: () => unknown): string {
  try {
    work()
  } catch (error) {
    return (error as WarrenError).code
  }
  return 'accepted'
}

/** Written by hand, so that what the encoder would never write can be tried. */
function raw(
  files: { path: string | Buffer; mode?: number; size?: number; chunks?: number[] }[],
  count = files.length,
): Buffer {
  const parts: Buffer[] = [Buffer.from('warren-index 1\n'), u32(count)]
  for (const { path, mode = 0, chunks = [], size = chunks.reduce((sum, one) => sum + one, 0) } of files) {
    const bytes = Buffer.from(path)
    const head = Buffer.alloc(2)
    head.writeUInt16BE(bytes.length)
    const sizes = Buffer.alloc(8)
    sizes.writeBigUInt64BE(BigInt(size))
    parts.push(head, bytes, Buffer.of(mode), sizes, u32(chunks.length))
    for (const one of chunks) parts.push(u32(one), Buffer.from(HASH, 'hex'))
  }
  return Buffer.concat(parts)
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}

test('an index comes back from its bytes as it was', () => {
  fc.assert(
    fc.property(index, (value) => {
      expect(decodeIndex(encodeIndex(value))).toEqual(value)
    }),
  )
})

test('an index has one form: whatever is accepted is encoded to the very bytes it came from', () => {
  const bytesOf = index.map((value) => encodeIndex(value))
  const damaged = fc.tuple(bytesOf, fc.nat(), fc.nat(255)).map(([bytes, at, value]) => {
    const copy = Buffer.from(bytes)
    copy[at % copy.length] = value
    return copy
  })
  fc.assert(
    fc.property(fc.oneof(damaged, fc.uint8Array({ maxLength: 200 })), (bytes) => {
      let decoded: PackageIndex
      try {
        decoded = decodeIndex(bytes)
      } catch (error) {
        expect((error as WarrenError).code).toMatch(/^(index_invalid|package_too_large)$/)
        return
      }
      expect(encodeIndex(decoded).equals(bytes)).toBe(true)
    }),
    { numRuns: 500 },
  )
})

test('an index cut short anywhere is refused', () => {
  const bytes = raw([
    { path: 'a', chunks: [5] },
    { path: 'b/c', mode: 1, chunks: [20_000, 7] },
  ])
  expect(contentSize(decodeIndex(bytes))).toBe(20_012)
  for (let length = 0; length < bytes.length; length++) {
    expect(codeOf(() => decodeIndex(bytes.subarray(0, length)))).toBe('index_invalid')
  }
  expect(codeOf(() => decodeIndex(Buffer.concat([bytes, Buffer.of(0)])))).toBe('index_invalid')
})

test.each<[string, Buffer]>([
  ['paths out of order', raw([{ path: 'b' }, { path: 'a' }])],
  ['a path twice', raw([{ path: 'a' }, { path: 'a' }])],
  ['a file used as a folder', raw([{ path: 'a' }, { path: 'a-b' }, { path: 'a/b' }])],
  ['an absolute path', raw([{ path: '/etc/passwd' }])],
  ['a path with ..', raw([{ path: 'a/../../b' }])],
  ['a path that is not plain', raw([{ path: 'a//b' }])],
  ['a path in .warren', raw([{ path: '.warren/index' }])],
  ['a path with a zero byte', raw([{ path: 'a\0b' }])],
  ['a path that is not UTF-8', raw([{ path: Buffer.of(0xff, 0x61) }])],
  ['an empty path', raw([{ path: '' }])],
  ['a mode that is none', raw([{ path: 'a', mode: 2 }])],
  ['a size that the chunks do not add up to', raw([{ path: 'a', size: 6, chunks: [5] }])],
  ['an empty chunk', raw([{ path: 'a', chunks: [0] }])],
  ['a short chunk that is not the last', raw([{ path: 'a', chunks: [MIN_CHUNK_BYTES, 5] }])],
  ['a chunk over the maximum', raw([{ path: 'a', chunks: [MAX_CHUNK_BYTES + 1] }])],
  ['fewer files than it says', raw([{ path: 'a' }], 2)],
])('%s is refused', (_what, bytes) => {
  expect(codeOf(() => decodeIndex(bytes))).toBe('index_invalid')
})

test('an index past the limits is refused by its counts, before anything is set aside for it', () => {
  expect(codeOf(() => decodeIndex(raw([], 0xffff_ffff)))).toBe('package_too_large')
  const limits = { maxBytes: 9, maxFiles: 2 }
  expect(
    codeOf(() =>
      decodeIndex(
        raw([
          { path: 'a', chunks: [5] },
          { path: 'b', chunks: [5] },
        ]),
        limits,
      ),
    ),
  ).toBe('package_too_large')
})

test('files are sorted by bytes, not by letters', () => {
  const files = ['ä', 'z', 'a/b', 'a-b', 'B', '😀', '\uffee'].map((text) => ({ path: text }) as IndexFile)
  expect(sortFiles(files).map((file) => file.path)).toEqual(['B', 'a-b', 'a/b', 'z', 'ä', '\uffee', '😀'])
})
