import { expect, test } from 'vitest'
import { createLogger } from './create-logger.ts'
import { baseErrors } from './errors.ts'

test('a line for people stays one line, whatever stands in it', () => {
  const lines: string[] = []
  const write = (line: string): void => void lines.push(line)
  const log = createLogger({ level: 'info', format: 'console', destination: { write } })
  log.warn({ reason: 'a\n2026 error  forged\u001b[2J' }, 'two\nlines')
  expect(lines.join('')).toMatch(/^\S+ warn {2}two\\nlines {2}reason=a\\n2026 error {2}forged\\u001b\[2J\n$/)
})

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
