import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { appendFileSync, openSync } from 'node:fs'
import { mkdtemp, readdir, rm, stat, truncate, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { ManualClock, systemClock } from '../../base/clock.ts'
import { silentLogger } from '../../base/log.ts'
import { openGroup, RUN_VARIABLE } from '../placement/index.ts'
import { AppLog, type AppLogDeps } from './app-log.ts'
import { readLastLine } from './last-line.ts'
import { MAX_LINE_BYTES } from './limits.ts'
import { LogFile } from './log-file.ts'
import { punchHole } from './punch-hole.ts'
import { type LogLine, type ReadLogOptions, readLog } from './read-log.ts'

let folder: string
const opened: AppLog[] = []

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'warren-logs-'))
})
afterEach(async () => {
  for (const log of opened.splice(0)) await log.close()
  await rm(folder, { recursive: true, force: true })
})

async function openLog(options: Partial<AppLogDeps> = {}): Promise<AppLog> {
  const log = new AppLog({
    folder,
    maxBytes: 64 * 1024,
    files: 5,
    clock: systemClock,
    log: silentLogger,
    freeze: async () => async () => undefined,
    ...options,
  })
  await log.open()
  opened.push(log)
  return log
}

async function collect(log: AppLog, options?: ReadLogOptions): Promise<LogLine[]> {
  const lines: LogLine[] = []
  for await (const line of readLog(log, options)) lines.push(line)
  return lines
}

const write = (stream: 'stdout' | 'stderr', text: string): void => appendFileSync(join(folder, `${stream}.log`), text)
/** Writes and sets the time of the writing, so that no test waits for a clock. */
async function writeAt(stream: 'stdout' | 'stderr', text: string, time: number): Promise<void> {
  write(stream, text)
  await utimes(join(folder, `${stream}.log`), time / 1000, time / 1000)
}
const texts = (lines: LogLine[]): string[] => lines.map(({ line }) => line)

/** A real program that appends numbered lines by itself, as an app does. */
function startWriter(count: number, env: Record<string, string> = {}, pause = ''): ReturnType<typeof spawn> {
  const fd = openSync(join(folder, 'stdout.log'), 'a')
  const program = `for (let i = 0; i < ${count}; i++) { process.stdout.write('line ' + String(i).padStart(9, '0') + ' ' + 'x'.repeat(40) + '\\n')
${pause} }`
  return spawn(process.execPath, ['-e', program], { stdio: ['ignore', fd, 'ignore'], env, detached: true })
}

test('both streams come in the order of time, with the times at which they were written', async () => {
  const log = await openLog()
  const start = Date.now() - 60_000
  await writeAt('stdout', 'one\n', start)
  await log.observe()
  await writeAt('stderr', 'two\n', start + 1000)
  await log.observe()
  await writeAt('stdout', 'three\r\n', start + 2000)
  const lines = await collect(log)
  expect(lines.map(({ stream, line }) => `${stream} ${line}`)).toEqual(['stdout one', 'stderr two', 'stdout three'])
  const times = lines.map(({ timeMs }) => timeMs)
  expect(times).toEqual([start, start + 1000, start + 2000])
  expect(texts(await collect(log, { sinceMs: times[1] }))).toEqual(['two', 'three'])
  expect(texts(await collect(log, { streams: ['stderr'] }))).toEqual(['two'])
  expect(await collect(log, { sinceMs: Date.now() + 60_000 })).toEqual([])
})

test('a reader that was cut off anywhere goes on by the cursor of its last line, also across a rotation', async () => {
  const log = await openLog({ maxBytes: 1000 })
  const start = Date.now() - 60_000
  for (let index = 0; index < 40; index++) {
    await writeAt(index % 3 === 0 ? 'stderr' : 'stdout', `line ${index}\n`, start + index * 10)
    await log.observe()
  }
  const all = await collect(log)
  expect(all).toHaveLength(40)
  for (const [index, { cursor }] of all.entries()) {
    expect(texts(await collect(log, { cursor, tail: 1 }))).toEqual(texts(all.slice(index + 1)))
  }
  for (let index = 0; index < 60; index++) write('stdout', `more ${index} ${'x'.repeat(20)}\n`)
  await log.observe()
  await log.stdout.rotate(async () => async () => undefined)
  const rest = texts(await collect(log, { cursor: all[20]?.cursor }))
  expect(rest).toHaveLength(19 + 60)
  expect(await collect(log, { cursor: 'no cursor' })).toHaveLength(100)
})

