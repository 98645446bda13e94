import { MAX_LINE_BYTES, READ_BLOCK_BYTES } from './limits.ts'
import type { LogFile } from './log-file.ts'

/** A line, or a piece of a very long one, with the offset of its first byte. */
export interface LineAt {
  readonly offset: number
  /** Where what follows it begins. */
  readonly next: number
  readonly text: string
}

/** Reads the lines of one stream in order, as far as `end`; goes on from there at the next call. */
export class LineReader {
  readonly #file: LogFile
  #offset: number
  /** A line whose end is not there yet. */
  #rest: Buffer = Buffer.alloc(0)

  constructor(file: LogFile, offset: number) {
    this.#file = file
    this.#offset = offset
  }

  /** The complete lines before `end`, and with `flush` also a last one that has no newline. */
  async *linesUntil(end: number, flush: boolean): AsyncGenerator<LineAt> {
    while (this.#offset < end) {
      const { offset, data } = await this.#file.read(this.#offset, Math.min(READ_BLOCK_BYTES, end - this.#offset))
      if (offset !== this.#offset) this.#rest = Buffer.alloc(0)
      this.#offset = offset + data.length
      if (data.length === 0) break
      yield* this.#split(this.#rest.length === 0 ? data : Buffer.concat([this.#rest, data]))
    }
    if (flush && this.#rest.length > 0) {
      const line = { offset: this.#offset - this.#rest.length, next: this.#offset, text: decode(this.#rest) }
      this.#rest = Buffer.alloc(0)
      yield line
    }
  }

  *#split(bytes: Buffer): Generator<LineAt> {
    const first = this.#offset - bytes.length
    let start = 0
    while (start < bytes.length) {
      const newline = bytes.indexOf(0x0a, start)
      const isLong = (newline < 0 ? bytes.length : newline) - start > MAX_LINE_BYTES
      if (newline < 0 && !isLong) break
      const end = isLong ? start + MAX_LINE_BYTES : newline
      const next = isLong ? end : end + 1
      yield { offset: first + start, next: first + next, text: decode(bytes.subarray(start, end)) }
      start = next
    }
    this.#rest = bytes.subarray(start)
  }
}

/** Where the last `count` lines of the bytes from `from` to `end` begin, and how many lines there are from there on. */
export async function findTail(
  file: LogFile,
  range: { from: number; end: number },
  count: number,
): Promise<{ offset: number; lines: number }> {
  let offset = range.end
  let lines = 0
  // The newline that ends the last line begins none.
  let limit = range.end
  while (limit > range.from && lines <= count) {
    const length = Math.min(READ_BLOCK_BYTES, limit - range.from)
    const block = await readWhole(file, limit - length, limit)
    if (block.data.length === 0) break
    for (let index = block.data.lastIndexOf(0x0a); index >= 0; ) {
      const after = block.offset + index + 1
      if (after < range.end) {
        lines++
        offset = after
        if (lines === count) return { offset, lines }
      }
      index = index === 0 ? -1 : block.data.lastIndexOf(0x0a, index - 1)
    }
    limit = block.offset
  }
  return range.end > range.from ? { offset: limit, lines: lines + 1 } : { offset, lines: 0 }
}

/** All bytes of a range, also across parts; fewer where its beginning was rotated away meanwhile. */
async function readWhole(file: LogFile, from: number, to: number): Promise<{ offset: number; data: Buffer }> {
  const blocks: Buffer[] = []
  let start: number | undefined
  for (let offset = from; offset < to; ) {
    const block = await file.read(offset, to - offset)
    if (block.data.length === 0) break
    start ??= block.offset
    blocks.push(block.data)
    offset = block.offset + block.data.length
  }
  return { offset: start ?? from, data: Buffer.concat(blocks) }
}

/** The first beginning of a line at or after `offset`. */
export async function nextLineStart(file: LogFile, offset: number, end: number): Promise<number> {
  if (offset <= file.oldest) return file.oldest
  for (let from = offset - 1; from < end; ) {
    const block = await file.read(from, Math.min(READ_BLOCK_BYTES, end - from))
    if (block.data.length === 0) break
    const newline = block.data.indexOf(0x0a)
    if (newline >= 0) return block.offset + newline + 1
    from = block.offset + block.data.length
  }
  return end
}

function decode(bytes: Buffer): string {
  return bytes.toString('utf8').replace(/\r$/, '')
}
