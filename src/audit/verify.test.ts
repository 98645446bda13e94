import { execFileSync } from 'node:child_process'
import { copyFile, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, expect, test } from 'vitest'
import { openAudit } from './audit.ts'
import { auditOptions, entriesOf, linesOf, rechain, tempFolder, testNode, writeLines, writtenLog } from './fixtures.ts'
import { encodeHead, type SignedAuditHead, signHead } from './head.ts'
import { openSnapshot } from './log-files.ts'
import { ownHeadPath, verifyOffline } from './offline.ts'
import { verifySnapshot } from './verify.ts'

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

async function testLog(entries: number): Promise<string> {
  const { folder, remove } = await tempFolder()
  cleanups.push(remove)
  return await writtenLog(folder, entries)
}

/** Verifies with heads that a peer keeps. */
async function verifyWith(file: string, heads: readonly SignedAuditHead[]) {
  const snapshot = await openSnapshot(file)
  try {
    return await verifySnapshot(snapshot, { own: [], peers: [{ node: 'peer', heads }], rotatedBytes: 0 })
  } finally {
    await snapshot.close()
  }
}

/** Heads as the log's node signed them at these entries. */
async function headsAt(file: string, ...seqs: number[]): Promise<SignedAuditHead[]> {
  const { signer, nodeId } = testNode(Buffer.alloc(32, 3))
  const entries = entriesOf(await linesOf(file))
  return seqs.map((seq) => {
    const hash = entries[seq - 1]?.hash as string
    return signHead({ node: nodeId, seq, hash, timeMs: seq }, signer)
  })
}

const EDITS: [what: string, edit: (lines: string[]) => string[], seq: number, problem: RegExp][] = [
  ['an edited line', (lines) => lines.with(4, (lines[4] as string).replace('a3', 'a9')), 5, /changed or damaged/],
  ['a line cut out', (lines) => lines.toSpliced(4, 1), 5, /entries 5 to 5 are missing/],
  ['many lines cut out', (lines) => lines.toSpliced(2, 5), 3, /entries 3 to 7 are missing/],
  [
    'two lines swapped',
    (lines) => [...lines.slice(0, 4), ...lines.slice(4, 6).reverse(), ...lines.slice(6)],
    5,
    /missing/,
  ],
  ['a line twice', (lines) => lines.toSpliced(4, 0, lines[4] as string), 6, /out of its place/],
  ['a line put in', (lines) => lines.toSpliced(4, 0, 'nothing of ours'), 5, /does not end with a hash/],
  ['the beginning cut off', (lines) => lines.slice(3), 4, /cut off, and not by a rotation/],
  [
    'a line replaced by one with a hash that fits it',
    (lines) => {
      const forged = rechain([{ ...entriesOf(lines)[4] } as never])[0] as string
      return lines.with(4, forged)
    },
    5,
    /out of its place/,
  ],
  [
    'an entry rewritten with all of its hash',
    (lines) => {
      const entries = entriesOf(lines)
      const forged = rechain(entries.with(4, { ...(entries[4] as (typeof entries)[4]), subject: 'harmless' }))
      return lines.with(4, forged[4] as string)
    },
    6,
    /one of them was rewritten/,
  ],
]
test.each(EDITS)('%s shows, with the entry where it begins', async (_what, edit, seq, problem) => {
  const file = await testLog(10)
  await writeLines(file, edit(await linesOf(file)))
  const verdict = await verifyOffline(file)
  expect(verdict.ok).toBe(false)
  expect(verdict.problems[0]).toMatchObject({ seq, problem: expect.stringMatching(problem) })
})

test('an untouched log is whole', async () => {
  const file = await testLog(10)
  expect(await verifyOffline(file)).toMatchObject({ ok: true, entries: 11, first: { seq: 1 }, last: { seq: 11 } })
  const verdict = await verifyWith(file, await headsAt(file, 3, 7, 11))
  expect(verdict).toMatchObject({ ok: true, peers: [{ node: 'peer', heads: 3, newest: 11, ok: true, problem: null }] })
})

