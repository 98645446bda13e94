import { setImmediate } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { ManualClock } from '../../base/clock.ts'
import { NetworkMonitor } from './network-monitor.ts'
import { race } from './race.ts'

/** Attempts that wait to be told how they end. */
function attemptsOf(count: number) {
  const begun: number[] = []
  const given: number[] = []
  const all = Array.from({ length: count }, () => Promise.withResolvers<string>())
  const attempts = all.map((each, index) => (signal: AbortSignal) => {
    begun.push(index)
    signal.addEventListener('abort', () => given.push(index))
    return each.promise
  })
  return { begun, given, attempts, all }
}

test('attempts begin one after the other, and the first success ends the others', async () => {
  const clock = new ManualClock()
  const { begun, given, attempts, all } = attemptsOf(4)
  const stop = new AbortController()
  const won = race(attempts, { staggerMs: 250, limit: 3, signal: stop.signal, clock })
  expect(begun).toEqual([0])
  clock.advance(250)
  expect(begun).toEqual([0, 1])
  clock.advance(10_000)
  expect(begun).toEqual([0, 1, 2])
  all[1]?.resolve('one')
  expect(await won).toBe('one')
  expect(given.sort()).toEqual([0, 1, 2])
  clock.advance(10_000)
  expect(begun).toHaveLength(3)
})

test('one that fails lets the next begin at once; all failures together are the outcome', async () => {
  const clock = new ManualClock()
  const { begun, attempts, all } = attemptsOf(2)
  const won = race(attempts, { staggerMs: 250, limit: 1, signal: new AbortController().signal, clock })
  all[0]?.reject(new Error('closed'))
  await setImmediate()
  expect(begun).toEqual([0, 1])
  all[1]?.reject(new Error('silent'))
  await expect(won).rejects.toMatchObject({ errors: [{ message: 'closed' }, { message: 'silent' }] })
})

test('nothing to try fails, and a race that is given up ends with the reason', async () => {
  const clock = new ManualClock()
  const signal = new AbortController().signal
  await expect(race([], { staggerMs: 1, limit: 1, signal, clock })).rejects.toBeInstanceOf(AggregateError)
  const { given, attempts } = attemptsOf(1)
  const stop = new AbortController()
  const won = race(attempts, { staggerMs: 1, limit: 1, signal: stop.signal, clock })
  stop.abort(new Error('enough'))
  await expect(won).rejects.toThrow('enough')
  expect(given).toEqual([0])
})

test('a machine that has slept has its network looked at', async () => {
  const clock = new ManualClock()
  let sleptMs = 0
  const seen: string[] = []
  const monitor = new NetworkMonitor({
    clock: {
      now: () => clock.now() + sleptMs,
      monotonicMs: () => clock.monotonicMs(),
      setTimeout: (run, delayMs) => clock.setTimeout(run, delayMs),
      clearTimeout: (handle) => clock.clearTimeout(handle),
    },
    onChange: (why) => seen.push(why),
  })
  await monitor.start()
  const look = async (): Promise<void> => {
    clock.advance(1_000)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  await look()
  expect(seen).toEqual([])
  sleptMs = 60_000
  await look()
  await expect.poll(() => seen).toEqual(['slept'])
  monitor.stop()
})
