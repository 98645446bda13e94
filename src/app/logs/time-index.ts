import { type FileHandle, open, stat } from 'node:fs/promises'
import { writeFileAtomic } from '../../base/files.ts'

/** Two little-endian doubles: an offset of the log, and the time by which all before it had been written. */
const RECORD_BYTES = 16
/** Records read at once by a cursor: an afternoon of a busy log in 64 KiB. */
const BLOCK_RECORDS = 4096

/**
 * When the bytes of a log were written: a side file of (offset, time) records, both only growing. A byte has the time of
 * the first record whose offset is beyond it. Looked up on disk by bisection, so that it costs no memory at rest.
 */
export class TimeIndex {
  readonly #path: string
  #file: FileHandle | undefined
  #records = 0
  #lastOffset = 0
  #lastTimeMs = 0
  /** Raised when records moved; a cursor then finds its place anew. */
  #moves = 0

  constructor(path: string) {
    this.#path = path
  }

  get lastOffset(): number {
    return this.#lastOffset
  }

  get lastTimeMs(): number {
    return this.#lastTimeMs
  }

  /** Opens the file, made where missing. A record torn by a crash is cut off. */
  async open(): Promise<void> {
    this.#file = await open(this.#path, 'a+', 0o600)
    const { size } = await this.#file.stat()
    this.#records = Math.floor(size / RECORD_BYTES)
    if (size % RECORD_BYTES !== 0) await this.#file.truncate(this.#records * RECORD_BYTES)
    const last = this.#records === 0 ? undefined : (await this.#read(this.#records - 1, 1))[0]
    this.#lastOffset = last?.offset ?? 0
    this.#lastTimeMs = last?.timeMs ?? 0
  }

  async close(): Promise<void> {
    await this.#file?.close()
    this.#file = undefined
  }

  /** Says that all before `offset` had been written by `timeMs`. Neither ever goes back: smaller ones are raised. */
  async append(offset: number, timeMs: number): Promise<void> {
    if (this.#file === undefined || offset <= this.#lastOffset) return
    const record = Buffer.alloc(RECORD_BYTES)
    const time = Math.max(timeMs, this.#lastTimeMs)
    record.writeDoubleLE(offset, 0)
    record.writeDoubleLE(time, 8)
    await this.#file.appendFile(record)
    this.#records++
    this.#lastOffset = offset
    this.#lastTimeMs = time
  }

  /** Drops what tells of bytes before `oldest`. */
  async prune(oldest: number): Promise<void> {
    const first = await this.#bisect((record) => record.offset > oldest)
    if (this.#file === undefined || first === 0) return
    const kept = Buffer.alloc((this.#records - first) * RECORD_BYTES)
    await this.#file.read(kept, 0, kept.length, first * RECORD_BYTES)
    await writeFileAtomic(this.#path, kept)
    await this.#file.close()
    this.#file = await open(this.#path, 'a+', 0o600)
    this.#records = Math.floor((await stat(this.#path)).size / RECORD_BYTES)
    this.#moves++
  }

  /** The offset from which on bytes were written at or after `timeMs`; undefined where none was. */
  async offsetSince(timeMs: number): Promise<number | undefined> {
    const index = await this.#bisect((record) => record.timeMs >= timeMs)
    if (index === this.#records) return undefined
    return index === 0 ? 0 : ((await this.#read(index - 1, 1))[0]?.offset ?? 0)
  }

  /** Looks up the times of growing offsets. */
  cursor(): TimeCursor {
    let block: TimeRecord[] = []
    let next = 0
    let position = 0
    let moves = -1
    return {
      timeOf: async (offset) => {
        if (moves !== this.#moves) {
          moves = this.#moves
          next = await this.#bisect((record) => record.offset > offset)
          block = []
          position = 0
        }
        for (;;) {
          const record = block[position]
          if (record !== undefined && record.offset > offset) return record.timeMs
          if (record !== undefined) {
            position++
            continue
          }
          block = await this.#read(next, BLOCK_RECORDS)
          position = 0
          next += block.length
          if (block.length === 0) return this.#lastTimeMs
        }
      },
    }
  }

  async #bisect(isAtOrAfter: (record: TimeRecord) => boolean): Promise<number> {
    let low = 0
    let high = this.#records
    while (low < high) {
      const middle = (low + high) >> 1
      const record = (await this.#read(middle, 1))[0]
      if (record === undefined || isAtOrAfter(record)) high = middle
      else low = middle + 1
    }
    return low
  }

  async #read(first: number, count: number): Promise<TimeRecord[]> {
    const length = Math.min(count, this.#records - first) * RECORD_BYTES
    if (this.#file === undefined || length <= 0) return []
    const buffer = Buffer.alloc(length)
    const { bytesRead } = await this.#file.read(buffer, 0, length, first * RECORD_BYTES)
    return Array.from({ length: Math.floor(bytesRead / RECORD_BYTES) }, (_, index) => ({
      offset: buffer.readDoubleLE(index * RECORD_BYTES),
      timeMs: buffer.readDoubleLE(index * RECORD_BYTES + 8),
    }))
  }
}

interface TimeRecord {
  readonly offset: number
  readonly timeMs: number
}

export interface TimeCursor {
  /** The time of the byte at `offset`, in milliseconds since 1970. Offsets must not go back from call to call. */
  timeOf(offset: number): Promise<number>
}