test('tail counts lines over both streams and over rotated parts', async () => {
  const log = await openLog({ maxBytes: 1000 })
  for (let index = 0; index < 100; index++) write('stdout', `line ${index} ${'x'.repeat(20)}\n`)
  await writeAt('stdout', '', Date.now() - 60_000)
  await log.observe()
  await log.stdout.rotate(async () => async () => undefined)
  expect((await readdir(folder)).filter((name) => name.startsWith('stdout.log.')).length).toBeGreaterThan(1)
  write('stderr', 'last\n')
  const tail = await collect(log, { tail: 60 })
  expect(tail).toHaveLength(60)
  expect(tail[0]?.line).toBe(`line 41 ${'x'.repeat(20)}`)
  expect(tail[59]?.line).toBe('last')
  expect(await collect(log, { tail: 0 })).toEqual([])
  expect(await collect(log, { tail: 1000 })).toHaveLength(101)
})

test('a very long line comes in bounded pieces, and a last line without a newline is not lost', async () => {
  const log = await openLog({ maxBytes: 10_000_000 })
  write('stdout', `${'y'.repeat(MAX_LINE_BYTES * 3 + 10)}\nshort\nunfinished`)
  const lines = await collect(log)
  expect(lines.map(({ line }) => line.length)).toEqual([MAX_LINE_BYTES, MAX_LINE_BYTES, MAX_LINE_BYTES, 10, 5, 10])
  await log.endLines()
  write('stdout', 'next\n')
  expect(texts(await collect(log, { tail: 2 }))).toEqual(['unfinished', 'next'])
})

test('200,000 lines of a running program survive all rotations, and a follower sees each of them once', async () => {
  const count = 200_000
  const log = await openLog({ maxBytes: 512 * 1024, files: 50 })
  log.watch()
  const controller = new AbortController()
  const follower = (async () => {
    let next = 0
    for await (const { line } of readLog(log, { follow: true, signal: controller.signal })) {
      if (Number(line.slice(5, 14)) !== next) throw new Error(`line ${next} expected, got ${line}`)
      if (++next === count) controller.abort()
    }
    return next
  })()
  const writer = startWriter(count)
  await once(writer, 'exit')
  expect(await follower).toBe(count)
  await log.unwatch()
  const names = await readdir(folder)
  expect(names.filter((name) => name.startsWith('stdout.log.')).length).toBeGreaterThan(5)
  const { blocks } = await stat(log.stdout.path)
  expect(blocks * 512).toBeLessThan(4 * 1024 * 1024)
  let next = 0
  for await (const { line } of readLog(log)) if (Number(line.slice(5, 14)) === next) next++
  expect(next).toBe(count)
})

test('where no hole can be punched, the writer stands still while the file is emptied, and nothing is lost', async () => {
  const count = 50_000
  const runId = `logs-test-${process.pid}`
  const group = openGroup('none', null, runId)
  let frozen = 0
  const log = await openLog({
    maxBytes: 256 * 1024,
    files: 50,
    punchHole: async () => false,
    freeze: async () => {
      frozen++
      await group.freeze()
      return () => group.thaw()
    },
  })
  log.watch()
  const writer = startWriter(
    count,
    { [RUN_VARIABLE]: runId },
    'if (i % 500 === 0) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10)',
  )
  await once(writer, 'exit')
  await log.unwatch()
  expect(frozen).toBeGreaterThan(0)
  const lines = texts(await collect(log))
  expect(lines).toHaveLength(count)
  expect(lines.every((line, index) => Number(line.slice(5, 14)) === index)).toBe(true)
  await log.close()
  opened.length = 0
  expect(await collect(await openLog())).toHaveLength(count)
})

