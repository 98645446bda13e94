import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
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

test('a log on a full disk does not end the process that writes it', async () => {
  const full = await open('/dev/full', 'w')
  try {
    const program = [
      `import { createLogger } from ${JSON.stringify(join(import.meta.dirname, 'create-logger.ts'))}`,
      "const log = createLogger({ level: 'info', format: 'console' })",
      "for (const count of [1, 2]) log.warn({ count }, 'said in vain')",
      "setImmediate(() => { log.warn({}, 'and later'); console.log('goes on') })",
    ].join('\n')
    const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
      stdio: ['ignore', 'pipe', full.fd],
    })
    const said: string[] = []
    child.stdout?.setEncoding('utf8').on('data', (text: string) => said.push(text))
    const [code] = await once(child, 'close')
    expect({ code, said: said.join('') }).toEqual({ code: 0, said: 'goes on\n' })
  } finally {
    await full.close()
  }
})
