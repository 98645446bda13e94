import { hash } from 'node:crypto'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Layout } from './layout.ts'

const contents = fc.array(fc.array(fc.uint8Array({ minLength: 1, maxLength: 20 }), { maxLength: 4 }), { maxLength: 6 })

function layoutOf(files: Uint8Array[][]): Layout {
  return new Layout({
    files: files.map((chunks, at) => ({
      path: `file-${at}`,
      mode: 0o644 as const,
      size: chunks.reduce((sum, chunk) => sum + chunk.length, 0),
      chunks: chunks.map((chunk) => ({ hash: hash('sha256', chunk, 'hex'), size: chunk.length })),
    })),
  })
}

test('every byte of the content belongs to one chunk and one file', () => {
  fc.assert(
    fc.property(contents, (files) => {
      const layout = layoutOf(files)
      const chunks = files.flatMap((file, at) => file.map((chunk) => ({ chunk, path: `file-${at}` })))
      expect(layout.count).toBe(chunks.length)
      let offset = 0
      for (const [ordinal, { chunk, path }] of chunks.entries()) {
        expect(layout.offsetOf(ordinal)).toBe(offset)
        expect(layout.sizeOf(ordinal)).toBe(chunk.length)
        expect(layout.chunkAt(offset)).toBe(ordinal)
        expect(layout.chunkAt(offset + chunk.length - 1)).toBe(ordinal)
        expect(layout.fileOf(ordinal).path).toBe(path)
        expect(layout.matches(ordinal, chunk)).toBe(true)
        offset += chunk.length
      }
      expect(layout.bytes).toBe(offset)
    }),
  )
})

test('cutting a run gives all of its chunks once, in order, within the limits', () => {
  fc.assert(
    fc.property(
      contents,
      fc.integer({ min: 1, max: 60 }),
      fc.integer({ min: 1, max: 5 }),
      (files, maxBytes, maxCount) => {
        const layout = layoutOf(files)
        const runs = [...layout.cut({ first: 0, count: layout.count }, maxBytes, maxCount)]
        const ordinals = runs.flatMap(({ first, count }) => Array.from({ length: count }, (_, at) => first + at))
        expect(ordinals).toEqual(Array.from({ length: layout.count }, (_, at) => at))
        for (const run of runs) {
          expect(run.count).toBeLessThanOrEqual(maxCount)
          if (run.count > 1) expect(layout.bytesOf(run)).toBeLessThanOrEqual(maxBytes)
        }
      },
    ),
  )
})

test('a run with one wrong byte names the chunk that is wrong', () => {
  const files = [[Buffer.from('ab'), Buffer.from('cde')], [], [Buffer.from('f')]]
  const layout = layoutOf(files)
  const run = { first: 0, count: 3 }
  expect(layout.firstMismatch(run, Buffer.from('abcdef'))).toBeUndefined()
  expect(layout.firstMismatch(run, Buffer.from('abcXef'))).toBe(1)
  expect(layout.firstMismatch(run, Buffer.from('abcdeX'))).toBe(2)
  expect(layout.firstMismatch(run, Buffer.from('abcde'))).toBe(0)
})
