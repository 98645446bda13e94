import { execFileSync } from 'node:child_process'
import { createReadStream, existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync, gzipSync } from 'node:zlib'
import { expect, test } from 'vitest'
import { makeApp, temporaryFolder } from './fixtures/app.ts'
import { checkArchive, importArchive, type PackageHeader, readPackageHeader } from './import.ts'
import { type PackedPackage, packFolder } from './pack.ts'
import { decodeIndex, encodeIndex, type PackageIndex } from './package-index.ts'
import { encodeRecord, sha256Hex } from './package-record.ts'
import { readTar } from './tar-read.ts'
import { tarEnd, tarHeader, tarPadding } from './tar-write.ts'

interface RawEntry {
  path: string
  mode: number
  bytes: Buffer
  type?: string
}

async function* portions(bytes: Uint8Array, size = 64 * 1024): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}

async function pack(files: Record<string, string | Uint8Array> = {}): Promise<PackedPackage> {
  return packFolder({ folder: makeApp(files), output: temporaryFolder(), signers: [] })
}

/** The entries of a good package, to be spoilt. */
async function entriesOf(file: string): Promise<RawEntry[]> {
  const entries: RawEntry[] = []
  for await (const entry of readTar(portions(gunzipSync(readFileSync(file))))) {
    const parts: Buffer[] = []
    for await (const portion of entry.read()) parts.push(Buffer.from(portion))
    entries.push({ path: entry.path, mode: entry.mode, bytes: Buffer.concat(parts) })
  }
  return entries
}

function tarOf(entries: readonly RawEntry[]): Buffer {
  const parts = entries.flatMap(({ path, mode, bytes, type }) => {
    const header = tarHeader({ path, mode: (mode & 0o100) === 0 ? 0o644 : 0o755, size: bytes.length })
    if (type !== undefined) {
      const block = header.subarray(-512)
      block.write(type, 156)
      block.write('target', 157)
      block.fill(' ', 148, 156)
      block.write(
        `${block
          .reduce((sum, byte) => sum + byte, 0)
          .toString(8)
          .padStart(6, '0')}\0 `,
        148,
      )
    }
    return [header, bytes, tarPadding(bytes.length)]
  })
  return Buffer.concat([...parts, tarEnd()])
}

interface Outcome {
  code: string
  message: string
  dataLeft: boolean
}

async function importBytes(archive: Uint8Array, limits?: { maxBytes: number; maxFiles: number }): Promise<Outcome> {
  const dataFile = join(temporaryFolder(), 'data')
  writeFileSync(dataFile, 'from before')
  const result = await importArchive({ source: portions(archive), dataFile, limits }).then(
    () => ({ code: 'accepted', message: '' }),
    (error) => ({ code: String(error.code), message: String(error.message) }),
  )
  return { ...result, dataLeft: existsSync(dataFile) }
}

/** Replaces index (and record, so that it names the new index). */
function withIndex(entries: RawEntry[], change: (index: PackageIndex) => PackageIndex): RawEntry[] {
  const index = change(decodeIndex(entries[1]!.bytes))
  const indexBytes = encodeIndex(index)
  const record = {
    ...JSON.parse(entries[0]!.bytes.toString()),
    index: sha256Hex(indexBytes),
    files: index.files.length,
    bytes: index.files.reduce((sum, { size }) => sum + size, 0),
  }
  return [{ ...entries[0]!, bytes: encodeRecord(record) }, { ...entries[1]!, bytes: indexBytes }, ...entries.slice(2)]
}

