import { randomBytes } from 'node:crypto'
import { type FileHandle, open, rename, unlink } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { crc32 } from 'node:zlib'
import { syncFolder } from '../base/files.ts'
import type { SourceFile } from './collect.ts'
import { ContentCutter } from './content-chunks.ts'
import { CHUNKER_ID } from './cutter.ts'
import { GzipWriter } from './gzip-write.ts'
import { checkLimit, MAX_INDEX_BYTES } from './limits.ts'
import { MANIFEST_NAME, type Manifest } from './manifest.ts'
import { encodeIndex, type IndexChunk, type IndexFile, type PackageIndex } from './package-index.ts'
import { META_FOLDER } from './package-path.ts'
import { encodeRecord, type PackageRecord, packageDigest, sha256Hex } from './package-record.ts'
import { fileChanged, readFiles } from './read-ahead.ts'
import { tarEnd, tarHeader, tarPadding } from './tar-write.ts'

/** The first entry of every archive. */
export const RECORD_PATH = `${META_FOLDER}/record.json`
/** The second. */
export const INDEX_PATH = `${META_FOLDER}/index`

export interface WrittenArchive {
  readonly digest: string
  readonly record: PackageRecord
  readonly recordBytes: Buffer
  readonly index: PackageIndex
  /** Of the archive file. */
  readonly size: number
}

interface ArchiveInput {
  /** Sorted as in a package, the manifest among them. */
  readonly files: readonly SourceFile[]
  readonly manifest: Manifest
  readonly manifestBytes: Uint8Array
  /** The archive to write; its folder exists. */
  readonly output: string
  readonly onProgress?: ((progress: { bytes: number; total: number }) => void) | undefined
  readonly signal?: AbortSignal | undefined
}

/**
 * Writes an archive: record, index and manifest as one gzip member, so that they can be read without the rest, and the
 * other files as a second. The files are read twice, as the record must come first and is known last; one that changed in
 * between fails with `file_changed`. The output appears whole, by rename, or not at all, and nothing else is left behind.
 */
export async function writeArchive(input: ArchiveInput): Promise<WrittenArchive> {
  const progress = progressOf(input)
  const { index, checksums } = await indexFiles(input, progress)
  const indexBytes = encodeIndex(index)
  checkLimit('bytes of the index', indexBytes.length, MAX_INDEX_BYTES)
  const record = recordOf(input, index, indexBytes)
  const recordBytes = encodeRecord(record)
  const temporary = join(dirname(input.output), `.${basename(input.output)}.${randomBytes(6).toString('hex')}.tmp`)
  let output: FileHandle | undefined
  try {
    output = await open(temporary, 'wx', 0o644)
    const sink = sinkOf(output)
    const head = new GzipWriter(sink)
    await writeEntry(head, { path: RECORD_PATH, mode: 0o644 }, recordBytes)
    await writeEntry(head, { path: INDEX_PATH, mode: 0o644 }, indexBytes)
    await writeEntry(head, { path: MANIFEST_NAME, mode: 0o644 }, input.manifestBytes)
    await head.end()
    await writeContent(new GzipWriter(sink), { ...input, checksums }, progress)
    await output.sync()
    const { size } = await output.stat()
    await output.close()
    output = undefined
    await rename(temporary, input.output)
    await syncFolder(dirname(input.output))
    return { digest: packageDigest(recordBytes), record, recordBytes, index, size }
  } finally {
    await output?.close()
    await unlink(temporary).catch(() => undefined)
  }
}

/** Both readings count half. */
function progressOf({ files, onProgress }: ArchiveInput): (bytes: number) => void {
  const total = files.reduce((sum, { size }) => sum + size, 0)
  let read = 0
  return (bytes) => {
    read += bytes
    onProgress?.({ bytes: Math.floor(read / 2), total })
  }
}

function recordOf({ manifest, manifestBytes }: ArchiveInput, index: PackageIndex, indexBytes: Buffer): PackageRecord {
  return {
    format: 1,
    name: manifest.name,
    version: manifest.version,
    platform: manifest.platforms,
    manifest: sha256Hex(manifestBytes),
    index: sha256Hex(indexBytes),
    chunker: CHUNKER_ID,
    files: index.files.length,
    bytes: index.files.reduce((sum, { size }) => sum + size, 0),
  }
}

/** Cuts and hashes every file. */
async function indexFiles(
  { files, signal }: ArchiveInput,
  progress: (bytes: number) => void,
): Promise<{ index: PackageIndex; checksums: ReadonlyMap<string, number> }> {
  const cutter = new ContentCutter()
  const indexed: IndexFile[] = []
  const checksums = new Map<string, number>()
  let chunks: IndexChunk[] = []
  let checksum = 0
  for await (const { file, bytes, isLast } of readFiles(files, signal)) {
    for (const chunk of cutter.add(bytes)) chunks.push(chunk)
    checksum = crc32(bytes, checksum)
    progress(bytes.length)
    if (!isLast) continue
    for (const chunk of cutter.finish()) chunks.push(chunk)
    indexed.push({ path: file.path, mode: file.mode, size: file.size, chunks })
    checksums.set(file.path, checksum)
    chunks = []
    checksum = 0
  }
  return { index: { files: indexed }, checksums }
}

/** Writes all files but the manifest, and the end of the archive. */
async function writeContent(
  gzip: GzipWriter,
  { files, checksums, signal }: ArchiveInput & { checksums: ReadonlyMap<string, number> },
  progress: (bytes: number) => void,
): Promise<void> {
  let checksum = 0
  for await (const { file, bytes, isFirst, isLast } of readFiles(files, signal)) {
    progress(bytes.length)
    if (file.path === MANIFEST_NAME) continue
    if (isFirst) await gzip.write(tarHeader(file))
    await gzip.write(bytes)
    checksum = crc32(bytes, checksum)
    if (!isLast) continue
    await gzip.write(tarPadding(file.size))
    if (checksum !== checksums.get(file.path)) throw fileChanged(file)
    checksum = 0
  }
  await gzip.write(tarEnd())
  await gzip.end()
}

async function writeEntry(gzip: GzipWriter, entry: Pick<IndexFile, 'path' | 'mode'>, bytes: Uint8Array): Promise<void> {
  await gzip.write(tarHeader({ ...entry, size: bytes.length }))
  await gzip.write(bytes)
  await gzip.write(tarPadding(bytes.length))
}

function sinkOf(file: FileHandle): (bytes: Uint8Array) => Promise<unknown> {
  return async (bytes) => {
    for (let at = 0; at < bytes.length; ) at += (await file.write(bytes, at)).bytesWritten
  }
}
