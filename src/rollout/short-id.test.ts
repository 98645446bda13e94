import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { longTextOf, matchIds, shortIdOf } from './short-id.ts'

const ids = fc.uniqueArray(
  fc.nat().map((seed) => createHash('sha256').update(String(seed)).digest('hex')),
  { minLength: 1, maxLength: 60 },
)

test('a short id means its rollout and no other', () => {
  fc.assert(
    fc.property(ids, (all) => {
      for (const id of all) expect(matchIds(shortIdOf(id, all), all)).toEqual([id])
    }),
  )
})

test('two ids that begin alike get longer short ids', () => {
  const [one, other] = [`${'0'.repeat(8)}1${'0'.repeat(55)}`, `${'0'.repeat(8)}2${'0'.repeat(55)}`]
  expect(shortIdOf(one, [one, other]).length).toBeGreaterThan(4)
  expect(matchIds('0000', [one, other])).toEqual([one, other])
})

test('a full id means itself, an empty text nothing', () => {
  const id = 'ab'.repeat(32)
  expect(matchIds(id, [id])).toEqual([id])
  expect(matchIds('', [id])).toEqual([])
  expect(longTextOf(id)).toMatch(/^[0-9a-hjkmnp-tv-z]{16}$/)
})
