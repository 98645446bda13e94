import { readFileSync } from 'node:fs'
import { mkdtemp, open, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterEach, expect, test } from 'vitest'
import { createLogger } from './create-logger.ts'
import { baseErrors } from './errors.ts'
import { nameFile } from './files.ts'
import {
  Backoff,
  Counters,
  EventBus,
  exitCodeOf,
  formatBytes,
  formatDuration,
  fromHex,
  ManualClock,
  mapLimited,
  parseDuration,
  readFileBounded,
  SerialQueue,
  setAside,
  sleep,
  toHex,
  toWarrenError,
  WarrenError,
  withTimeout,
  writeFileAtomic,
} from './index.ts'
import { version } from './version.ts'

const folders: string[] = []
const makeFolder = async () => {
  const folder = await mkdtemp(join(tmpdir(), 'warren-base-'))
  folders.push(folder)
  return folder
}
afterEach(async () => {
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true, force: true })
})

test('the version is that of package.json', () => {
  expect(JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')).version).toBe(version)
})

test('durations are read in all units, and a bare number is refused', () => {
  expect([parseDuration('250ms'), parseDuration('1h30m'), parseDuration('1.5s'), parseDuration('7d')]).toEqual([
    250, 5_400_000, 1500, 604_800_000,
  ])
  expect([parseDuration('5'), parseDuration(''), parseDuration('-1s'), parseDuration('1 s')]).toEqual([
    undefined,
    undefined,
    undefined,
    undefined,
  ])
})

test('durations and sizes are written for people', () => {
  expect([0, 999, 2400, 59_400, 200_000, 18_720_000, 180_000_000].map(formatDuration)).toEqual([
    '0 ms',
    '999 ms',
    '2.4 s',
    '59 s',
    '3 m 20 s',
    '5 h 12 m',
    '2 d 2 h',
  ])
  expect([0, 999, 1000, 12_345, 1_400_000, 999_999, 5e12].map(formatBytes)).toEqual([
    '0 B',
    '999 B',
    '1 KB',
    '12 KB',
    '1.4 MB',
    '1 MB',
    '5 TB',
  ])
})

test('hex and bytes are each other’s way back, and other text is refused', () => {
  fc.assert(
    fc.property(fc.uint8Array(), (bytes) => {
      expect(fromHex(toHex(bytes))).toEqual(bytes)
    }),
  )
  expect([fromHex('abc'), fromHex('zz')]).toEqual([undefined, undefined])
})

test('a backoff doubles up to its limit, and starts over after a reset', () => {
  const backoff = new Backoff({ jitter: 0 })
  expect(Array.from({ length: 8 }, () => backoff.next())).toEqual([
    1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000,
  ])
  backoff.reset()
  expect(backoff.next()).toBe(1000)
})

test('an atomic write replaces the content, keeps the mode asked for, and leaves no temporary file', async () => {
  const folder = await makeFolder()
  const path = join(folder, 'deep', 'file')
  await writeFileAtomic(path, 'one')
  await writeFileAtomic(path, 'two')
  expect(await readFile(path, 'utf8')).toBe('two')
  expect((await stat(path)).mode & 0o777).toBe(0o600)
  expect(await readdir(join(folder, 'deep'))).toEqual(['file'])
})

test('an atomic write that fails leaves the old content and nothing else', async () => {
  const folder = await makeFolder()
  await writeFileAtomic(join(folder, 'file', 'inner'), 'a folder is in the way')
  await expect(writeFileAtomic(join(folder, 'file'), 'new')).rejects.toMatchObject({ code: 'EISDIR' })
  expect(await readdir(folder)).toEqual(['file'])
})

test('a file over the limit is refused before it is read, and a missing one is undefined', async () => {
  const folder = await makeFolder()
  await writeFile(join(folder, 'big'), 'x'.repeat(100))
  await expect(readFileBounded(join(folder, 'big'), 99)).rejects.toMatchObject({ code: 'invalid_value' })
  expect((await readFileBounded(join(folder, 'big'), 100))?.length).toBe(100)
  expect(await readFileBounded(join(folder, 'none'), 1)).toBeUndefined()
})

test('a damaged file is set aside under a name that tells when', async () => {
  const folder = await makeFolder()
  await writeFile(join(folder, 'state.json'), '{')
  const aside = await setAside(join(folder, 'state.json'), Date.UTC(2026, 0, 2, 3, 4, 5))
  expect(aside).toBe(join(folder, 'state.json.damaged-2026-01-02T03-04-05-000Z'))
  expect(await readFile(aside, 'utf8')).toBe('{')
})

test('a wait ends by its clock, or by its signal', async () => {
  const clock = new ManualClock()
  let woken = false
  const waiting = sleep(1000, { clock }).then(() => {
    woken = true
  })
  clock.advance(999)
  await Promise.resolve()
  expect(woken).toBe(false)
  clock.advance(1)
  await waiting
  const stop = new AbortController()
  const stopped = sleep(1000, { clock, signal: stop.signal })
  stop.abort(new Error('enough'))
  await expect(stopped).rejects.toThrow('enough')
})

test('work over its time limit fails with what took too long, and its signal fires', async () => {
  const clock = new ManualClock()
  let fired = false
  const work = withTimeout(
    'the dial',
    50,
    (signal) =>
      new Promise<never>(() =>
        signal.addEventListener('abort', () => {
          fired = true
        }),
      ),
    { clock },
  )
  clock.advance(50)
  await expect(work).rejects.toMatchObject({ code: 'timed_out', message: expect.stringContaining('the dial') })
  expect(fired).toBe(true)
})

test('limited work keeps its order and never runs more at once', async () => {
  let running = 0
  let most = 0
  const results = await mapLimited([5, 1, 4, 2, 3], 2, async (value) => {
    most = Math.max(most, ++running)
    await sleep(value)
    running--
    return value * 10
  })
  expect(results).toEqual([50, 10, 40, 20, 30])
  expect(most).toBe(2)
})

test('a queue runs one after another, also after a failure', async () => {
  const queue = new SerialQueue()
  const order: number[] = []
  const first = queue.run(async () => {
    await sleep(5)
    order.push(1)
    throw new Error('first failed')
  })
  const second = queue.run(async () => order.push(2))
  await expect(first).rejects.toThrow('first failed')
  await second
  expect(order).toEqual([1, 2])
})

test('a listener that throws does not keep the next from hearing', () => {
  const errors: unknown[] = []
  const bus = new EventBus<{ tick: number }>((error) => errors.push(error))
  const heard: number[] = []
  bus.on('tick', () => {
    throw new Error('mine')
  })
  const off = bus.on('tick', (n) => heard.push(n))
  bus.emit('tick', 1)
  off()
  bus.emit('tick', 2)
  expect(heard).toEqual([1])
  expect(errors).toHaveLength(2)
})

test('counters with the same labels are one, in any order of the labels', () => {
  const counters = new Counters()
  counters.add('refused', 1, { a: '1', b: '2' })
  counters.add('refused', 2, { b: '2', a: '1' })
  expect(counters.get('refused', { a: '1', b: '2' })).toBe(3)
  expect(counters.get('refused')).toBe(0)
})

test('errors of the system get a code of ours, and keep their cause', () => {
  const full = Object.assign(new Error('no space left on device'), { code: 'ENOSPC' })
  expect(toWarrenError(full)).toMatchObject({ code: 'disk_full', cause: full })
  expect(toWarrenError('text')).toMatchObject({ code: 'internal', message: 'text' })
  const own = new WarrenError('x', 404, 'm', { hint: 'h' })
  expect(toWarrenError(own)).toBe(own)
  expect(JSON.parse(JSON.stringify(own))).toEqual({ code: 'x', message: 'm', hint: 'h' })
  expect([400, 404, 403, 409, 503, 500, 999].map(exitCodeOf)).toEqual([2, 3, 4, 5, 6, 1, 1])
})

test('secrets never reach the log, in either format', () => {
  for (const format of ['json', 'console'] as const) {
    const lines: string[] = []
    const log = createLogger({ level: 'info', format, destination: { write: (line) => void lines.push(line) } }).child({
      folder: 'net',
    })
    log.info({ peer: 'p1', cookie: 'TOPSECRET', deep: { networkKey: 'TOPSECRET' } }, 'connected')
    log.debug({}, 'not at this level')
    expect(lines).toHaveLength(1)
    expect(lines[0]).toContain('connected')
    expect(lines[0]).toContain('p1')
    expect(lines[0]).not.toContain('TOPSECRET')
  }
})

test('a file system that cannot be written to is named as such', () => {
  const error = Object.assign(new Error("EROFS: read-only file system, open '/srv/x'"), { code: 'EROFS' })
  expect(toWarrenError(error)).toMatchObject({ code: 'permission_denied', hint: expect.stringContaining('read-only') })
})

test('a write that fails names its file', async () => {
  const handle = await open('/dev/full', 'w')
  const failed = await handle.writeFile('x').then(
    () => undefined,
    (error: unknown) => nameFile(nameFile(error, '/data/x'), '/data/y'),
  )
  await handle.close()
  expect(failed).toMatchObject({
    code: 'ENOSPC',
    path: '/data/x',
    message: expect.stringMatching(/write '\/data\/x'$/),
  })
  const own = baseErrors.file_not_found('there is no file x')
  expect(nameFile(own, '/data/x')).toBe(own)
  expect(own.message).toBe('there is no file x')
})