test('a package comes in as it was packed, its content in the order of the index', async () => {
  const packed = await pack({ 'bin/tool': '#!/bin/sh\n', empty: '', 'big.bin': Buffer.alloc(1_300_000, 'abcdefg') })
  const dataFile = join(temporaryFolder(), 'data')
  const progress: number[] = []
  const imported: PackageHeader = await importArchive({
    source: createReadStream(packed.file),
    dataFile,
    onProgress: ({ bytes }) => progress.push(bytes),
  })
  expect(imported.digest).toBe(packed.digest)
  expect(imported.record).toEqual(packed.record)
  expect(imported.manifest).toEqual(packed.manifest)
  expect(imported.index.files.map(({ path }) => path)).toEqual([
    'big.bin',
    'bin/tool',
    'empty',
    'manifest.yaml',
    'run.sh',
  ])
  const expected = [
    Buffer.alloc(1_300_000, 'abcdefg'),
    '#!/bin/sh\n',
    '',
    'name: hello\nversion: 1.0.0\nentrypoint: ./run.sh\n',
    '#!/bin/sh\necho hello\n',
  ]
  expect(readFileSync(dataFile).equals(Buffer.concat(expected.map((part) => Buffer.from(part))))).toBe(true)
  expect(progress.at(-1)).toBe(packed.record.bytes)
})

test('an archive that GNU tar and gzip made of the unpacked tree has the same digest', async () => {
  const packed = await pack({ 'bin/tool': '#!/bin/sh\n', 'sub/deep/file': 'x' })
  const tree = temporaryFolder()
  execFileSync('tar', ['-xzf', packed.file, '-C', tree])
  const other = join(temporaryFolder(), 'other.tar.gz')
  for (const format of ['gnu', 'posix', 'ustar']) {
    const names = ['./.warren/record.json', './.warren/index', '--exclude=./.warren', '.']
    execFileSync('tar', ['-czf', other, '--format', format, '-C', tree, ...names])
    expect((await checkArchive({ source: createReadStream(other) })).digest).toBe(packed.digest)
  }
})

test('the header is read without the content', async () => {
  const packed = await pack({ 'zzz.bin': crypto.getRandomValues(Buffer.alloc(60_000)) })
  const bytes = readFileSync(packed.file)
  const header = await readPackageHeader({ source: portions(bytes.subarray(0, bytes.length - 50_000), 1000) })
  expect(header.digest).toBe(packed.digest)
  expect(header.manifest.name).toBe('hello')
  await expect(checkArchive({ source: portions(bytes.subarray(0, bytes.length - 50_000)) })).rejects.toMatchObject({
    code: 'archive_damaged',
  })
})

/** Long enough to be cut. */
const BIG_SCRIPT = `#!/bin/sh\n${'# filler\n'.repeat(5000)}`

type Spoil = (entries: RawEntry[]) => RawEntry[]
const add =
  (entry: Partial<RawEntry>): Spoil =>
  (entries) => [...entries, { path: 'x', mode: 0o644, bytes: Buffer.alloc(0), ...entry }]

