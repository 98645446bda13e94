import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { programPath } from '../program.ts'
import { createWarren, type Warren } from './warren.ts'

let warren: Warren

beforeAll(async () => {
  warren = await createWarren()
  await warren.must('lab', 'up', '--nodes', '1')
  await warren.must('init', 'app', join(warren.folder, 'greet'))
})
afterAll(() => warren?.cleanup(), 60_000)

/** Runs the app until its first line is shown, then does what Ctrl-C does. */
async function firstLineOfRun(): Promise<{ line: string; code: number | null }> {
  const child = spawn(process.execPath, [await programPath(), 'run', 'greet', '--json'], {
    cwd: warren.folder,
    env: { PATH: process.env.PATH, HOME: warren.folder, WARREN_HOME: join(warren.folder, 'home') },
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  const ended = once(child, 'exit') as Promise<[number | null]>
  let shown = ''
  for await (const text of createInterface({ input: child.stdout })) {
    const { line } = JSON.parse(text) as { line?: string }
    if (line === undefined) continue
    shown = line
    break
  }
  child.kill('SIGINT')
  const [code] = await ended
  return { line: shown, code }
}

test('run shows the lines of the run that it began, not those of the one before, and leaves the app running', async () => {
  const first = await firstLineOfRun()
  const second = await firstLineOfRun()
  expect(first.line).toContain('hello from burrow-1')
  expect(second.line).toContain('hello from burrow-1')
  expect(second.line).not.toBe(first.line)
  expect(second.code).toBe(0)
  const [row] = (await warren.must('list', '--json')).json<{ status: string; version: string }[]>()
  expect(row?.status).toBe('running')
  expect(second.line).toContain(row?.version)
})
