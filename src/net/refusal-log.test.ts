import { expect, test } from 'vitest'
import { ManualClock } from '../base/clock.ts'
import { type Logger, silentLogger } from '../base/log.ts'
import { RefusalLog } from './refusal-log.ts'

test('a flood of refusals writes a few lines, and the next one says how many were left out', () => {
  const lines: object[] = []
  const log: Logger = { ...silentLogger, warn: (fields) => void lines.push(fields) }
  const clock = new ManualClock()
  const refusals = new RefusalLog(log, clock)
  const refusal = {
    peer: null,
    address: '/ip4/1.2.3.4',
    code: 'network_key_mismatch',
    reason: 'no proof',
    cause: 'proof',
    direction: 'inbound',
  } as const
  for (let index = 0; index < 10_000; index++) refusals.tell(refusal)
  expect(lines).toHaveLength(20)
  clock.advance(5000)
  refusals.tell(refusal)
  expect(lines.at(-1)).toMatchObject({ left_out_before: 9980 })
})
