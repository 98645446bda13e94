import { setImmediate } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { ManualClock } from '../base/clock.ts'
import { Counters } from '../base/counters.ts'
import { silentLogger } from '../base/log.ts'
import { FIRST_PARALLEL_ATTEMPTS } from './constants.ts'
import { Dialler } from './dialler.ts'
import { netErrors } from './errors.ts'
import { LONE_MS, LONE_RETRY_MS } from './path/limits.ts'

/** A dialler whose peers answer when they are put into `up`; `at` has the times of the attempts by target. */
function create({ important = [] as string[], relays = [] as string[], others = 0 } = {}) {
  const clock = new ManualClock(0)
  const up = new Set<string>()
  const connected = new Set<string>(Array.from({ length: others }, (_, index) => `other-${index}`))
  const at = new Map<string, number[]>()
  const dialler = new Dialler({
    clock,
    log: silentLogger,
    counters: new Counters(),
    async connect(target) {
      at.set(target, [...(at.get(target) ?? []), clock.now()])
      if (!up.has(target)) throw netErrors.peer_unreachable(target)
      connected.add(target)
      dialler.onConnected(target)
      return target
    },
    isConnected: (peer) => connected.has(peer),
    mayDial: () => true,
    isLone: () => connected.size === 0,
    isImportant: (target) => important.includes(target),
    isRelay: (target) => relays.includes(target),
  })
  const lose = (peer: string): void => {
    connected.delete(peer)
    dialler.onDisconnected(peer)
  }
  /** In small steps, so that what an attempt leads to happens in between. */
  const pass = async (ms: number, stepMs = 50): Promise<void> => {
    for (let passed = 0; passed < ms; passed += stepMs) {
      clock.advance(stepMs)
      await setImmediate()
    }
  }
  return { clock, dialler, up, at, lose, pass, connected }
}

function delaysOf(times: readonly number[] = []): number[] {
  return times.slice(1).map((time, index) => time - (times[index] as number))
}

test('retries follow the clock: a quarter second, then 1, 2, 4 seconds, up to a minute', async () => {
  const { dialler, at, pass } = create({ others: 1 })
  dialler.start()
  dialler.onConnected('other-0')
  dialler.want('away', 'away')
  await pass(260_000)
  const expected = [250, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]
  const delays = delaysOf(at.get('away'))
  expect(delays.length).toBeGreaterThanOrEqual(8)
  for (const [index, delayMs] of delays.entries()) {
    const expectedMs = expected[index] ?? 60_000
    expect(Math.abs(delayMs - expectedMs)).toBeLessThanOrEqual(expectedMs * 0.11 + 50)
  }
})

test('with everything lost, those who help most are tried twice a second for five minutes', async () => {
  const { dialler, at, up, lose, pass } = create({ important: ['relay'] })
  up.add('recent')
  dialler.start()
  for (const peer of ['relay', 'recent', 'far']) dialler.want(peer, peer)
  await pass(100)
  up.clear()
  lose('recent')
  at.clear()
  await pass(LONE_MS)
  for (const peer of ['relay', 'recent']) {
    expect(Math.max(...delaysOf(at.get(peer)))).toBeLessThanOrEqual(LONE_RETRY_MS + 50)
  }
  expect(at.get('far')?.length).toBeLessThan(20)
  at.clear()
  await pass(60_000)
  expect(at.get('relay')?.length ?? 0).toBeLessThanOrEqual(3)
})

test('the first success after everything was lost has all the others tried at once', async () => {
  const { dialler, at, up, lose, pass } = create()
  up.add('one').add('two')
  dialler.start()
  for (const peer of ['one', 'two']) dialler.want(peer, peer)
  await pass(100)
  up.clear()
  lose('one')
  lose('two')
  await pass(LONE_MS + 120_000)
  up.add('one').add('two')
  at.clear()
  dialler.retry('one')
  await pass(100)
  expect(at.get('two')).toHaveLength(1)
})

test('a lost relay is tried twice a second although others are connected', async () => {
  const { dialler, at, pass } = create({ relays: ['relay'], others: 1 })
  dialler.start()
  dialler.onConnected('other-0')
  dialler.want('relay', 'relay')
  await pass(60_000)
  expect(Math.max(...delaysOf(at.get('relay')))).toBeLessThanOrEqual(LONE_RETRY_MS + 50)
  await pass(LONE_MS)
  at.clear()
  await pass(60_000)
  expect(at.get('relay')?.length ?? 0).toBeLessThanOrEqual(3)
})

test('news of a peer has it tried at once, its delays starting over', async () => {
  const { dialler, at, pass } = create({ others: 1 })
  dialler.start()
  dialler.onConnected('other-0')
  dialler.want('away', 'away')
  await pass(60_000)
  at.clear()
  dialler.retry('away')
  await pass(1_500)
  expect(at.get('away')).toHaveLength(3)
})

test('news of a peer that is to dial first leave it its time', async () => {
  const { dialler, at, pass } = create({ others: 1 })
  dialler.start()
  dialler.want('second', 'second', 500)
  dialler.retry('second', 500)
  await pass(400)
  expect(at.has('second')).toBe(false)
  await pass(200)
  expect(at.get('second')).toHaveLength(1)
})

test('who asks for many connections gets them in turn, with the outcome of each', async () => {
  const { dialler, up, at, pass } = create({ others: 1 })
  for (let index = 0; index < 20; index++) up.add(`peer-${index}`)
  dialler.start()
  const connecting = Array.from({ length: 20 }, (_, index) => dialler.connect(`peer-${index}`))
  expect(at.size).toBe(FIRST_PARALLEL_ATTEMPTS)
  expect(await Promise.all(connecting)).toEqual([...up])
  await expect(dialler.connect('away')).rejects.toMatchObject({ code: 'peer_unreachable' })
  await pass(5_000)
  expect(at.get('away')).toHaveLength(1)
})

test('who no longer waits for a connection loses the turn', async () => {
  const { dialler, at } = create({ others: 1 })
  dialler.start()
  const first = Array.from({ length: FIRST_PARALLEL_ATTEMPTS }, (_, index) => dialler.connect(`away-${index}`))
  const stop = new AbortController()
  const given = dialler.connect('late', { signal: stop.signal })
  stop.abort(new Error('enough'))
  await expect(given).rejects.toThrow('enough')
  await Promise.allSettled(first)
  expect(at.has('late')).toBe(false)
  await expect(dialler.connect('later', { signal: stop.signal })).rejects.toThrow('enough')
})
