import { type FileHandle, open, unlink } from 'node:fs/promises'
import { Readable } from 'node:stream'
import { createGunzip } from 'node:zlib'
import { toWarrenError } from '../base/errors.ts'
import { INDEX_PATH, RECORD_PATH } from './archive.ts'
import { ContentCutter } from './content-chunks.ts'
import { bundleErrors } from './errors.ts'
import {
  checkLimit,
  DEFAULT_LIMITS,
  MAX_INDEX_BYTES,
  MAX_MANIFEST_BYTES,
  MAX_RECORD_BYTES,
  type PackageLimits,
} from './limits.ts'
import { MANIFEST_NAME, type Manifest, parseManifest } from './manifest.ts'
import { contentSize, decodeIndex, type IndexChunk, type IndexFile, type PackageIndex } from './package-index.ts'
import { pathFault } from './package-path.ts'
import { checkRecordAgainst, decodeRecord, type PackageRecord, packageDigest, sha256Hex } from './package-record.ts'
import { readTar, type TarEntry } from './tar-read.ts'

/** What an archive says of itself, with every hash between its parts checked. */
export interface PackageHeader {
  readonly digest: string
  readonly record: PackageRecord
  readonly recordBytes: Uint8Array
  readonly index: PackageIndex
  readonly indexBytes: Uint8Array
  readonly manifest: Manifest
  readonly manifestBytes: Uint8Array
  /** Manifest keys that this release does not act on. */
  readonly warnings: readonly string[]
}

interface ReadInput {
  /** The bytes of a tar.gz. Read to the end, or returned early from on failure. */
  readonly source: AsyncIterable<Uint8Array>
  readonly limits?: PackageLimits | undefined
  readonly signal?: AbortSignal | undefined
  /** Content bytes checked so far, of all. */
  readonly onProgress?: ((progress: { bytes: number; total: number }) => void) | undefined
}

/**
 * Reads an archive from anyone and writes its content, the files one after another in the order of the index, to
 * `dataFile` (truncated first, flushed at the end). Every byte is checked: files are cut and hashed again and must give
 * the index, and the index and manifest must be those of the record. Fails with the code that names what is wrong and,
 * in the message, the entry; then `dataFile` is gone. Nothing but `dataFile` is written, and no more than the limits.
 */
export async function importArchive({
  dataFile,
  ...input
}: ReadInput & { readonly dataFile: string }): Promise<PackageHeader> {
  const file = await open(dataFile, 'w', 0o600)
  try {
    const header = await readArchive(input, file)
    await file.sync()
    return header
  } catch (error) {
    await unlink(dataFile).catch(() => undefined)
    throw error
  } finally {
    await file.close()
  }
}

/** Checks an archive as `importArchive` does, and writes nothing. */
export function checkArchive(input: ReadInput): Promise<PackageHeader> {
  return readArchive(input, undefined)
}

/** Reads record, index and manifest, checks them against each other, and leaves the content unread. */
export async function readPackageHeader({
  source,
  limits = DEFAULT_LIMITS,
  signal,
}: ReadInput): Promise<PackageHeader> {
  const entries = openArchive(source, limits, signal)
  try {
    const start = await readStart(entries, limits)
    for (;;) {
      const entry = await nextFile(entries)
      if (entry === undefined) throw bundleErrors.manifest_missing(`the archive has no ${MANIFEST_NAME}`)
      if (entry.path !== MANIFEST_NAME) continue
      return withManifest(start, await readWhole(entry, MAX_MANIFEST_BYTES))
    }
  } finally {
    await entries.return(undefined)
  }
}

type Start = Pick<PackageHeader, 'digest' | 'record' | 'recordBytes' | 'index' | 'indexBytes'>
type Entries = AsyncGenerator<TarEntry, void, undefined>