test.each<[string, string, string, Spoil]>([
  ['an absolute path', 'archive_path_refused', '/etc/cron.d/x', add({ path: '/etc/cron.d/x' })],
  ['a path with ..', 'archive_path_refused', '../x', add({ path: '../x' })],
  ['a path with .. inside', 'archive_path_refused', 'a/../../x', add({ path: 'a/../../x' })],
  ['a symbolic link', 'archive_entry_refused', 'x', add({ type: '2' })],
  ['a hard link', 'archive_entry_refused', 'x', add({ type: '1' })],
  ['a character device', 'archive_entry_refused', 'x', add({ type: '3' })],
  ['a block device', 'archive_entry_refused', 'x', add({ type: '4' })],
  ['a pipe', 'archive_entry_refused', 'x', add({ type: '6' })],
  ['a sparse file', 'archive_entry_refused', 'x', add({ type: 'S' })],
  ['an entry twice', 'archive_duplicate', 'run.sh', (entries) => [...entries, entries.at(-1)!]],
  [
    'an entry twice by another spelling',
    'archive_duplicate',
    'run.sh',
    (entries) => [...entries, { ...entries.at(-1)!, path: './run.sh' }],
  ],
  ['the record twice', 'archive_duplicate', 'record.json', (entries) => [...entries, entries[0]!]],
  ['another file in .warren', 'archive_path_refused', '.warren/x', add({ path: '.warren/x' })],
  ['a file that the index does not have', 'package_mismatch', 'x', add({})],
  ['a file missing', 'package_mismatch', 'run.sh', (entries) => entries.slice(0, -1)],
  [
    'a byte changed',
    'package_mismatch',
    'run.sh',
    (entries) => entries.with(-1, { ...entries.at(-1)!, bytes: Buffer.from('#!/bin/sh\necho hell0\n') }),
  ],
  [
    'a file longer',
    'package_mismatch',
    'run.sh',
    (entries) => entries.with(-1, { ...entries.at(-1)!, bytes: Buffer.alloc(100) }),
  ],
  [
    'an executable bit taken',
    'package_mismatch',
    'run.sh',
    (entries) => entries.with(-1, { ...entries.at(-1)!, mode: 0o644 }),
  ],
  ['no record', 'record_missing', '.warren/record.json', (entries) => entries.slice(1)],
  ['no index', 'record_missing', '.warren/index', (entries) => entries.toSpliced(1, 1)],
  ['nothing', 'record_missing', 'empty', () => []],
  [
    'the record after the files',
    'record_missing',
    'manifest.yaml',
    (entries) => [...entries.slice(2), ...entries.slice(0, 2)],
  ],
  [
    'a record that is no record',
    'record_invalid',
    'JSON',
    (entries) => entries.with(0, { ...entries[0]!, bytes: Buffer.from('{') }),
  ],
  [
    'a record that is huge',
    'package_too_large',
    'record',
    (entries) => entries.with(0, { ...entries[0]!, bytes: Buffer.alloc(1e6) }),
  ],
  [
    'an index that the record does not name',
    'package_mismatch',
    'index',
    (entries) => entries.with(1, { ...entries[1]!, bytes: Buffer.from('other') }),
  ],
  [
    'another manifest',
    'package_mismatch',
    'manifest.yaml',
    (entries) =>
      entries.with(2, { ...entries[2]!, bytes: Buffer.from('name: evil\nversion: 1.0.0\nentrypoint: sh\n') }),
  ],
  [
    'an index with unsafe paths',
    'index_invalid',
    '../x',
    (entries) =>
      withIndex(entries, ({ files }) => ({ files: [{ path: '../x', mode: 0o644, size: 0, chunks: [] }, ...files] })),
  ],
  [
    'an index with other hashes',
    'package_mismatch',
    'run.sh',
    (entries) =>
      withIndex(entries, ({ files }) => ({
        files: files
          .map((file) => ({ ...file, chunks: file.chunks.map((one) => ({ ...one, hash: '0'.repeat(64) })) }))
          .map((file, at) => (at === 0 ? files[0]! : file)),
      })),
  ],
  [
    'an index that cuts otherwise',
    'package_mismatch',
    'run.sh',
    (entries) =>
      withIndex(entries, ({ files }) => {
        const bytes = entries.at(-1)!.bytes
        const chunks = [bytes.subarray(0, 20_000), bytes.subarray(20_000)].map((part) => ({
          size: part.length,
          hash: sha256Hex(part),
        }))
        return { files: files.with(-1, { ...files.at(-1)!, chunks }) }
      }),
  ],
  [
    'a record with another name',
    'package_mismatch',
    'name',
    (entries) => {
      const record = { ...JSON.parse(entries[0]!.bytes.toString()), name: 'other' }
      return entries.with(0, { ...entries[0]!, bytes: encodeRecord(record) })
    },
  ],
  [
    'a package without a manifest',
    'manifest_missing',
    'manifest.yaml',
    (entries) => withIndex(entries, ({ files }) => ({ files: files.slice(1) })).toSpliced(2, 1),
  ],
])('an archive with %s is refused as %s, and no data is left', async (_what, code, names, spoil) => {
  const { file } = await pack({ 'run.sh': BIG_SCRIPT })
  const outcome = await importBytes(gzipSync(tarOf(spoil(await entriesOf(file)))))
  expect(outcome).toMatchObject({ code, message: expect.stringContaining(names), dataLeft: false })
})

