import fc from 'fast-check'
import { expect, test } from 'vitest'
import { inOrderOfArrival, inOrderOfTime } from './merge-streams.ts'

async function* source(values: readonly string[], silentAfter = false): AsyncGenerator<string> {
  yield* values
  if (silentAfter) await new Promise(() => undefined)
}
const failing = (async function* () {
  yield '1'
  throw new Error('lost')
})()

async function take(merged: AsyncIterable<string>, count = Number.POSITIVE_INFINITY): Promise<string[]> {
  const values: string[] = []
  for await (const value of merged) {
    values.push(value)
    if (values.length === count) break
  }
  return values
}

test('sources in order come out as one in order, with nothing lost', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.array(fc.stringMatching(/^[0-9]{3}$/))), async (lists) => {
      const merged = await take(
        inOrderOfTime(
          lists.map((list) => source(list.toSorted())),
          (value) => value,
        ),
      )
      expect(merged).toEqual(lists.flat().sort())
    }),
  )
})

test('by arrival, a silent source does not hold back the others, and every value comes', async () => {
  const first = await take(inOrderOfArrival([source(['a', 'b', 'c']), source([], true)]), 3)
  expect(first).toEqual(['a', 'b', 'c'])
  expect((await take(inOrderOfArrival([source(['a', 'b']), source(['c']), source([])]))).sort()).toEqual([
    'a',
    'b',
    'c',
  ])
})

test('a source that fails fails the whole', async () => {
  await expect(take(inOrderOfTime([failing, source(['5'])], (value) => value))).rejects.toThrow('lost')
})