async function readArchive(input: ReadInput, data: FileHandle | undefined): Promise<PackageHeader> {
  const { source, limits = DEFAULT_LIMITS, signal, onProgress } = input
  const entries = openArchive(source, limits, signal)
  try {
    const start = await readStart(entries, limits)
    const content = new ContentReader(start.index, data, (bytes) => onProgress?.({ bytes, total: start.record.bytes }))
    let manifestBytes: Uint8Array | undefined
    for (;;) {
      const entry = await nextFile(entries)
      if (entry === undefined) break
      if (entry.path === MANIFEST_NAME) checkLimit(`bytes of ${MANIFEST_NAME}`, entry.size, MAX_MANIFEST_BYTES)
      const bytes = await content.read(entry)
      if (entry.path === MANIFEST_NAME) manifestBytes = bytes
    }
    content.finish()
    if (manifestBytes === undefined) throw bundleErrors.manifest_missing(`the archive has no ${MANIFEST_NAME}`)
    return withManifest(start, manifestBytes)
  } finally {
    await entries.return(undefined)
  }
}

/** The archive's entries with plain paths; unsafe ones fail. */
async function* openArchive(
  source: AsyncIterable<Uint8Array>,
  limits: PackageLimits,
  signal: AbortSignal | undefined,
): Entries {
  const paths = new Set<string>()
  let count = 0
  for await (const entry of readTar(gunzip(source, signal))) {
    // Folders have entries too, in archives of other programs.
    checkLimit('entries', ++count, 2 * limits.maxFiles + 2)
    const path = entry.path.replace(/^(\.\/+)+/, '').replace(/\/+$/, '')
    if (entry.kind === 'folder' && (path === '' || path === '.' || path === '.warren')) continue
    const fault = path === RECORD_PATH || path === INDEX_PATH ? undefined : pathFault(path)
    if (fault !== undefined) throw bundleErrors.archive_path_refused(`the archive’s entry "${entry.path}" ${fault}`)
    if (entry.kind === 'folder') continue
    if (entry.kind !== 'file') {
      const kind = { link: 'a link', device: 'a device or pipe', other: 'of an unknown kind' }[entry.kind]
      throw bundleErrors.archive_entry_refused(`the archive’s entry "${path}" is ${kind}; packages hold plain files`)
    }
    if (paths.has(path)) throw bundleErrors.archive_duplicate(`the archive has "${path}" twice`)
    paths.add(path)
    yield { ...entry, path }
  }
}