test('a cut at the end fits its own chain, and shows by the own head and by those of peers', async () => {
  const file = await testLog(10)
  const heads = await headsAt(file, 3, 11)
  await writeLines(file, (await linesOf(file)).slice(0, 8))
  expect((await verifyOffline(file)).problems).toMatchObject([{ seq: 11, problem: expect.stringMatching(/cut off/) }])
  await rm(ownHeadPath(file))
  expect(await verifyOffline(file)).toMatchObject({ ok: true })
  expect(await verifyWith(file, heads)).toMatchObject({
    ok: false,
    problems: [],
    peers: [{ ok: false, problem: expect.stringMatching(/entry 11 was signed, but the log ends with 8/) }],
  })
})

test('a whole log rewritten with the node’s own key shows by what peers keep', async () => {
  const file = await testLog(10)
  const heads = await headsAt(file, 2, 9)
  const entries = entriesOf(await linesOf(file))
  const forged = rechain(entries.with(5, { ...(entries[5] as (typeof entries)[5]), subject: 'harmless' }))
  await writeLines(file, forged)
  const [own] = await headsAt(file, 11)
  await writeFile(ownHeadPath(file), JSON.stringify(encodeHead(own as SignedAuditHead)))
  expect(await verifyOffline(file)).toMatchObject({ ok: true })
  expect(await verifyWith(file, heads.slice(0, 1))).toMatchObject({ ok: true })
  expect(await verifyWith(file, heads)).toMatchObject({
    ok: false,
    peers: [{ ok: false, problem: expect.stringMatching(/entry 9 is not the one that this node signed/) }],
  })
})

test('an emptied log and a deleted one show by the heads', async () => {
  const file = await testLog(3)
  const heads = await headsAt(file, 2)
  await writeFile(file, '')
  expect((await verifyWith(file, heads)).ok).toBe(false)
  await rm(file)
  expect((await verifyWith(file, heads)).ok).toBe(false)
  await expect(verifyOffline(file)).rejects.toMatchObject({ code: 'audit_not_found' })
})

test('a log that says it was rotated, but keeps less than rotation leaves, was cut', async () => {
  const { folder, remove } = await tempFolder()
  cleanups.push(remove)
  const limits = { maxBytes: 10_000, maxFiles: 3 }
  const file = await writtenLog(folder, 12, { limits })
  const lines = await linesOf(file)
  const [, , third] = entriesOf(lines)
  // A forger who may append, for instance by stopping the daemon first.
  const audit = await openAudit(auditOptions(folder, { limits }))
  cleanups.push(() => audit.stop())
  audit.tell({
    what: 'audit',
    outcome: 'done',
    by: null,
    subject: 'rotated',
    detail: { first: 3, prev: third?.prev as string },
  })
  await audit.flush()
  await writeLines(file, (await linesOf(file)).slice(2))
  expect((await audit.verify()).problems[0]?.problem).toMatch(/shorter than a rotation leaves it/)
})

test('the head of another node, or one that was changed, is no head', async () => {
  const file = await testLog(3)
  const stranger = testNode()
  const head = signHead({ node: stranger.nodeId, seq: 2, hash: '0'.repeat(64), timeMs: 1 }, testNode().signer)
  await writeFile(ownHeadPath(file), JSON.stringify(encodeHead(head)))
  await expect(verifyOffline(file)).rejects.toMatchObject({ code: 'audit_head_invalid' })
})

test('the script of the docs finds the same', async (context) => {
  const page = await readFile(fileURLToPath(new URL('../../docs/protocols/audit.md', import.meta.url)), 'utf8')
  const script = /```python\n([\s\S]+?)```/.exec(page)?.[1]
  expect(script).toBeDefined()
  try {
    execFileSync('python3', ['--version'], { stdio: 'pipe' })
  } catch {
    return context.skip('python3 is not installed')
  }
  const file = await testLog(50)
  const run = (name: string) => execFileSync('python3', ['-c', script as string, name], { stdio: 'pipe' }).toString()
  expect(run(file)).toContain('51 entries')
  const copy = join(file, '..', 'copy.log')
  await copyFile(file, copy)
  await writeLines(copy, (await linesOf(copy)).toSpliced(20, 1))
  expect(() => run(copy)).toThrow(/line 21/)
})
