import { expect, test } from 'vitest'
import { ManualClock } from '../base/clock.ts'
import { type Logger, silentLogger } from '../base/log.ts'
import { BoundedLog } from './bounded-log.ts'

test('a flood of refusals writes a few lines, and the next one says how many were left out', () => {
  const lines: object[] = []
  const log: Logger = { ...silentLogger, warn: (fields) => void lines.push(fields) }
  const clock = new ManualClock()
  const refusals = new BoundedLog(log, clock)
  const refusal = {
    peer: null,
    address: '/ip4/1.2.3.4',
    code: 'network_key_mismatch',
    reason: 'no proof',
    cause: 'proof',
    direction: 'inbound',
  } as const
  for (let index = 0; index < 10_000; index++) refusals.warn(refusal, 'a connection was refused')
  expect(lines).toHaveLength(20)
  clock.advance(5000)
  refusals.warn(refusal, 'a connection was refused')
  expect(lines.at(-1)).toMatchObject({ left_out_before: 9980 })
})