async function* gunzip(
  source: AsyncIterable<Uint8Array>,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array, void, undefined> {
  const unzip = createGunzip({ chunkSize: 256 * 1024 })
  const input = Readable.from(source, { objectMode: true })
  input.once('error', (error) => unzip.destroy(error))
  input.pipe(unzip)
  // Heard at once, also while the source gives nothing.
  const onAbort = (): void => void unzip.destroy(toWarrenError(signal?.reason))
  signal?.addEventListener('abort', onAbort, { once: true })
  try {
    for await (const bytes of unzip) {
      signal?.throwIfAborted()
      yield bytes as Uint8Array
    }
  } catch (error) {
    signal?.throwIfAborted()
    if (!(error as NodeJS.ErrnoException).code?.startsWith('Z_')) throw error
    throw bundleErrors.archive_damaged(`the archive is not a whole gzip file: ${(error as Error).message}`, {
      cause: error,
      hint: 'Copy or pack it again.',
    })
  } finally {
    signal?.removeEventListener('abort', onAbort)
    input.destroy()
    unzip.destroy()
  }
}

async function nextFile(entries: Entries): Promise<TarEntry | undefined> {
  const next = await entries.next()
  return next.done === true ? undefined : next.value
}

async function readStart(entries: Entries, limits: PackageLimits): Promise<Start> {
  const recordBytes = await readNamed(entries, RECORD_PATH, MAX_RECORD_BYTES)
  const record = decodeRecord(recordBytes, limits)
  const indexBytes = await readNamed(entries, INDEX_PATH, MAX_INDEX_BYTES)
  if (sha256Hex(indexBytes) !== record.index) throw mismatch(INDEX_PATH, 'is not the index that the record names')
  const index = decodeIndex(indexBytes, limits)
  if (index.files.length !== record.files || contentSize(index) !== record.bytes) {
    throw mismatch(INDEX_PATH, 'does not have the files and bytes that the record counts')
  }
  return { digest: packageDigest(recordBytes), record, recordBytes, index, indexBytes }
}

async function readNamed(entries: Entries, path: string, maxBytes: number): Promise<Uint8Array> {
  const entry = await nextFile(entries)
  if (entry?.path === path) return readWhole(entry, maxBytes)
  throw bundleErrors.record_missing(
    entry === undefined ? 'the archive is empty' : `the archive has "${entry.path}" where ${path} must stand`,
    { hint: `Make packages with warren pack; with tar, name ${RECORD_PATH} and ${INDEX_PATH} first.` },
  )
}

async function readWhole(entry: TarEntry, maxBytes: number): Promise<Uint8Array> {
  checkLimit(`bytes of ${entry.path}`, entry.size, maxBytes)
  const parts: Buffer[] = []
  for await (const portion of entry.read()) parts.push(Buffer.from(portion))
  return Buffer.concat(parts)
}

function withManifest(start: Start, manifestBytes: Uint8Array): PackageHeader {
  if (sha256Hex(manifestBytes) !== start.record.manifest)
    throw mismatch(MANIFEST_NAME, 'is not the one that the record names')
  const { manifest, warnings } = parseManifest(Buffer.from(manifestBytes).toString(), MANIFEST_NAME)
  checkRecordAgainst(start.record, manifest)
  return { ...start, manifest, manifestBytes, warnings }
}

/** Takes the files in any order, checks each against the index and puts it at its place in the data file. */
class ContentReader {
  readonly #places = new Map<string, { file: IndexFile; offset: number }>()
  readonly #data: FileHandle | undefined
  readonly #onBytes: (bytes: number) => void
  readonly #cutter = new ContentCutter()
  #bytes = 0
  constructor(index: PackageIndex, data: FileHandle | undefined, onBytes: (bytes: number) => void) {
    this.#data = data
    this.#onBytes = onBytes
    let offset = 0
    for (const file of index.files) {
      this.#places.set(file.path, { file, offset })
      offset += file.size
    }
  }

  /** Gives the bytes of the manifest, and of nothing else. */
  async read(entry: TarEntry): Promise<Uint8Array> {
    const place = this.#places.get(entry.path)
    if (place === undefined) throw mismatch(entry.path, 'is not in the index')
    this.#places.delete(entry.path)
    const { file, offset } = place
    if (entry.size !== file.size) throw mismatch(entry.path, `has ${entry.size} bytes, the index says ${file.size}`)
    if (((entry.mode & 0o100) !== 0) !== (file.mode === 0o755))
      throw mismatch(entry.path, 'has another mode than in the index')
    const kept: Buffer[] = []
    let at = 0
    let checked = 0
    const check = (chunks: IndexChunk[]): void => {
      for (const chunk of chunks) {
        const expected = file.chunks[checked++]
        if (expected?.hash !== chunk.hash) throw mismatch(entry.path, 'has other bytes than the index names')
      }
    }
    for await (const portion of entry.read()) {
      const written = this.#write(portion, offset + at)
      // Hashing goes on while the write is under way.
      try {
        check(this.#cutter.add(portion))
      } finally {
        await written
      }
      if (entry.path === MANIFEST_NAME) kept.push(Buffer.from(portion))
      at += portion.length
      this.#bytes += portion.length
      this.#onBytes(this.#bytes)
    }
    check(this.#cutter.finish())
    if (checked !== file.chunks.length) throw mismatch(entry.path, 'is cut in another way than its index says')
    return Buffer.concat(kept)
  }

  finish(): void {
    const [missing] = this.#places.keys()
    if (missing !== undefined) throw mismatch(missing, 'is in the index and not in the archive')
  }

  async #write(bytes: Uint8Array, position: number): Promise<void> {
    if (this.#data === undefined) return
    for (let at = 0; at < bytes.length; ) {
      at += (await this.#data.write(bytes, at, bytes.length - at, position + at)).bytesWritten
    }
  }
}

function mismatch(path: string, what: string): Error {
  return bundleErrors.package_mismatch(`"${path}" ${what}`, {
    hint: 'The archive was changed after it was packed: get it again from its author.',
    details: { path },
  })
}
