import { setImmediate } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { ManualClock } from '../base/clock.ts'
import {
  ATTEMPT_COUNTS_MS,
  FIRST_PARALLEL_ATTEMPTS,
  MAX_PARALLEL_ATTEMPTS,
  MIN_PARALLEL_ATTEMPTS,
  OVERLOADED_AFTER_MS,
  SLOW_ATTEMPT_MS,
} from './constants.ts'
import { type DialOutcome, DialQueue } from './dial-queue.ts'

/** A queue whose attempts end when the test says so. */
function create({ urgent = [] as string[], over = [] as string[] } = {}) {
  const clock = new ManualClock(0)
  const underWay = new Map<string, (outcome: DialOutcome) => void>()
  const begun: string[] = []
  const queue = new DialQueue<string>({
    clock,
    attempt(item) {
      if (over.includes(item)) return undefined
      begun.push(item)
      return new Promise((resolve) => underWay.set(item, resolve))
    },
    isUrgent: (item) => urgent.includes(item),
  })
  const end = async (outcome: DialOutcome, items = [...underWay.keys()]): Promise<void> => {
    for (const item of items) {
      underWay.get(item)?.(outcome)
      underWay.delete(item)
    }
    await setImmediate()
  }
  return { clock, queue, underWay, begun, end }
}

function fill(queue: DialQueue<string>, count: number, name = 'peer'): void {
  for (let index = 0; index < count; index++) queue.add(`${name}-${index}`)
}

test('a thousand peers are not dialled all at once; the quicker it goes, the more of them', async () => {
  const { queue, underWay, begun, end } = create()
  fill(queue, 1_000)
  expect(underWay.size).toBe(FIRST_PARALLEL_ATTEMPTS)
  let most = 0
  while (underWay.size > 0) {
    most = Math.max(most, underWay.size)
    await end('connected')
  }
  expect(most).toBe(MAX_PARALLEL_ATTEMPTS)
  expect(new Set(begun).size).toBe(1_000)
})

test('attempts that take long leave room for one', async () => {
  const { clock, queue, underWay, end } = create()
  fill(queue, 1_000)
  for (let round = 0; round < 4; round++) {
    clock.advance(SLOW_ATTEMPT_MS + 1)
    await end('connected')
  }
  expect(underWay.size).toBe(MIN_PARALLEL_ATTEMPTS)
})

test('timers that come late leave room for one', () => {
  const { queue, underWay } = create()
  for (let round = 0; round < 3; round++) queue.noteLateness(OVERLOADED_AFTER_MS + 1)
  fill(queue, 1_000)
  expect(underWay.size).toBe(MIN_PARALLEL_ATTEMPTS)
})

test('who does not answer makes room for the next, and says nothing about this machine', async () => {
  const { clock, queue, underWay, begun, end } = create()
  fill(queue, 1_000)
  clock.advance(ATTEMPT_COUNTS_MS)
  expect(begun).toHaveLength(2 * FIRST_PARALLEL_ATTEMPTS)
  await end('unreachable', begun.slice(0, FIRST_PARALLEL_ATTEMPTS))
  expect(underWay.size).toBe(FIRST_PARALLEL_ATTEMPTS)
})

test('those that help most go first, and what is over by then takes no room', async () => {
  const { queue, begun, underWay, end } = create({ urgent: ['relay'], over: ['connected-0', 'connected-1'] })
  fill(queue, FIRST_PARALLEL_ATTEMPTS, 'first')
  fill(queue, 100)
  fill(queue, 2, 'connected')
  queue.add('relay')
  await end('failed', ['first-0'])
  expect(begun.indexOf('relay')).toBe(FIRST_PARALLEL_ATTEMPTS)
  while (underWay.size > 0) await end('failed')
  expect(begun).toHaveLength(FIRST_PARALLEL_ATTEMPTS + 101)
})

test('who is taken out of the queue, or waits when it stops, is not dialled', async () => {
  const { queue, begun, end } = create()
  fill(queue, FIRST_PARALLEL_ATTEMPTS + 2)
  queue.remove(`peer-${FIRST_PARALLEL_ATTEMPTS}`)
  await end('connected')
  expect(begun.at(-1)).toBe(`peer-${FIRST_PARALLEL_ATTEMPTS + 1}`)
  fill(queue, 100, 'other')
  const before = begun.length
  queue.stop()
  await end('connected')
  expect(begun).toHaveLength(before)
})
