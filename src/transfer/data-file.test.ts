import { hash } from 'node:crypto'
import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { DataFile } from './data-file.ts'
import { noise, temporaryFolder } from './fixtures/nodes.ts'
import { HaveMap } from './have-map.ts'
import { Layout } from './layout.ts'

let folder: string
beforeEach(async () => {
  folder = await temporaryFolder()
})
afterEach(() => rm(folder, { recursive: true, force: true }))

const COUNT = 12
const parts = Array.from({ length: COUNT }, (_, at) => noise(`part ${at}`, 10 + at))
const layout = new Layout({
  files: [
    {
      path: 'a',
      mode: 0o644,
      size: parts.reduce((sum, part) => sum + part.length, 0),
      chunks: parts.map((part) => ({ hash: hash('sha256', part, 'hex'), size: part.length })),
    },
  ],
})

test('whatever is written and flushed in whatever order, the map on disk names only chunks that are in the data', async () => {
  const steps = fc.array(fc.oneof(fc.integer({ min: 0, max: COUNT - 1 }), fc.constant('flush' as const)))
  let round = 0
  await fc.assert(
    fc.asyncProperty(steps, fc.integer({ min: 1, max: 60 }), async (sequence, flushBytes) => {
      const place = join(folder, String(round++))
      const limits = { flushBytes, maxUnflushedBytes: flushBytes * 2 }
      const file = await DataFile.open({ folder: place, layout, limits })
      const flushed = new Set<number>()
      const written = new Set<number>()
      for (const step of sequence) {
        if (step === 'flush') {
          await file.flush()
          for (const ordinal of written) flushed.add(ordinal)
          continue
        }
        await file.write({ first: step, count: 1 }, parts[step] as Buffer)
        written.add(step)
      }
      // As a crash would find it: the map on disk, without closing.
      const saved = await readFile(join(place, 'have')).catch(() => undefined)
      const map = saved === undefined ? new HaveMap(COUNT) : (HaveMap.decode(saved) as HaveMap)
      for (const ordinal of flushed) expect(map.has(ordinal)).toBe(true)
      for (let ordinal = 0; ordinal < COUNT; ordinal++) if (map.has(ordinal)) expect(written.has(ordinal)).toBe(true)
      await file.close()
      const again = await DataFile.open({ folder: place, layout, limits })
      for (let ordinal = 0; ordinal < COUNT; ordinal++) {
        const bytes = await again.read({ first: ordinal, count: 1 })
        expect(bytes?.equals(parts[ordinal] as Buffer)).toBe(written.has(ordinal) ? true : undefined)
      }
      await again.close()
    }),
    { numRuns: 40 },
  )
})

test('a run with a wrong chunk is refused whole', async () => {
  const file = await DataFile.open({ folder, layout, limits: { flushBytes: 100, maxUnflushedBytes: 200 } })
  const run = { first: 0, count: 2 }
  const wrong = Buffer.concat([parts[0] as Buffer, Buffer.alloc(11)])
  await expect(file.write(run, wrong)).rejects.toMatchObject({ code: 'source_dishonest' })
  expect(file.has(0)).toBe(false)
  await file.close()
  await expect(file.write(run, Buffer.concat(parts.slice(0, 2)))).rejects.toMatchObject({ code: 'package_not_found' })
})
