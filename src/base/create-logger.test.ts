import { expect, test } from 'vitest'
import { ManualClock } from './clock.ts'
import { createLogger } from './create-logger.ts'

function newLog(level: 'debug' | 'info' = 'info') {
  const lines: Record<string, unknown>[] = []
  const clock = new ManualClock()
  const destination = { write: (line: string) => void lines.push(JSON.parse(line) as Record<string, unknown>) }
  return { log: createLogger({ level, format: 'json', destination, clock }), lines, clock }
}

test('a message that others can cause without end does not fill the disk, and tells how often it was left out', () => {
  const { log, lines, clock } = newLog()
  const child = log.child({ folder: 'rollout' })
  for (let index = 0; index < 10_000; index++) child.warn({ index }, 'a statement was refused')
  expect(lines.length).toBeLessThanOrEqual(500)
  const before = lines.length
  log.warn({}, 'something else')
  expect(lines.at(-1)).toMatchObject({ message: 'something else' })
  clock.advance(60_000)
  child.warn({ index: -1 }, 'a statement was refused')
  expect(lines.at(-1)).toMatchObject({
    folder: 'rollout',
    index: -1,
    message: 'a statement was refused',
    left_out_before: 10_000 - before,
  })
})

test('an error is written whole', () => {
  const { log, lines } = newLog()
  log.error({ err: new Error('no luck') }, 'it failed')
  expect(JSON.stringify(lines[0])).toContain('no luck')
})

test('who asks for all gets all', () => {
  const { log, lines } = newLog('debug')
  for (let index = 0; index < 2000; index++) log.debug({ index }, 'a stream ended early')
  expect(lines).toHaveLength(2000)
})
