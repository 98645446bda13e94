import { execFile } from 'node:child_process'
import { appendFile, mkdir, readFile, rename, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import fc from 'fast-check'
import { afterEach, expect, test } from 'vitest'
import { ManualClock } from '../base/clock.ts'
import { openAudit } from './audit.ts'
import type { AuditEntry } from './entry.ts'
import { auditOptions, decision, entriesOf, linesOf, namesIn, tempFolder, writeLines, writtenLog } from './fixtures.ts'
import { ownHeadPath, verifyOffline } from './offline.ts'

const run = promisify(execFile)
const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

async function testFolder(): Promise<string> {
  const { folder, remove } = await tempFolder()
  cleanups.push(remove)
  return folder
}

async function opened(folder: string, rest: Parameters<typeof auditOptions>[1] = {}) {
  const audit = await openAudit(auditOptions(folder, rest))
  cleanups.push(() => audit.stop())
  return audit
}

async function collect(entries: AsyncIterable<AuditEntry>): Promise<AuditEntry[]> {
  const all: AuditEntry[] = []
  for await (const entry of entries) all.push(entry)
  return all
}

test('what is told is in the file, chained, private, and goes on after a restart', async () => {
  const folder = await testFolder()
  const file = await writtenLog(folder, 3)
  await writtenLog(folder, 2)
  const entries = entriesOf(await linesOf(file))
  expect(entries.map(({ seq, subject }) => [seq, subject])).toEqual([
    [1, 'begun'],
    [2, 'POST /v1/app/a0/stop'],
    [3, 'POST /v1/app/a1/stop'],
    [4, 'POST /v1/app/a2/stop'],
    [5, 'POST /v1/app/a0/stop'],
    [6, 'POST /v1/app/a1/stop'],
  ])
  expect((await stat(file)).mode & 0o777).toBe(0o600)
  expect(await verifyOffline(file)).toMatchObject({ ok: true, entries: 6, torn_bytes: 0, problems: [] })
})

test('a told decision reaches the disk by itself', async () => {
  const folder = await testFolder()
  const audit = await opened(folder)
  const grown = new Promise<void>((resolve) => audit.onGrowth(resolve))
  audit.tell(decision(7))
  await grown
  expect(entriesOf(await linesOf(join(folder, 'audit.log'))).at(-1)?.detail).toEqual({ number: 7 })
})

test('a torn last line is cut off at the next start, and noted', async () => {
  const folder = await testFolder()
  const file = await writtenLog(folder, 3)
  await appendFile(file, '{"seq":5,"time":"20')
  expect(await verifyOffline(file)).toMatchObject({ ok: true, torn_bytes: 19 })
  const audit = await opened(folder)
  expect(entriesOf(await linesOf(file)).at(-1)).toMatchObject({
    seq: 5,
    what: 'audit',
    subject: 'torn',
    outcome: 'failed',
    detail: { bytes: 19 },
  })
  expect(await audit.verify()).toMatchObject({ ok: true, entries: 5 })
})

test('a log that ends at any byte, as after a crash, is opened again, and its chain goes on', async () => {
  const folder = await testFolder()
  const file = await writtenLog(folder, 4)
  const whole = await readFile(file)
  const cuts = fc.integer({ min: 0, max: whole.length })
  await fc.assert(
    fc.asyncProperty(cuts, async (size) => {
      await writeFile(file, whole.subarray(0, size))
      await rm(ownHeadPath(file), { force: true })
      await writtenLog(folder, 1)
      expect(await verifyOffline(file)).toMatchObject({ ok: true, torn_bytes: 0 })
      const kept = whole.subarray(0, size).toString('utf8').split('\n').slice(0, -1)
      expect((await linesOf(file)).slice(0, kept.length)).toEqual(kept)
      expect(entriesOf(await linesOf(file)).at(-1)?.detail).toEqual({ number: 0 })
    }),
    { numRuns: 60 },
  )
})

test('a log that was cut while the daemon was away shows at the next start, and stays a problem', async () => {
  const folder = await testFolder()
  const file = await writtenLog(folder, 5)
  await writeLines(file, (await linesOf(file)).slice(0, 3))
  const audit = await opened(folder)
  expect(audit.problem()).toMatch(/entry 6 was signed, but the log ended with 3/)
  expect(entriesOf(await linesOf(file)).at(-1)).toMatchObject({ what: 'audit', subject: 'cut', outcome: 'failed' })
})

test('an own head that is missing or unreadable is noted at the next start', async () => {
  const folder = await testFolder()
  const file = await writtenLog(folder, 1)
  await rm(ownHeadPath(file))
  await writtenLog(folder, 0)
  expect(entriesOf(await linesOf(file)).at(-1)).toMatchObject({
    subject: 'head',
    reason: 'the own head: it is missing',
  })
  await writeFile(ownHeadPath(file), 'no head')
  await writtenLog(folder, 0)
  expect(entriesOf(await linesOf(file)).at(-1)).toMatchObject({
    subject: 'head',
    reason: expect.stringMatching(/is not JSON/),
  })
})

test('a damaged line in the middle is kept, named by verify, and what comes hangs on the last whole line', async () => {
  const folder = await testFolder()
  const file = await writtenLog(folder, 3)
  await appendFile(file, 'damage that ends with a line end\n')
  const audit = await opened(folder)
  audit.tell(decision(9))
  const verdict = await audit.verify()
  expect(verdict).toMatchObject({ ok: false, entries: 5, problems: [{ seq: 5, line: 5 }] })
  expect(await linesOf(file)).toHaveLength(6)
})

test.each([
  ['grew', (file: string) => appendFile(file, '{"forged":1}\n'), 'its size'],
  ['was cut', async (file: string) => truncate(file, (await stat(file)).size - 10), 'its size'],
  ['was deleted', (file: string) => rm(file), 'another file'],
  [
    'was replaced',
    async (file: string) => {
      const content = await readFile(file)
      await rename(file, `${file}.old`)
      await writeFile(file, content.toString('utf8').replace('a1', 'a2'))
    },
    'another file',
  ],
])('a file that %s under the running daemon is noted, and verify says so', async (_what, change, reason) => {
  const folder = await testFolder()
  const file = join(folder, 'audit.log')
  const audit = await opened(folder)
  for (const number of [1, 2, 3]) audit.tell(decision(number))
  await audit.flush()
  await change(file)
  expect((await audit.verify()).ok).toBe(false)
  audit.tell(decision(4))
  await audit.flush()
  const subjects = (await linesOf(file)).slice(-2).map((line) => JSON.parse(line) as AuditEntry)
  expect(subjects[0]).toMatchObject({ seq: 5, subject: 'changed', reason: expect.stringContaining(reason) })
  expect(subjects[1]).toMatchObject({ seq: 6, detail: { number: 4 } })
  expect((await audit.verify()).ok).toBe(false)
})

test('files are set aside with their chain going on, and what rotation dropped is no fault', async () => {
  const folder = await testFolder()
  const limits = { maxBytes: 4000, maxFiles: 3 }
  const audit = await opened(folder, { limits })
  for (let number = 0; number < 100; number++) {
    audit.tell(decision(number))
    await audit.flush()
  }
  const names = ['audit.head', 'audit.log', 'audit.log.1', 'audit.log.2', 'audit.log.3']
  expect(await namesIn(folder)).toEqual(names)
  const verdict = await audit.verify()
  expect(verdict).toMatchObject({ ok: true, problems: [] })
  expect(verdict.first?.seq).toBeGreaterThan(1)
  const entries = await collect(audit.read())
  expect(entries[0]?.seq).toBe(verdict.first?.seq)
  expect(entries).toHaveLength(verdict.entries)
  await audit.stop()
  const again = await opened(folder, { limits })
  again.tell(decision(101))
  expect(await again.verify()).toMatchObject({ ok: true, entries: verdict.entries + 1 })
  await rm(join(folder, 'audit.log.3'))
  const cut = await again.verify()
  expect(cut.ok).toBe(false)
  expect(cut.problems[0]?.problem).toMatch(/cut off, and not by a rotation/)
})

test('a rotation that a crash cut off goes on, and loses nothing', async () => {
  const folder = await testFolder()
  const limits = { maxBytes: 4000, maxFiles: 3 }
  await writtenLog(folder, 14, { limits })
  const file = join(folder, 'audit.log')
  // As after the first rename of a rotation with two files set aside.
  await rename(file, `${file}.1`)
  await writtenLog(folder, 14, { limits })
  await rename(`${file}.1`, `${file}.2`)
  const audit = await opened(folder, { limits })
  audit.tell(decision(50))
  await audit.flush()
  expect(await namesIn(folder)).toEqual(['audit.head', 'audit.log', 'audit.log.1', 'audit.log.2'])
  expect(await audit.verify()).toMatchObject({ ok: true, first: { seq: 1 } })
})

test('equal refusals are folded from the 21st on, with their number', async () => {
  const folder = await testFolder()
  const clock = new ManualClock()
  const audit = await opened(folder, { clock })
  const refuse = (subject: string) =>
    audit.tell({ what: 'connection', outcome: 'refused', by: null, subject, reason: 'network_key_mismatch' })
  for (let number = 0; number < 5000; number++) refuse('10.0.0.1')
  refuse('10.0.0.2')
  await audit.flush()
  const file = join(folder, 'audit.log')
  expect(await linesOf(file)).toHaveLength(1 + 20 + 1)
  clock.advance(75_000)
  await audit.flush()
  const lines = entriesOf(await linesOf(file))
  expect(lines).toHaveLength(1 + 20 + 1 + 1)
  expect(lines.at(-1)).toMatchObject({ subject: '10.0.0.1', outcome: 'refused', count: 4980 })
})

test('a stranger who is refused under ever new addresses gets few lines', async () => {
  const folder = await testFolder()
  const audit = await opened(folder)
  for (let number = 0; number < 20_000; number++) {
    audit.tell({ what: 'connection', outcome: 'refused', by: null, subject: `10.0.0.1:${number}` })
  }
  await audit.stop()
  const entries = entriesOf(await linesOf(join(folder, 'audit.log')))
  expect(entries.length).toBeLessThan(210)
  const [last] = entries.slice(-1)
  expect(last).toMatchObject({ subject: 'others', by: null })
  expect(entries.length - 2 + (last?.count ?? 0)).toBe(20_000)
})

test('changes are never folded, however many', async () => {
  const folder = await testFolder()
  const file = await writtenLog(folder, 0)
  const audit = await opened(folder)
  for (let number = 0; number < 3000; number++) audit.tell(decision(1))
  await audit.stop()
  expect(await linesOf(file)).toHaveLength(3001)
})

test('reading by number, time and count; following hears what comes, also across a rotation', async () => {
  const folder = await testFolder()
  const clock = new ManualClock(1_800_000_000_000)
  const audit = await opened(folder, { clock, limits: { maxBytes: 3000, maxFiles: 10 } })
  for (let number = 0; number < 40; number++) {
    clock.advance(60_000)
    audit.tell(decision(number))
    await audit.flush()
  }
  const numbers = async (options: Parameters<typeof audit.read>[0]) =>
    (await collect(audit.read(options))).map(({ detail }) => detail?.number)
  expect(await numbers({ tail: 3 })).toEqual([37, 38, 39])
  expect(await numbers({ cursor: 39 })).toEqual([38, 39])
  expect(await numbers({ sinceMs: clock.now() - 120_000 })).toEqual([37, 38, 39])
  expect(await numbers({ tail: 0 })).toEqual([])

  const stop = new AbortController()
  const followed: unknown[] = []
  const following = (async () => {
    for await (const { detail } of audit.read({ follow: true, tail: 1, signal: stop.signal })) {
      followed.push(detail?.number)
      const next = (detail?.number as number) + 1
      if (next === 80) return
      audit.tell(decision(next))
      void audit.flush()
    }
  })()
  await following
  expect(followed).toEqual(Array.from({ length: 41 }, (_, index) => 39 + index))
  expect((await namesIn(folder)).length).toBeGreaterThan(6)
})

test('a follower that waits ends with its signal, and with the log', async () => {
  const folder = await testFolder()
  const audit = await opened(folder)
  const follow = async (signal: AbortSignal, onEntry: () => void) => {
    let count = 0
    for await (const _entry of audit.read({ follow: true, signal })) {
      count++
      onEntry()
    }
    return count
  }
  const stop = new AbortController()
  expect(await follow(stop.signal, () => setImmediate(() => stop.abort()))).toBe(1)
  expect(await follow(new AbortController().signal, () => setImmediate(() => void audit.stop()))).toBe(1)
})

/** Why a small file system cannot be mounted there; undefined where it was. */
async function mountSmall(folder: string): Promise<string | undefined> {
  try {
    await run('mount', ['-t', 'tmpfs', '-o', 'size=128k', 'tmpfs', folder])
    return undefined
  } catch (error) {
    return `a small file system cannot be mounted here: ${(error as Error).message.split('\n')[0]}`
  }
}

test('a full disk stops nobody: what finds no room is counted, and said when there is room again', async (context) => {
  const folder = join(await testFolder(), 'disk')
  await mkdir(folder)
  const reason = await mountSmall(folder)
  if (reason !== undefined) return context.skip(reason)
  cleanups.push(() => run('umount', ['-l', folder]))
  const audit = await opened(folder, { limits: { maxWaitingBytes: 40_000 } })
  await writeFile(join(folder, 'ballast'), Buffer.alloc(100_000))
  for (let number = 0; number < 1000; number++) {
    audit.tell(decision(number))
    if (number % 50 === 0) await audit.flush()
  }
  await audit.flush()
  expect(audit.problem()).toMatch(/cannot be written: .*ENOSPC.* [1-9]\d* are lost/)
  const file = join(folder, 'audit.log')
  expect((await readFile(file, 'utf8')).endsWith('\n')).toBe(true)
  expect(await audit.verify()).toMatchObject({ ok: true })
  await rm(join(folder, 'ballast'))
  await audit.flush()
  expect(audit.problem()).toBeUndefined()
  const entries = entriesOf(await linesOf(file))
  const last = entries.at(-1)
  expect(last).toMatchObject({ what: 'audit', subject: 'lost', outcome: 'failed' })
  expect(entries.filter(({ what }) => what === 'call').length + (last?.detail?.count as number)).toBe(1000)
  expect(await audit.verify()).toMatchObject({ ok: true, entries: entries.length })
})

test('telling never throws, whatever it is given', async () => {
  const folder = await testFolder()
  const audit = await opened(folder)
  const hostile = {
    what: 'call',
    outcome: 'done',
    by: null,
    get subject(): string {
      throw new Error('no')
    },
  } as const
  expect(() => audit.tell(hostile)).not.toThrow()
  expect(await audit.verify()).toMatchObject({ ok: true })
})

test('ten thousand decisions at once all reach the disk', async () => {
  const folder = await testFolder()
  const audit = await opened(folder)
  for (let number = 0; number < 10_000; number++) audit.tell(decision(number))
  await audit.flush()
  expect(await linesOf(join(folder, 'audit.log'))).toHaveLength(10_001)
  expect(await audit.verify()).toMatchObject({ ok: true, entries: 10_001 })
})
