import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterEach, expect, test } from 'vitest'
import { ManualClock } from '../base/clock.ts'
import { silentLogger } from '../base/log.ts'
import { namesIn, tempFolder, testNode } from './fixtures.ts'
import { decodeHead, encodeHead, type SignedAuditHead, signHead } from './head.ts'
import { addHead, decodeKept, emptyHeads, encodeKept, HeadStore, type KeptHeads, thin } from './kept-heads.ts'

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

const { signer, nodeId } = testNode(Buffer.alloc(32, 5))
/** A head whose hash says to which branch it belongs. */
function head(seq: number, timeMs = seq, branch = 'a'): SignedAuditHead {
  return signHead({ node: nodeId, seq, hash: branch.repeat(64), timeMs }, signer)
}
const keep = (...heads: SignedAuditHead[]): KeptHeads =>
  heads.reduce((kept, each) => addHead(kept, each, 0).kept, emptyHeads(nodeId))
const seqs = (heads: readonly SignedAuditHead[]): number[] => heads.map(({ seq }) => seq)

test('heads that grow are kept, and the same one again is not', () => {
  const kept = keep(head(1), head(5), head(9))
  expect(seqs(kept.heads)).toEqual([1, 5, 9])
  expect(addHead(kept, head(9, 100), 0)).toEqual({ kept, verdict: 'same' })
})

test('a head that was overtaken on its way accuses nobody', () => {
  expect(addHead(keep(head(1), head(9)), head(7), 0).verdict).toBe('late')
})

test('a log that became shorter is kept as evidence, and told once', () => {
  const taken = addHead(keep(head(1), head(5), head(9)), head(6, 100, 'b'), 7)
  expect(taken.verdict).toBe('rewound')
  expect(taken.kept.rewinds).toMatchObject([{ seenMs: 7, before: { seq: 9 }, after: { seq: 6 } }])
  expect(seqs(taken.kept.heads)).toEqual([1, 5, 6])
  expect(seqs(taken.kept.superseded)).toEqual([9])
  const later = addHead(taken.kept, head(9, 200, 'b'), 8)
  expect(later.verdict).toBe('kept')
  expect(later.kept.rewinds).toHaveLength(1)
})

test('another entry under a number that was signed is evidence, whatever its time', () => {
  const taken = addHead(keep(head(1), head(5), head(9)), head(5, 2, 'b'), 7)
  expect(taken.verdict).toBe('rewound')
  expect(taken.kept.rewinds).toMatchObject([{ before: { seq: 5 }, after: { seq: 5 } }])
  expect(seqs(taken.kept.superseded)).toEqual([5, 9])
})

test('of many heads the newest are kept, and before them one a day, in order', () => {
  const minute = 60_000
  const all = Array.from({ length: 3000 }, (_, index) => ({ ...head(1), seq: index + 1, timeMs: index * minute }))
  const kept = thin(all)
  expect(kept.slice(-100)).toEqual(all.slice(-100))
  expect(seqs(kept.slice(0, -100))).toEqual([1440, 2880, 2900])
})

test('whatever heads come in whatever order, what is kept is bounded, in order, and comes back from its file', () => {
  const one = fc.tuple(fc.integer({ min: 1, max: 40 }), fc.nat(1000), fc.constantFrom('a', 'b', 'c'))
  fc.assert(
    fc.property(fc.array(one, { maxLength: 60 }), (list) => {
      const kept = keep(...list.map(([seq, timeMs, branch]) => head(seq, timeMs, branch)))
      expect(seqs(kept.heads)).toEqual([...new Set(seqs(kept.heads))].sort((a, b) => a - b))
      expect(kept.rewinds.length).toBeLessThanOrEqual(20)
      expect(kept.superseded.length).toBeLessThanOrEqual(100)
      expect(encodeKept(decodeKept(encodeKept(kept), nodeId))).toBe(encodeKept(kept))
    }),
    { numRuns: 60 },
  )
})

test('a head comes back from its JSON; one that is changed anywhere is refused', () => {
  const value = encodeHead(head(4))
  expect(decodeHead(value, nodeId)).toMatchObject({ node: nodeId, seq: 4, timeMs: 4, hash: 'a'.repeat(64) })
  expect(() => decodeHead(value, testNode().nodeId)).toThrow(/was expected/)
  const text = JSON.stringify(value)
  fc.assert(
    fc.property(fc.nat(text.length - 1), fc.integer({ min: 32, max: 126 }), (at, code) => {
      const changed = text.slice(0, at) + String.fromCharCode(code) + text.slice(at + 1)
      fc.pre(changed !== text)
      expect(() => {
        const { envelope } = decodeHead(JSON.parse(changed))
        // What is ignored, such as a field of another name, must leave what was signed as it was.
        if (JSON.stringify(encodeHead({ ...head(4), envelope })) === text) throw new Error('equal')
      }).toThrow()
    }),
    { numRuns: 300 },
  )
  fc.assert(
    fc.property(fc.jsonValue(), (any) => {
      expect(() => decodeHead(any)).toThrow(/audit log/)
    }),
  )
})

test('what is kept is on disk after a save, and a damaged file is set aside', async () => {
  const { folder, remove } = await tempFolder()
  cleanups.push(remove)
  const options = { folder: join(folder, 'heads'), clock: new ManualClock(), log: silentLogger }
  const store = new HeadStore(options)
  await store.take(head(3))
  await store.take(head(4))
  expect(await namesIn(folder)).toEqual([])
  await store.save()
  expect(seqs((await new HeadStore(options).get(nodeId)).heads)).toEqual([3, 4])
  await store.take(head(2, 50))
  const again = new HeadStore(options)
  expect((await again.list()).map(({ rewinds }) => rewinds.length)).toEqual([1])

  const path = join(options.folder, `${nodeId}.json`)
  await writeFile(path, (await readFile(path, 'utf8')).slice(0, 200))
  expect((await new HeadStore(options).get(nodeId)).heads).toEqual([])
  expect((await namesIn(options.folder))[0]).toMatch(/\.json\.damaged-/)
})
