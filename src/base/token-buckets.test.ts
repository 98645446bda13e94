import fc from 'fast-check'
import { expect, test } from 'vitest'
import { ManualClock } from './clock.ts'
import { TokenBuckets } from './token-buckets.ts'

const takeAll = (buckets: TokenBuckets, key: string) => {
  let taken = 0
  while (buckets.take(key)) taken++
  return taken
}

test('a burst is used up, comes back with time, and never grows beyond itself', () => {
  const clock = new ManualClock()
  const buckets = new TokenBuckets({ perSecond: 10, burst: 5, maxKeys: 10, clock })
  expect(takeAll(buckets, 'a')).toBe(5)
  clock.advance(300)
  expect(takeAll(buckets, 'a')).toBe(3)
  clock.advance(60_000)
  expect(takeAll(buckets, 'a')).toBe(5)
})

test('one key never uses up what is another’s', () => {
  const buckets = new TokenBuckets({ perSecond: 1, burst: 3, maxKeys: 10, clock: new ManualClock() })
  takeAll(buckets, 'noisy')
  expect(takeAll(buckets, 'quiet')).toBe(3)
})

test('over any time no key gets more than its burst and what came back', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(500)), (steps) => {
      const clock = new ManualClock()
      const buckets = new TokenBuckets({ perSecond: 20, burst: 7, maxKeys: 2, clock })
      let taken = 0
      for (const step of steps) {
        clock.advance(step)
        taken += takeAll(buckets, 'a')
      }
      const elapsedMs = steps.reduce((sum, step) => sum + step, 0)
      expect(taken).toBeLessThanOrEqual(7 + (elapsedMs / 1000) * 20)
    }),
  )
})

test('no more keys are remembered than the limit', () => {
  const buckets = new TokenBuckets({ perSecond: 1, burst: 1, maxKeys: 2, clock: new ManualClock() })
  expect([buckets.take('a'), buckets.take('b'), buckets.take('c')]).toEqual([true, true, true])
  expect(buckets.take('c')).toBe(false)
  expect(buckets.take('a')).toBe(true)
})