test('the entries of a good package, put together again, are accepted', async () => {
  const { file } = await pack()
  const entries = await entriesOf(file)
  expect((await importBytes(gzipSync(tarOf(entries)))).code).toBe('accepted')
  const [record, index, ...rest] = entries
  expect((await importBytes(gzipSync(tarOf([record!, index!, ...rest.reverse()])))).code).toBe('accepted')
})

test('an archive cut short anywhere, or that is no gzip, is refused', async () => {
  const { file } = await pack({ 'more.txt': 'x'.repeat(3000) })
  const bytes = readFileSync(file)
  for (let length = 0; length < bytes.length; length += 37) {
    const outcome = await importBytes(bytes.subarray(0, length))
    expect(outcome.dataLeft).toBe(false)
    expect(outcome.code).toMatch(/^(archive_damaged|record_missing)$/)
  }
  expect(await importBytes(Buffer.from('PK not a gzip file'))).toMatchObject({ code: 'archive_damaged' })
  const flipped = Buffer.from(bytes)
  flipped[bytes.length - 6]! ^= 1
  expect(await importBytes(flipped)).toMatchObject({ code: 'archive_damaged', dataLeft: false })
})

test('limits are checked by what the record announces, before the content is read', async () => {
  const { file, record } = await pack({ 'big.bin': Buffer.alloc(500_000) })
  const bytes = readFileSync(file)
  expect(await importBytes(bytes, { maxBytes: record.bytes, maxFiles: record.files })).toMatchObject({
    code: 'accepted',
  })
  expect(await importBytes(bytes, { maxBytes: record.bytes - 1, maxFiles: 100 })).toMatchObject({
    code: 'package_too_large',
    dataLeft: false,
  })
  expect(await importBytes(bytes, { maxBytes: 1e9, maxFiles: 2 })).toMatchObject({
    code: 'package_too_large',
    dataLeft: false,
  })
})

test('a bomb is refused after what its index allows, however much it would unpack to', async () => {
  const { file } = await pack()
  const entries = await entriesOf(file)
  const gigabyte = 1e9
  let unpacked = 0
  async function* bomb(): AsyncGenerator<Uint8Array> {
    const start = tarOf(entries.slice(0, -1)).subarray(0, -1024)
    yield gzipSync(Buffer.concat([start, tarHeader({ path: 'run.sh', mode: 0o755, size: gigabyte })]))
    const zeros = gzipSync(Buffer.alloc(1e6))
    for (; unpacked < gigabyte; unpacked += 1e6) yield zeros
  }
  const dataFile = join(temporaryFolder(), 'data')
  await expect(importArchive({ source: bomb(), dataFile })).rejects.toMatchObject({ code: 'package_mismatch' })
  expect(unpacked).toBeLessThan(100e6)
  expect(existsSync(dataFile)).toBe(false)
})

test('a source that fails, and a cancel, leave no data and close the source', async () => {
  const { file } = await pack({ 'big.bin': crypto.getRandomValues(Buffer.alloc(60_000)) })
  const bytes = readFileSync(file)
  let isClosed = false
  async function* broken(): AsyncGenerator<Uint8Array> {
    try {
      yield bytes.subarray(0, 30_000)
      throw new Error('the line is dead')
    } finally {
      isClosed = true
    }
  }
  const dataFile = join(temporaryFolder(), 'data')
  await expect(importArchive({ source: broken(), dataFile })).rejects.toThrow('the line is dead')
  expect(isClosed).toBe(true)
  const signal = AbortSignal.abort(new Error('enough'))
  await expect(importArchive({ source: portions(bytes), dataFile, signal })).rejects.toThrow('enough')
  const stop = new AbortController()
  async function* stalled(): AsyncGenerator<Uint8Array> {
    yield bytes.subarray(0, 30_000)
    setImmediate(() => stop.abort(new Error('too slow')))
    await new Promise(() => undefined)
  }
  await expect(importArchive({ source: stalled(), dataFile, signal: stop.signal })).rejects.toThrow('too slow')
  expect(existsSync(dataFile)).toBe(false)
})
