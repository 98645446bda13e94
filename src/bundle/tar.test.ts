import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterEach, expect, test } from 'vitest'
import type { WarrenError } from '../base/errors.ts'
import { pathFault } from './package-path.ts'
import { readTar } from './tar-read.ts'
import { tarEnd, tarHeader, tarPadding } from './tar-write.ts'

const folders: string[] = []
function folder(): string {
  folders.push(mkdtempSync(join(tmpdir(), 'tar-')))
  return folders.at(-1) as string
}
afterEach(() => {
  for (const path of folders.splice(0)) rmSync(path, { recursive: true })
})

async function* inPortions(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}

async function list(
  bytes: Uint8Array,
  size = 1000,
): Promise<{ path: string; kind: string; mode: number; text: string }[]> {
  const found = []
  for await (const entry of readTar(inPortions(bytes, size))) {
    const parts: Buffer[] = []
    for await (const portion of entry.read()) parts.push(Buffer.from(portion))
    found.push({ path: entry.path, kind: entry.kind, mode: entry.mode, text: Buffer.concat(parts).toString('latin1') })
  }
  return found
}

function write(files: readonly { path: string; mode: 0o644 | 0o755; text: string }[]): Buffer {
  return Buffer.concat([
    ...files.flatMap(({ path, mode, text }) => [
      tarHeader({ path, mode, size: text.length }),
      Buffer.from(text, 'latin1'),
      tarPadding(text.length),
    ]),
    tarEnd(),
  ])
}

const LONG = `${'folder-with-a-name/'.repeat(20)}ü.txt`

test('what is written is read back, in portions of any size', async () => {
  const file = fc.record({
    path: fc.string({ unit: 'grapheme', minLength: 1, maxLength: 150 }).filter((path) => pathFault(path) === undefined),
    mode: fc.constantFrom<0o644 | 0o755>(0o644, 0o755),
    text: fc.uint8Array({ maxLength: 1500 }).map((bytes) => Buffer.from(bytes).toString('latin1')),
  })
  await fc.assert(
    fc.asyncProperty(fc.array(file, { maxLength: 5 }), fc.integer({ min: 1, max: 3000 }), async (files, size) => {
      const expected = files.map((one) => ({ ...one, kind: 'file' }))
      expect(await list(write(files), size)).toEqual(expected)
    }),
    { numRuns: 60 },
  )
})

test('GNU tar reads what is written here', () => {
  const root = folder()
  writeFileSync(
    join(root, 'x.tar'),
    write([
      { path: 'a/run', mode: 0o755, text: 'one' },
      { path: LONG, mode: 0o644, text: 'two' },
    ]),
  )
  execFileSync('tar', ['-xf', 'x.tar'], { cwd: root })
  expect(readFileSync(join(root, 'a/run'), 'latin1')).toBe('one')
  expect(readFileSync(join(root, LONG), 'latin1')).toBe('two')
})

test.each(['gnu', 'posix', 'ustar'])('an archive that GNU tar makes in its %s format is read', async (format) => {
  const root = folder()
  mkdirSync(join(root, 't', 'sub'), { recursive: true })
  writeFileSync(join(root, 't/sub/run'), 'x'.repeat(5000), { mode: 0o755 })
  const long = format === 'ustar' ? `${'n'.repeat(60)}/${'m'.repeat(90)}` : LONG
  mkdirSync(join(root, 't', long, '..'), { recursive: true })
  writeFileSync(join(root, 't', long), 'long')
  symlinkSync('sub/run', join(root, 't/link'))
  execFileSync('mkfifo', [join(root, 't/pipe')])
  execFileSync('tar', ['-cf', 'x.tar', '--format', format, '-C', 't', '.'], { cwd: root })
  const entries = await list(readFileSync(join(root, 'x.tar')))
  const of = (path: string) => entries.find((entry) => entry.path === `./${path}`)
  expect(of('sub/run')).toMatchObject({ kind: 'file', text: 'x'.repeat(5000) })
  expect((of('sub/run')?.mode ?? 0) & 0o100).toBe(0o100)
  expect(of(long)).toMatchObject({ kind: 'file', text: 'long' })
  expect(of('link')?.kind).toBe('link')
  expect(of('pipe')?.kind).toBe('device')
  expect(of('sub/')?.kind).toBe('folder')
})

test('an entry that is not read is skipped whole', async () => {
  const bytes = write([
    { path: 'a', mode: 0o644, text: 'a'.repeat(3000) },
    { path: 'b', mode: 0o644, text: 'b' },
  ])
  const paths = []
  for await (const entry of readTar(inPortions(bytes, 100))) paths.push(entry.path)
  expect(paths).toEqual(['a', 'b'])
})

function patched(change: (block: Buffer) => void, fixChecksum = true): Buffer {
  const bytes = write([{ path: 'a', mode: 0o644, text: 'text' }])
  const block = bytes.subarray(0, 512)
  change(block)
  if (fixChecksum) {
    block.fill(' ', 148, 156)
    block.write(
      `${block
        .reduce((sum, byte) => sum + byte, 0)
        .toString(8)
        .padStart(6, '0')}\0 `,
      148,
    )
  }
  return bytes
}
function pax(body: string, type = 'x'): Buffer {
  const header = patched((block) => {
    block.write(type, 156)
    block.write(body.length.toString(8).padStart(11, '0'), 124)
  }).subarray(0, 512)
  return Buffer.concat([
    header,
    Buffer.from(body),
    tarPadding(body.length),
    write([{ path: 'a', mode: 0o644, text: 'text' }]),
  ])
}

test.each<[string, Buffer]>([
  ['a wrong checksum', patched((block) => block.write('b', 0), false)],
  ['an unknown format', patched((block) => block.write('other!', 257))],
  ['a size that is no number', patched((block) => block.write('9zzz', 124))],
  ['a negative size', patched((block) => block.fill(0xff, 124, 136))],
  [
    'a size past counting',
    patched((block) => {
      block.fill(0xff, 124, 136)
      block[124] = 0x80
    }),
  ],
  ['a body cut short', write([{ path: 'a', mode: 0o644, text: 'x'.repeat(600) }]).subarray(0, 700)],
  ['no end mark', write([{ path: 'a', mode: 0o644, text: 'x' }]).subarray(0, 1024)],
  ['nothing at all', Buffer.alloc(0)],
  ['bytes after the end', Buffer.concat([write([]), Buffer.from('more')])],
  ['a pax record with a wrong length', pax('99 path=b\n')],
  ['a pax record without a line end', pax('9 path=bb')],
  ['a pax size that is no number', pax('12 size=4x2\n')],
  ['a sparse file', pax('22 GNU.sparse.major=1\n')],
  ['a global header that renames', pax('10 path=b\n', 'g')],
  ['an extended header without end', pax('x'.repeat(70_000))],
])('%s is refused', async (_what, bytes) => {
  const code = await list(bytes).then(
    (entries) => JSON.stringify(entries),
    (error: WarrenError) => error.code,
  )
  expect(code).toBe('archive_damaged')
})

test('a size or type that only an extended header gives is the one that counts', async () => {
  expect(await list(pax('10 path=b\n'))).toMatchObject([{ path: 'b', text: 'text' }])
  expect(await list(pax('16 comment=hello\n'.replace('16', '17'), 'g'))).toMatchObject([{ path: 'a' }])
})

test('a link has no bytes, whatever its header says', async () => {
  const bytes = patched((block) => block.write('2', 156))
  await expect(list(bytes)).rejects.toMatchObject({ code: 'archive_damaged' })
})
