import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { ContentCutter, hashChunk } from './content-chunks.ts'
import { cutLength, MAX_CHUNK_BYTES, MIN_CHUNK_BYTES } from './cutter.ts'
import type { IndexChunk } from './package-index.ts'

/** Bytes that look random and are the same on every machine. */
function noise(length: number, seed: string): Buffer {
  const blocks = Array.from({ length: Math.ceil(length / 32) }, (_, at) =>
    createHash('sha256').update(`${seed}:${at}`).digest(),
  )
  return Buffer.concat(blocks).subarray(0, length)
}

function cutWhole(bytes: Uint8Array): IndexChunk[] {
  const chunks: IndexChunk[] = []
  for (let at = 0; at < bytes.length; ) {
    const size = cutLength(bytes, at, bytes.length)
    chunks.push({ size, hash: hashChunk(bytes.subarray(at, at + size)) })
    at += size
  }
  return chunks
}

function cutInPortions(bytes: Uint8Array, portions: readonly number[]): IndexChunk[] {
  const cutter = new ContentCutter()
  const chunks: IndexChunk[] = []
  let at = 0
  for (let turn = 0; at < bytes.length; turn++) {
    const length = portions[turn % portions.length] as number
    // A fresh copy that is spoilt afterwards: the cutter may keep no reference.
    const portion = Buffer.from(bytes.subarray(at, at + length))
    chunks.push(...cutter.add(portion))
    portion.fill(0)
    at += length
  }
  return [...chunks, ...cutter.finish()]
}

test('the cuts of known bytes are what the format fixed', () => {
  expect(cutWhole(noise(1_000_000, 'fixed')).map(({ size }) => size)).toEqual([
    85252, 103607, 73687, 79467, 70283, 77645, 92993, 72127, 164737, 80039, 70647, 29516,
  ])
})

test('every chunk but the last is between the minimum and the maximum', () => {
  for (const bytes of [noise(3_000_000, 'sizes'), Buffer.alloc(1_000_000), Buffer.alloc(1_000_000, 'ab')]) {
    const sizes = cutWhole(bytes).map(({ size }) => size)
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBe(bytes.length)
    for (const size of sizes) expect(size).toBeLessThanOrEqual(MAX_CHUNK_BYTES)
    for (const size of sizes.slice(0, -1)) expect(size).toBeGreaterThan(MIN_CHUNK_BYTES)
  }
})

test('the cuts do not depend on the portions in which the bytes come', () => {
  const content = noise(1_500_000, 'portions')
  fc.assert(
    fc.property(
      fc.nat(content.length),
      fc.array(
        fc.integer({ min: 1, max: 700_000 }).map((size) => (size % 3 === 0 ? 1 + (size % 5000) + 1000 : size)),
        { minLength: 1, maxLength: 6 },
      ),
      (length, portions) => {
        const bytes = content.subarray(0, length)
        expect(cutInPortions(bytes, portions)).toEqual(cutWhole(bytes))
      },
    ),
    { numRuns: 60 },
  )
  for (const size of [MAX_CHUNK_BYTES - 1, MAX_CHUNK_BYTES, MAX_CHUNK_BYTES + 1, 1024 * 1024]) {
    expect(cutInPortions(content, [size])).toEqual(cutWhole(content))
  }
})

test('one file after another through one cutter gives each file’s own cuts', () => {
  const cutter = new ContentCutter()
  for (const bytes of [noise(300_000, 'one'), Buffer.alloc(0), noise(5, 'two'), noise(900_000, 'three')]) {
    expect([...cutter.add(bytes), ...cutter.finish()]).toEqual(cutWhole(bytes))
  }
})

test('bytes inserted in the middle of a file change only the chunks around them', () => {
  const before = noise(8_000_000, 'insert')
  const after = Buffer.concat([
    before.subarray(0, 4_000_000),
    Buffer.from('a few new bytes'),
    before.subarray(4_000_000),
  ])
  const known = new Set(cutWhole(before).map(({ hash }) => hash))
  const changed = cutWhole(after).filter(({ hash }) => !known.has(hash))
  expect(known.size).toBeGreaterThan(80)
  expect(changed.length).toBeGreaterThan(0)
  expect(changed.length).toBeLessThanOrEqual(4)
})
