import { setImmediate } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { ManualClock } from '../../base/clock.ts'
import { Counters } from '../../base/counters.ts'
import { silentLogger } from '../../base/log.ts'
import type { ConnectionTable } from '../connections.ts'
import type { PunchOutcome } from '../punch/index.ts'
import type { NetworkInit } from '../types.ts'
import { FailureBook } from './failures.ts'
import { PUNCH_RETRY, PUNCH_SECOND_AFTER_MS } from './limits.ts'
import { Upgrades } from './upgrades.ts'

const FAILED: PunchOutcome = { ok: false, reason: 'both NATs map per destination', permanent: false }

/** One peer that is reached over a relay, until `direct` is set. */
function create({ self = 'lower', outbound = true, outcome = FAILED } = {}) {
  const clock = new ManualClock(0)
  const failures = new FailureBook(clock)
  const state = { direct: false, outcome }
  const punched: number[] = []
  const dialled: number[] = []
  const over: unknown[] = []
  /** What people are told while an attempt runs. */
  const whyMeanwhile: (string | null)[] = []
  const table = {
    isConnected: () => true,
    preferred: (_peer: string, options?: { direct?: boolean }) =>
      options?.direct === true && !state.direct ? undefined : { direction: outbound ? 'outbound' : 'inbound' },
    ready: async () => undefined,
  } as unknown as ConnectionTable
  const upgrades = new Upgrades({
    self,
    network: { clock, log: silentLogger, counters: new Counters() } as unknown as NetworkInit,
    table,
    failures,
    puncher: {
      async punch(_peer, options) {
        over.push(options?.over)
        punched.push(clock.now())
        whyMeanwhile.push(failures.why('peer', ['punch']))
        return state.outcome
      },
    },
    async findDirect() {
      dialled.push(clock.now())
      throw new Error('no address answers')
    },
    mayDial: () => true,
  })
  const pass = async (ms: number): Promise<void> => {
    const stepMs = Math.min(ms, 1_000)
    for (let passed = 0; passed < ms; passed += stepMs) {
      clock.advance(stepMs)
      for (let turn = 0; turn < 4; turn++) await setImmediate()
    }
  }
  return { state, over, punched, dialled, whyMeanwhile, failures, upgrades, pass }
}

test('the lower id begins at once, and again after one, two, four minutes, up to half an hour', async () => {
  const { punched, dialled, failures, upgrades, pass } = create()
  upgrades.look('peer')
  await pass(7 * 3_600_000)
  expect(punched[0]).toBeLessThanOrEqual(1_000)
  const delays = punched.slice(1).map((at, index) => at - (punched[index] as number))
  const expected = [60_000, 120_000, 240_000, 480_000, 960_000, 1_800_000, 1_800_000]
  for (const [index, expectedMs] of expected.entries()) {
    expect(Math.abs((delays[index] as number) - expectedMs)).toBeLessThanOrEqual(expectedMs * 0.11 + 1_000)
  }
  // The search that brought the relayed connection had tried the addresses.
  expect(dialled).toHaveLength(punched.length - 1)
  expect(failures.why('peer', ['punch'])).toBe('punch: both NATs map per destination')
  upgrades.stop()
})

test('why there is no direct path is told while the next attempt runs', async () => {
  const { whyMeanwhile, upgrades, pass } = create()
  upgrades.look('peer')
  await pass(120_000)
  expect(whyMeanwhile).toEqual([null, 'punch: both NATs map per destination'])
  upgrades.stop()
})

test('where both were dialled by each other, one begins at once all the same', async () => {
  const { punched, upgrades, pass } = create({ outbound: false })
  upgrades.look('peer')
  await pass(1)
  expect(punched).toHaveLength(1)
  upgrades.stop()
})

test('a punch does not wait until the relayed connection has answered', async () => {
  const fresh = {} as never
  const { over, upgrades, pass } = create()
  upgrades.begin('peer', fresh)
  expect(over).toEqual([fresh])
  await pass(1)
  upgrades.look('peer')
  await pass(1)
  // The attempt that goes on: it is that one while it runs.
  expect(over).toEqual([fresh, undefined])
  upgrades.begin('peer', fresh)
  expect(over).toHaveLength(2)
  upgrades.stop()
  const other = create({ self: 'upper' })
  other.upgrades.begin('peer', fresh)
  const direct = create()
  direct.state.direct = true
  direct.upgrades.begin('peer', fresh)
  expect([...other.over, ...direct.over]).toEqual([])
})

test('the other side gives it time, and both try at once when something has changed', async () => {
  const { punched, upgrades, pass } = create({ self: 'upper' })
  upgrades.look('peer')
  await pass(PUNCH_SECOND_AFTER_MS / 2)
  expect(punched).toEqual([])
  await pass(PUNCH_SECOND_AFTER_MS / 2)
  expect(punched).toHaveLength(1)
  upgrades.retry('peer')
  await pass(PUNCH_SECOND_AFTER_MS + 1_000)
  expect(punched).toHaveLength(2)
  upgrades.retry('somebody else')
  await pass(5_000)
  expect(punched).toHaveLength(2)
  upgrades.stop()
})

test('what has no prospects is tried every half hour, and nothing once the path is direct', async () => {
  const { state, punched, upgrades, pass } = create({ outcome: { ...FAILED, permanent: true } as PunchOutcome })
  upgrades.look('peer')
  await pass(PUNCH_RETRY.maxMs)
  expect(punched).toHaveLength(1)
  await pass(10_000)
  expect(punched).toHaveLength(2)
  state.direct = true
  upgrades.look('peer')
  await pass(2 * PUNCH_RETRY.maxMs)
  expect(punched).toHaveLength(2)
  upgrades.stop()
})
