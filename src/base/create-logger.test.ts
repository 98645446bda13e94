import { expect, test } from 'vitest'
import { createLogger } from './create-logger.ts'
import { baseErrors } from './errors.ts'

test('an error in a line keeps its message, code and cause, whatever field it stands in', () => {
  const lines: Record<string, unknown>[] = []
  const write = (line: string): void => void lines.push(JSON.parse(line))
  const log = createLogger({ level: 'info', format: 'json', destination: { write } }).child({ folder: 'app' })
  const cause = new Error('ENOSPC: no space left on device')
  log.warn({ error: baseErrors.disk_full('the disk is full', { cause }) }, 'one of ours')
  log.warn({ err: cause }, 'one of the system')
  expect(lines).toMatchObject([
    { error: { code: 'disk_full', message: 'the disk is full', cause: 'ENOSPC: no space left on device' } },
    { err: { message: 'ENOSPC: no space left on device', stack: expect.stringContaining('create-logger.test') } },
  ])
  expect(lines[0]).not.toHaveProperty(['error', 'stack'])
})
