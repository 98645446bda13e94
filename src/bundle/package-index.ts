import { ByteReader } from '../base/byte-reader.ts'
import { MAX_CHUNK_BYTES, MIN_CHUNK_BYTES } from './cutter.ts'
import { bundleErrors } from './errors.ts'
import { checkLimit, DEFAULT_LIMITS, MAX_INDEX_BYTES, type PackageLimits } from './limits.ts'
import { comparePaths, fileUsedAsFolder, pathFault } from './package-path.ts'

/** A run of a file's bytes, known by its SHA-256. */
export interface IndexChunk {
  /** 64 hex digits. */
  readonly hash: string
  /** 1 to MAX_CHUNK_BYTES; more than MIN_CHUNK_BYTES unless it is its file's last. */
  readonly size: number
}

/** A file of a package: where it is, whether it is a program, and its bytes as chunks. */
export interface IndexFile {
  readonly path: string
  readonly mode: 0o644 | 0o755
  /** Bytes; the sum of its chunks. */
  readonly size: number
  /** In order; none for an empty file. */
  readonly chunks: readonly IndexChunk[]
}

/** All files of a package, sorted by path; the package's content is the files' bytes one after another in this order. */
export interface PackageIndex {
  readonly files: readonly IndexFile[]
}

/** The first bytes of an index; the digit is the version of its form. */
const MAGIC = Buffer.from('warren-index 1\n')
const HASH_BYTES = 32
const FILE_HEAD_BYTES = 2 + 1 + 8 + 4
const CHUNK_BYTES = HASH_BYTES + 4

/** The bytes of an index, the same for the same index (docs/protocols/package.md). Expects what `decodeIndex` accepts. */
export function encodeIndex({ files }: PackageIndex): Buffer {
  const paths = files.map(({ path }) => Buffer.from(path))
  const bodies = files.map((file, at) => FILE_HEAD_BYTES + paths[at]!.length + file.chunks.length * CHUNK_BYTES)
  const bytes = Buffer.alloc(bodies.reduce((sum, size) => sum + size, MAGIC.length + 4))
  let at = MAGIC.copy(bytes)
  at = bytes.writeUInt32BE(files.length, at)
  for (const [position, { mode, size, chunks }] of files.entries()) {
    const path = paths[position]!
    at = bytes.writeUInt16BE(path.length, at)
    at += path.copy(bytes, at)
    at = bytes.writeUInt8(mode === 0o755 ? 1 : 0, at)
    at = bytes.writeBigUInt64BE(BigInt(size), at)
    at = bytes.writeUInt32BE(chunks.length, at)
    for (const chunk of chunks) {
      at = bytes.writeUInt32BE(chunk.size, at)
      at += bytes.write(chunk.hash, at, 'hex')
    }
  }
  return bytes
}

/**
 * Reads an index from anyone. Fails with `index_invalid` on anything but the one form of a well-formed index: sizes add
 * up, paths are safe, sorted and unique, no file is used as a folder; with `package_too_large` past the limits.
 */
export function decodeIndex(bytes: Uint8Array, limits: PackageLimits = DEFAULT_LIMITS): PackageIndex {
  checkLimit('bytes of the index', bytes.length, MAX_INDEX_BYTES)
  const reader = new IndexReader(bytes)
  if (!reader.take(MAGIC.length).equals(MAGIC)) throw invalid('it does not begin as an index of version 1')
  const count = reader.unsigned(4)
  checkLimit('files', count, limits.maxFiles)
  const files: IndexFile[] = []
  let total = 0
  let previous: Buffer | undefined
  while (files.length < count) {
    const pathBytes = reader.take(reader.unsigned(2))
    if (previous !== undefined && Buffer.compare(previous, pathBytes) >= 0) {
      throw invalid(`"${pathBytes.toString()}" is not in order or is there twice`)
    }
    previous = pathBytes
    const file = readFile(reader, pathBytes)
    total += file.size
    checkLimit('bytes', total, limits.maxBytes)
    files.push(file)
  }
  if (reader.left > 0) throw invalid(`${reader.left} bytes follow its end`)
  const conflict = fileUsedAsFolder(files.map(({ path }) => path))
  if (conflict !== undefined) throw invalid(`"${conflict}" is both a file and a folder`)
  return { files }
}

/** Bytes of all files together. */
export function contentSize({ files }: PackageIndex): number {
  return files.reduce((sum, { size }) => sum + size, 0)
}

/** The files in the order of a package. */
export function sortFiles<T extends { readonly path: string }>(files: readonly T[]): T[] {
  return [...files].sort((a, b) => comparePaths(a.path, b.path))
}

function readFile(reader: IndexReader, pathBytes: Buffer): IndexFile {
  const path = pathBytes.toString()
  const fault = Buffer.from(path).equals(pathBytes) ? pathFault(path) : 'is not valid UTF-8'
  if (fault !== undefined) throw invalid(`the path "${path}" ${fault}`)
  const modeByte = reader.unsigned(1)
  if (modeByte > 1) throw invalid(`"${path}" has the mode ${modeByte}`)
  const size = reader.size()
  const chunkCount = reader.unsigned(4)
  if (chunkCount * CHUNK_BYTES > reader.left) throw invalid(`"${path}" is cut short`)
  const chunks: IndexChunk[] = []
  let sum = 0
  while (chunks.length < chunkCount) {
    const chunkSize = reader.unsigned(4)
    // Else a small index could name millions of chunks, each of which costs memory and a message.
    const isShort = chunkSize <= MIN_CHUNK_BYTES && chunks.length < chunkCount - 1
    if (chunkSize < 1 || chunkSize > MAX_CHUNK_BYTES || isShort) {
      throw invalid(`"${path}" has a chunk of ${chunkSize} bytes`)
    }
    chunks.push({ size: chunkSize, hash: reader.take(HASH_BYTES).toString('hex') })
    sum += chunkSize
  }
  if (sum !== size) throw invalid(`"${path}" has ${size} bytes and chunks of ${sum}`)
  return { path, mode: modeByte === 1 ? 0o755 : 0o644, size, chunks }
}

class IndexReader extends ByteReader {
  constructor(bytes: Uint8Array) {
    super(bytes, () => invalid('it is cut short'))
  }
  size(): number {
    const size = this.take(8).readBigUInt64BE(0)
    if (size > BigInt(Number.MAX_SAFE_INTEGER)) throw invalid(`a file of ${size} bytes`)
    return Number(size)
  }
}

function invalid(what: string): Error {
  return bundleErrors.index_invalid(`the index of the package is malformed: ${what}`)
}
