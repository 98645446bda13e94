import { hash } from 'node:crypto'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { ChunkPool } from './chunk-pool.ts'
import { Layout, type Run } from './layout.ts'

const layout = new Layout({
  files: [
    {
      path: 'a',
      mode: 0o644,
      size: 60,
      chunks: Array.from({ length: 20 }, (_, at) => ({ hash: hash('sha256', String(at), 'hex'), size: (at % 5) + 1 })),
    },
  ],
})
const bounds = { maxBytes: 7, maxRuns: 3, maxCount: 4, lacking: new Set<number>() }
const ordinalsOf = (runs: Run[]): number[] =>
  runs.flatMap(({ first, count }) => Array.from({ length: count }, (_, at) => first + at))

test('however chunks are taken, given back and stored, each is stored once and none is lost', () => {
  const missing = fc.uniqueArray(fc.integer({ min: 0, max: 19 }), { minLength: 1 })
  fc.assert(
    fc.property(missing, fc.infiniteStream(fc.boolean()), (ordinals, fates) => {
      const pool = new ChunkPool(layout, ordinals)
      const stored: number[] = []
      let turns = 0
      while (pool.left > 0) {
        const runs = pool.take(bounds)
        const taken = ordinalsOf(runs)
        expect(taken.length).toBeGreaterThan(0)
        expect(taken.length).toBeLessThanOrEqual(4)
        expect(runs.length).toBeLessThanOrEqual(3)
        const bytes = runs.reduce((sum, run) => sum + layout.bytesOf(run), 0)
        expect(taken.length === 1 || bytes <= 7).toBe(true)
        if (fates.next().value || turns++ > 20) {
          for (const run of runs) pool.done(run)
          stored.push(...taken)
        } else pool.giveBack(taken)
      }
      expect(stored.sort()).toEqual([...ordinals].sort())
    }),
  )
})

test('a source is not offered what it lacks, and others still are', () => {
  const pool = new ChunkPool(layout, [3, 4, 5])
  const lacking = new Set([3, 5])
  expect(pool.take({ ...bounds, lacking })).toEqual([{ first: 4, count: 1 }])
  expect(pool.offers(lacking)).toBe(false)
  expect(pool.take({ ...bounds, lacking })).toEqual([])
  expect(pool.free).toBe(2)
  expect(pool.left).toBe(3)
  expect(ordinalsOf(pool.take({ ...bounds, maxBytes: 100 }))).toEqual([3, 5])
})
