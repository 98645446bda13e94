import fc from 'fast-check'
import { expect, test } from 'vitest'
import { ManualClock } from '../base/clock.ts'
import { Attempts } from './attempts.ts'

const NEVER = new AbortController().signal

function fiveThenOneInTenSeconds() {
  const clock = new ManualClock()
  return { clock, attempts: new Attempts({ burst: 5, perSecond: 0.1, maxKeys: 100, clock }) }
}

async function fail(attempts: Attempts, key: string): Promise<boolean> {
  const end = await attempts.begin(key, NEVER)
  end?.(false)
  return end !== undefined
}

test('five attempts may fail, then one every ten seconds', async () => {
  const { clock, attempts } = fiveThenOneInTenSeconds()
  for (let count = 0; count < 5; count++) expect(await fail(attempts, 'a')).toBe(true)
  expect(await fail(attempts, 'a')).toBe(false)
  expect(attempts.hasRoom('a')).toBe(false)
  expect(await fail(attempts, 'b')).toBe(true)
  clock.advance(9_000)
  expect(await fail(attempts, 'a')).toBe(false)
  clock.advance(1_000)
  expect(attempts.hasRoom('a')).toBe(true)
  expect(await fail(attempts, 'a')).toBe(true)
  expect(await fail(attempts, 'a')).toBe(false)
})

test('an attempt that goes well costs nothing', async () => {
  const { attempts } = fiveThenOneInTenSeconds()
  for (let count = 0; count < 50; count++) {
    const end = await attempts.begin('a', NEVER)
    end?.(true)
  }
  expect(await fail(attempts, 'a')).toBe(true)
})

test('an attempt without room waits for those under way, and begins when one of them goes well', async () => {
  const { attempts } = fiveThenOneInTenSeconds()
  const ends = await Promise.all(Array.from({ length: 5 }, () => attempts.begin('a', NEVER)))
  const begun: string[] = []
  const waiting = ['sixth', 'seventh'].map((name) =>
    attempts.begin('a', NEVER).then((end) => {
      begun.push(name)
      return end
    }),
  )
  for (const end of ends.slice(0, 4)) end?.(false)
  await Promise.resolve()
  expect(begun).toEqual([])
  ends[4]?.(true)
  const sixth = await waiting[0]
  expect(begun).toEqual(['sixth'])
  sixth?.(false)
  expect(await waiting[1]).toBeUndefined()
})

test('waiting ends with the signal', async () => {
  const { attempts } = fiveThenOneInTenSeconds()
  for (let count = 0; count < 5; count++) await attempts.begin('a', NEVER)
  const stop = new AbortController()
  const waiting = attempts.begin('a', stop.signal)
  stop.abort()
  expect(await waiting).toBeUndefined()
})

test('a failure that never began counts too, and does not make a debt', async () => {
  const { clock, attempts } = fiveThenOneInTenSeconds()
  for (let count = 0; count < 20; count++) attempts.charge('a')
  expect(attempts.hasRoom('a')).toBe(false)
  clock.advance(10_000)
  expect(attempts.hasRoom('a')).toBe(true)
})

test('no more keys are remembered than the limit, and none that is forgiven', async () => {
  const { clock, attempts } = fiveThenOneInTenSeconds()
  for (let count = 0; count < 1_000; count++) await fail(attempts, `source ${count}`)
  expect(attempts.size).toBe(100)
  clock.advance(10_000)
  expect(attempts.size).toBe(0)
})

test('whatever the order, never more attempts have failed than the burst and the time allow', async () => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant('begin' as const) }),
    fc.record({ kind: fc.constant('end' as const), at: fc.nat(10), well: fc.boolean() }),
    fc.record({ kind: fc.constant('wait' as const), ms: fc.nat(5_000) }),
  )
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 200 }), async (steps) => {
      const { clock, attempts } = fiveThenOneInTenSeconds()
      const startedMs = clock.monotonicMs()
      const open: ((well: boolean) => void)[] = []
      let failed = 0
      for (const next of steps) {
        if (next.kind === 'wait') clock.advance(next.ms)
        else if (next.kind === 'begin') {
          const aborted = open.length > 0 ? AbortSignal.abort() : NEVER
          const end = await attempts.begin('a', attempts.hasRoom('a') && open.length === 0 ? NEVER : aborted)
          if (end !== undefined) open.push(end)
        } else {
          const [end] = open.splice(next.at % Math.max(1, open.length), 1)
          if (end !== undefined && !next.well) failed += 1
          end?.(next.well)
        }
        expect(failed).toBeLessThanOrEqual(5 + Math.floor((clock.monotonicMs() - startedMs) / 10_000))
      }
    }),
  )
})
