import { type FileHandle, open, stat } from 'node:fs/promises'
import { basename } from 'node:path'
import { type AuditEntry, decodeLine, MAX_LINE_BYTES, ZERO_HASH } from './entry.ts'

/** A live file of this size is set aside. */
export const MAX_FILE_BYTES = 10 * 1000 * 1000
/** So many are kept beside the live one: 100 MB, some 300,000 entries. */
export const MAX_FILES = 10
const BLOCK_BYTES = 256 * 1024
/** How far back the last whole line is looked for; more than a live file ever has. */
const MAX_TAIL_BYTES = 32 * 1000 * 1000

/** The last entry of a chain: what the next one hangs on. */
export interface ChainEnd {
  readonly seq: number
  readonly hash: string
}

/** An opened file of the log. */
export interface LogPart {
  readonly name: string
  readonly handle: FileHandle
  /** Read no further than this. */
  readonly size: number
}

/** All files of a log as they were at one moment, oldest first, whatever is renamed or dropped meanwhile. */
export interface Snapshot {
  readonly parts: readonly LogPart[]
  close(): Promise<void>
}

/** `audit.log.N`; 1 is the newest of those set aside. */
export function rotatedPath(file: string, number: number): string {
  return `${file}.${number}`
}

/** Opens what there is of a log. `liveSize`: how much of the live file is flushed; all of it where not given. */
export async function openSnapshot(file: string, liveSize?: number): Promise<Snapshot> {
  const parts: LogPart[] = []
  const close = async (): Promise<void> => {
    for (const { handle } of parts) await handle.close()
  }
  try {
    for (let number = MAX_FILES; number >= 0; number--) {
      const path = number === 0 ? file : rotatedPath(file, number)
      const handle = await openIfThere(path)
      if (handle === undefined) continue
      const { size } = await handle.stat()
      parts.push({ name: basename(path), handle, size: number === 0 ? Math.min(size, liveSize ?? size) : size })
    }
  } catch (error) {
    await close()
    throw error
  }
  return { parts, close }
}

/** Lines, a block's worth at a time, and how far they go. */
export interface LineBlock {
  /** Without their line ends. */
  readonly lines: readonly Buffer[]
  /** Where the next block begins. */
  readonly next: number
}

/** The whole lines of a part from an offset at which one begins. What has no line end at the end is left out. */
export async function* blocksOf({ handle, size }: LogPart, from = 0): AsyncGenerator<LineBlock> {
  const buffer = Buffer.alloc(BLOCK_BYTES)
  let rest: Buffer = Buffer.alloc(0)
  for (let offset = from; offset < size; ) {
    const { bytesRead } = await handle.read(buffer, 0, Math.min(BLOCK_BYTES, size - offset), offset)
    if (bytesRead === 0) return
    offset += bytesRead
    const bytes = Buffer.concat([rest, buffer.subarray(0, bytesRead)])
    const lines: Buffer[] = []
    let start = 0
    for (let end = bytes.indexOf(10); end >= 0; end = bytes.indexOf(10, start)) {
      lines.push(bytes.subarray(start, end))
      start = end + 1
    }
    rest = bytes.subarray(start)
    // No entry is so long: a damaged file must not be gathered in memory.
    if (rest.length > 4 * MAX_LINE_BYTES) {
      lines.push(rest)
      rest = Buffer.alloc(0)
    }
    if (lines.length > 0) yield { lines, next: offset - rest.length }
  }
}

/** The first entry of a file that can be read; undefined where there is none near its beginning. */
export async function firstEntryOf(part: LogPart): Promise<AuditEntry | undefined> {
  for await (const { lines } of blocksOf(part)) {
    for (const line of lines) {
      const entry = decodeLine(line)
      if ('seq' in entry) return entry
    }
    return undefined
  }
  return undefined
}

/** How a log ends. */
export interface LogEnd {
  readonly end: ChainEnd
  /** Bytes of the live file up to its last line end. */
  readonly size: number
  /** Bytes after it: a line that a crash cut off. */
  readonly torn: number
}

/** Finds the last whole entry of a log; the end of a new chain where there is none. Changes nothing. */
export async function findEnd(file: string): Promise<LogEnd> {
  let size = 0
  let torn = 0
  for (let number = 0; number <= MAX_FILES; number++) {
    const handle = await openIfThere(number === 0 ? file : rotatedPath(file, number))
    if (handle === undefined) continue
    try {
      const bytes = await readTail(handle)
      const lastNewline = bytes.lastIndexOf(10)
      if (number === 0) {
        torn = bytes.length - lastNewline - 1
        size = (await handle.stat()).size - torn
      }
      const end = lastWhole(bytes.subarray(0, lastNewline + 1))
      if (end !== undefined) return { end, size, torn }
    } finally {
      await handle.close()
    }
  }
  return { end: { seq: 0, hash: ZERO_HASH }, size, torn }
}

/** The size of a file and which file it is; undefined where there is none. */
export async function identify(path: string): Promise<{ size: number; ino: number } | undefined> {
  try {
    const { size, ino } = await stat(path)
    return { size, ino }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

function lastWhole(bytes: Buffer): ChainEnd | undefined {
  for (let end = bytes.length - 1; end >= 0; ) {
    const start = end === 0 ? 0 : bytes.lastIndexOf(10, end - 1) + 1
    const entry = decodeLine(bytes.subarray(start, end))
    if ('seq' in entry) return { seq: entry.seq, hash: entry.hash }
    end = start - 1
  }
  return undefined
}

async function readTail(handle: FileHandle): Promise<Buffer> {
  const { size } = await handle.stat()
  const length = Math.min(size, MAX_TAIL_BYTES)
  const buffer = Buffer.alloc(length)
  let filled = 0
  while (filled < length) {
    const { bytesRead } = await handle.read(buffer, filled, length - filled, size - length + filled)
    if (bytesRead === 0) break
    filled += bytesRead
  }
  return buffer.subarray(0, filled)
}

async function openIfThere(path: string): Promise<FileHandle | undefined> {
  try {
    return await open(path, 'r')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}