test('only the newest parts are kept, and the time index shrinks with them', async () => {
  const log = await openLog({ maxBytes: 1000, files: 2 })
  for (let index = 0; index < 200; index++) {
    write('stdout', `line ${index} ${'x'.repeat(20)}\n`)
    await log.observe()
  }
  await log.stdout.rotate(async () => async () => undefined)
  const lines = texts(await collect(log))
  expect(lines.at(-1)).toMatch(/^line 199 /)
  expect(lines.length).toBeLessThan(110)
  const numbers = lines.map((line) => Number(line.split(' ')[1]))
  expect(numbers).toEqual(Array.from({ length: numbers.length }, (_, index) => 200 - numbers.length + index))
  expect((await stat(join(folder, 'stdout.times'))).size).toBeLessThan(110 * 16)
})

test('what was written while nobody watched is there afterwards, also behind a rotation that a crash cut off', async () => {
  const first = await openLog({ maxBytes: 1000 })
  for (let index = 0; index < 60; index++) write('stdout', `line ${index} ${'x'.repeat(20)}\n`)
  // As after a crash between the copy and the hole: the parts are there, the live file is whole.
  await first.observe()
  await first.stdout.rotate(async () => async () => undefined)
  await first.close()
  opened.length = 0
  await writeFile(join(folder, 'stdout.part'), 'half a copy')
  await writeFile(join(folder, 'stdout.times'), Buffer.concat([Buffer.alloc(16), Buffer.alloc(7)]))
  for (let index = 60; index < 70; index++) write('stdout', `line ${index} ${'x'.repeat(20)}\n`)
  const second = await openLog({ maxBytes: 1000 })
  const numbers = texts(await collect(second)).map((line) => Number(line.split(' ')[1]))
  expect(numbers).toEqual(Array.from({ length: 70 }, (_, index) => index))
})

test('a crash while the file was being emptied loses and doubles nothing', async () => {
  const deps = {
    folder,
    stream: 'stdout' as const,
    maxBytes: 1000,
    files: 5,
    clock: systemClock,
    punchHole: async () => false,
  }
  const first = new LogFile(deps)
  await first.open()
  for (let index = 0; index < 60; index++) write('stdout', `line ${index} ${'x'.repeat(20)}\n`)
  await first.observe()
  let isThawed = false
  await first.rotate(async () => async () => {
    isThawed = true
  })
  expect(isThawed).toBe(true)
  const { end } = first
  await first.close()
  for (const isEmptied of [false, true]) {
    // The journal says that the file is being emptied; the crash came just before, or just after.
    const state = { format: 1, origin: 0, base: end, freezing: true, truncateAt: end }
    await writeFile(join(folder, 'stdout.state'), JSON.stringify(state))
    if (isEmptied) await truncate(join(folder, 'stdout.log'), 0)
    else await writeFile(join(folder, 'stdout.log'), Buffer.alloc(end, 'z'))
    const again = new LogFile(deps)
    await again.open()
    expect(again.wasInterrupted).toBe(true)
    expect(again.end).toBe(end)
    const { size } = await stat(join(folder, 'stdout.log'))
    expect(size).toBe(0)
    await again.close()
  }
})

test('a reader of a file that was emptied by hand goes on with what is new', async () => {
  const log = await openLog()
  write('stdout', 'old\n'.repeat(100))
  await log.observe()
  await truncate(log.stdout.path, 0)
  write('stdout', 'new\n')
  expect(texts(await collect(log, { tail: 1 }))).toEqual(['new'])
})

test('the last line is the latest that is not blank, of this run only', async () => {
  const clock = new ManualClock(Date.now() + 1000)
  const log = await openLog({ clock })
  write('stdout', 'of the run before\n')
  await log.observe()
  const since = { stdout: log.stdout.end, stderr: log.stderr.end }
  expect(await readLastLine(log, since)).toBeUndefined()
  write('stdout', 'starting\n')
  write('stderr', 'boom\n\n')
  expect(await readLastLine(log, since)).toBe('boom')
})

test('the space of a punched range is free and its bytes are zero', async () => {
  const path = join(folder, 'file')
  await writeFile(path, Buffer.alloc(1024 * 1024, 'x'))
  if (!(await punchHole(path, 0, 1024 * 1024))) return
  expect((await stat(path)).size).toBe(1024 * 1024)
  expect((await stat(path)).blocks).toBe(0)
  expect(await punchHole(join(folder, 'missing'), 0, 10)).toBe(false)
})
