import { hash } from 'node:crypto'
import type { PackageIndex } from '../bundle/index.ts'

const SCAN_BYTES = 1024 * 1024
const SCAN_CHUNKS = 4096

/** Where one file of a package lies in its content. */
export interface FilePlace {
  readonly path: string
  readonly firstChunk: number
  readonly chunks: number
  readonly offset: number
}

/** A run of consecutive chunks, by ordinal. */
export interface Run {
  readonly first: number
  readonly count: number
}

/**
 * The chunks of a package in flat tables, 44 bytes a chunk: the index as objects takes five times as much, and a large
 * package has 100,000 of them.
 */
export class Layout {
  readonly count: number
  /** Bytes of content. */
  readonly bytes: number
  readonly files: readonly FilePlace[]
  /** `count + 1` values; chunk `i` is `offsets[i]` to `offsets[i + 1]`. */
  readonly #offsets: Float64Array
  readonly #hashes: Buffer

  constructor(index: PackageIndex) {
    this.count = index.files.reduce((sum, file) => sum + file.chunks.length, 0)
    this.#offsets = new Float64Array(this.count + 1)
    this.#hashes = Buffer.alloc(this.count * 32)
    const files: FilePlace[] = []
    let ordinal = 0
    let offset = 0
    for (const file of index.files) {
      files.push({ path: file.path, firstChunk: ordinal, chunks: file.chunks.length, offset })
      for (const chunk of file.chunks) {
        this.#offsets[ordinal] = offset
        this.#hashes.write(chunk.hash, ordinal * 32, 'hex')
        offset += chunk.size
        ordinal++
      }
    }
    this.#offsets[this.count] = offset
    this.bytes = offset
    this.files = files
  }

  /** Position of a chunk in the content; `offsetOf(count)` is its end. */
  offsetOf(ordinal: number): number {
    return this.#offsets[ordinal] as number
  }

  sizeOf(ordinal: number): number {
    return this.offsetOf(ordinal + 1) - this.offsetOf(ordinal)
  }

  hashOf(ordinal: number): Buffer {
    return this.#hashes.subarray(ordinal * 32, ordinal * 32 + 32)
  }

  /** Bytes of a run of chunks. */
  bytesOf({ first, count }: Run): number {
    return this.offsetOf(first + count) - this.offsetOf(first)
  }

  /** The chunk that holds the byte at `offset`; `offset` is less than `bytes`. */
  chunkAt(offset: number): number {
    return lastAtMost(this.count, offset, (ordinal) => this.offsetOf(ordinal))
  }

  /** The file that a chunk belongs to. */
  fileOf(ordinal: number): FilePlace {
    // Empty files have no chunk and share their first ordinal with the next file that has some: the last one is it.
    const at = lastAtMost(this.files.length, ordinal, (file) => (this.files[file] as FilePlace).firstChunk)
    return this.files[at] as FilePlace
  }

  /** True where `bytes` are exactly the chunk. */
  matches(ordinal: number, bytes: Uint8Array): boolean {
    return bytes.length === this.sizeOf(ordinal) && this.hashOf(ordinal).equals(hash('sha256', bytes, 'buffer'))
  }

  /** The first chunk of a run that `bytes`, the run's content, does not match; undefined where all do. */
  firstMismatch({ first, count }: Run, bytes: Uint8Array): number | undefined {
    if (bytes.length !== this.bytesOf({ first, count })) return first
    for (const [ordinal, part] of this.split({ first, count }, bytes)) if (!this.matches(ordinal, part)) return ordinal
    return undefined
  }

  /** The chunks in a run's content, with their ordinals. */
  *split({ first, count }: Run, bytes: Uint8Array): Generator<[ordinal: number, part: Uint8Array]> {
    const start = this.offsetOf(first)
    for (let ordinal = first; ordinal < first + count; ordinal++) {
      yield [ordinal, bytes.subarray(this.offsetOf(ordinal) - start, this.offsetOf(ordinal + 1) - start)]
    }
  }

  /** All chunks as runs of a size that is good to read and hash at a time. */
  *scan(): Generator<Run> {
    yield* this.cut({ first: 0, count: this.count }, SCAN_BYTES, SCAN_CHUNKS)
  }

  /** Cuts a run into runs of at most `maxBytes` (a larger chunk is a run of its own) and `maxCount` chunks. */
  *cut({ first, count }: Run, maxBytes: number, maxCount: number): Generator<Run> {
    let start = first
    for (let ordinal = first; ordinal < first + count; ordinal++) {
      const full = this.offsetOf(ordinal + 1) - this.offsetOf(start) > maxBytes || ordinal - start >= maxCount
      if (full && ordinal > start) {
        yield { first: start, count: ordinal - start }
        start = ordinal
      }
    }
    if (start < first + count) yield { first: start, count: first + count - start }
  }
}

/** The last index below `length` whose value is at most `wanted`; values only grow, the first is at most `wanted`. */
function lastAtMost(length: number, wanted: number, valueAt: (index: number) => number): number {
  let low = 0
  let high = length - 1
  while (low < high) {
    const middle = (low + high + 1) >>> 1
    if (valueAt(middle) <= wanted) low = middle
    else high = middle - 1
  }
  return low
}
