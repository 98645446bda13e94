import { expect, test } from 'vitest'
import { ManualClock } from '../../base/clock.ts'
import { startWatchdog } from './watchdog.ts'

test('it fires once, the idle time after the last touch, and not in a pause or once stopped', () => {
  const clock = new ManualClock()
  let fired = 0
  const watchdog = startWatchdog(clock, 100, () => fired++)
  clock.advance(60)
  watchdog.touch()
  clock.advance(99)
  expect(fired).toBe(0)
  watchdog.pause()
  clock.advance(1000)
  expect(fired).toBe(0)
  watchdog.touch()
  clock.advance(200)
  expect(fired).toBe(1)
  clock.advance(1000)
  expect(fired).toBe(1)
  const stopped = startWatchdog(clock, 100, () => fired++)
  stopped.stop()
  clock.advance(1000)
  expect(fired).toBe(1)
})
