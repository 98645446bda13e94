import { type FileHandle, open, readdir, rename, stat, truncate, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import type { Clock } from '../../base/clock.ts'
import { readFileBounded, syncFolder, writeFileAtomic } from '../../base/files.ts'
import { READ_BLOCK_BYTES } from './limits.ts'
import { TimeIndex } from './time-index.ts'

export interface LogFileDeps {
  readonly folder: string
  readonly stream: 'stdout' | 'stderr'
  /** A part that was rotated away is about so long. */
  readonly maxBytes: number
  /** So many of them are kept, beside the live file. */
  readonly files: number
  readonly clock: Clock
  punchHole(path: string, offset: number, length: number): Promise<boolean>
}

/** Stops all writers, and gives the function that lets them go on. */
export type Freeze = () => Promise<() => Promise<void>>

/**
 * One stream of an app, as bytes known by their offset since the app's first: the live file, which the app appends to
 * by itself, and the parts rotated out of it, `NAME.OFFSET`. Rotation copies the head, flushes it and punches it out of
 * the live file, so that no writer is stopped and no byte is in no file at any time.
 */
export class LogFile {
  readonly path: string
  readonly times: TimeIndex
  readonly #deps: LogFileDeps
  /** Offsets at which the rotated parts begin, oldest first. */
  #parts: number[] = []
  /** Where the live file's part begins; all before it is in the parts, or gone. */
  #base = 0
  /** The offset of the live file's first byte; not 0 only where it had to be truncated. */
  #origin = 0
  #end = 0
  #canPunch = true
  #wasInterrupted = false

  constructor(deps: LogFileDeps) {
    this.#deps = deps
    this.path = join(deps.folder, `${deps.stream}.log`)
    this.times = new TimeIndex(join(deps.folder, `${deps.stream}.times`))
  }

  /** The offset of the oldest byte that is kept. */
  get oldest(): number {
    return this.#parts[0] ?? this.#base
  }

  /** The offset behind the newest byte that `observe` saw. */
  get end(): number {
    return this.#end
  }

  /** True where `open` found that a crash may have left the writers standing still. */
  get wasInterrupted(): boolean {
    return this.#wasInterrupted
  }

  /**
   * Reads what is there and ends a rotation that a crash cut off. The folder must exist; writers that a rotation had
   * stopped must still stand still.
   */
  async open(): Promise<void> {
    const { folder, stream } = this.#deps
    await (await open(this.path, 'a', 0o600)).close()
    await this.times.open()
    await unlink(join(folder, `${stream}.part`)).catch(() => undefined)
    await this.#loadParts(await readdir(folder))
    await this.#loadState()
    await this.observe()
  }

  async close(): Promise<void> {
    await this.times.close()
  }

  /** Looks at the size, notes its time, and tells whether it grew. */
  async observe(): Promise<boolean> {
    const { size, mtimeMs } = await stat(this.path)
    if (this.#origin + size < this.#end) {
      // Somebody emptied it by hand; what comes now is new.
      this.#origin = this.#base = this.#end
      await this.#saveState({ origin: this.#origin, base: this.#base })
    }
    const end = this.#origin + size
    const grew = end > this.#end
    this.#end = end
    await this.times.append(end, Math.min(mtimeMs, this.#deps.clock.now()))
    return grew
  }

  /** True where a rotation is due. */
  get isDue(): boolean {
    return this.#end - this.#base >= this.#deps.maxBytes
  }

  /** Moves the head of the live file into parts, `maxBytes` at a time, and drops the oldest beyond the limit. */
  async rotate(freeze: Freeze): Promise<void> {
    while (this.isDue) {
      if (this.#canPunch) await this.#rotateByPunching(freeze)
      else await this.#rotateByTruncating(freeze)
    }
    await this.#dropOldest()
  }

  /** Ends a last line that has no newline, so that what is written next begins a line. Only with nobody writing. */
  async endLine(): Promise<void> {
    await this.observe()
    if (this.#end === this.oldest) return
    const last = await this.read(this.#end - 1, 1)
    if (last.data[0] === 0x0a) return
    const file = await open(this.path, 'a')
    await file.write('\n').finally(() => file.close())
    await this.observe()
  }

  /**
   * Bytes from `offset` on, at most `length`, none beyond `end`. What was rotated away for good is skipped: the answer's
   * `offset` says where its bytes begin.
   */
  async read(offset: number, length: number): Promise<{ offset: number; data: Buffer }> {
    for (;;) {
      const from = Math.max(offset, this.oldest)
      const inLive = from >= this.#base
      const part = inLive ? undefined : this.#parts.findLast((start) => start <= from)
      const origin = part ?? this.#origin
      const until = inLive ? this.#end : (this.#parts.find((start) => start > from) ?? this.#base)
      const data = Buffer.alloc(Math.max(0, Math.min(length, until - from)))
      if (data.length === 0) return { offset: from, data }
      const bytesRead = await readAt(part === undefined ? this.path : this.#partPath(part), data, from - origin)
      const moved = inLive ? from < this.#base : from < this.oldest
      if (bytesRead !== undefined && !moved) return { offset: from, data: data.subarray(0, bytesRead) }
    }
  }

  /** Copies the next `maxBytes` out and punches them out of the live file. */
  async #rotateByPunching(freeze: Freeze): Promise<void> {
    const from = this.#base
    const cut = await this.#cutBefore(from + this.#deps.maxBytes)
    await this.#copyPart(from, cut)
    await this.#saveState({ origin: this.#origin, base: cut })
    this.#base = cut
    if (await this.#deps.punchHole(this.path, from - this.#origin, cut - from)) return
    this.#canPunch = false
    await this.#rotateByTruncating(freeze)
  }

  /** Where no hole can be punched: all is copied and the file emptied while its writers stand still. */
  async #rotateByTruncating(freeze: Freeze): Promise<void> {
    await this.#saveState({ origin: this.#origin, base: this.#base, freezing: true })
    const thaw = await freeze()
    try {
      const { size } = await stat(this.path)
      const end = this.#origin + size
      if (end > this.#base) await this.#copyPart(this.#base, end)
      await this.#saveState({ origin: this.#origin, base: end, freezing: true, truncateAt: end })
      this.#base = end
      await truncate(this.path, 0)
      this.#origin = end
      await this.#saveState({ origin: end, base: end, freezing: true })
      this.#end = Math.max(this.#end, end)
    } finally {
      await thaw()
    }
    await this.#saveState({ origin: this.#origin, base: this.#base })
  }

  /** The end of the last line that ends at or before `limit`; `limit` itself where no line ends near it. */
  async #cutBefore(limit: number): Promise<number> {
    const length = Math.min(READ_BLOCK_BYTES, limit - this.#base)
    const { data } = await this.read(limit - length, length)
    const newline = data.lastIndexOf(0x0a)
    return newline < 0 ? limit : limit - length + newline + 1
  }

  async #copyPart(from: number, to: number): Promise<void> {
    const { folder, stream } = this.#deps
    const temporary = join(folder, `${stream}.part`)
    const part = await open(temporary, 'w', 0o600)
    try {
      const block = Buffer.alloc(READ_BLOCK_BYTES)
      for (let offset = from; offset < to; ) {
        const wanted = block.subarray(0, Math.min(block.length, to - offset))
        const bytesRead = await readAt(this.path, wanted, offset - this.#origin)
        if (!bytesRead) throw new Error(`${this.path} ended at ${offset}, before ${to}`)
        await part.writeFile(block.subarray(0, bytesRead))
        offset += bytesRead
      }
      await part.sync()
    } finally {
      await part.close()
    }
    await rename(temporary, this.#partPath(from))
    await syncFolder(folder)
    this.#parts.push(from)
  }

  async #dropOldest(): Promise<void> {
    if (this.#parts.length <= this.#deps.files) return
    for (const start of this.#parts.splice(0, this.#parts.length - this.#deps.files))
      await unlink(this.#partPath(start))
    await this.times.prune(this.oldest)
  }

  async #loadParts(names: readonly string[]): Promise<void> {
    const pattern = new RegExp(`^${this.#deps.stream}\\.log\\.(\\d{16})$`)
    const starts = names.flatMap((name) => pattern.exec(name)?.[1] ?? []).map(Number)
    let next: number | undefined
    for (const start of starts.sort((a, b) => a - b)) {
      // A part that somebody took away leaves a gap: what lies before it is no longer reachable.
      if (start !== next) this.#parts = []
      this.#parts.push(start)
      next = start + (await stat(this.#partPath(start))).size
    }
    this.#base = next ?? 0
  }

  async #loadState(): Promise<void> {
    const bytes = await readFileBounded(this.#statePath(), MAX_STATE_BYTES)
    const state = parseState(bytes?.toString('utf8'))
    this.#origin = state.origin
    this.#wasInterrupted = state.freezing === true
    if (state.truncateAt !== undefined) {
      const { size } = await stat(this.path)
      if (size >= state.truncateAt - state.origin) await truncate(this.path, 0)
      this.#origin = state.truncateAt
      await this.#saveState({ origin: this.#origin, base: state.base })
    }
    if (state.base > this.#base) this.#parts = []
    this.#base = this.#end = Math.max(this.#base, state.base)
    // Copied before a crash, perhaps not yet punched. Where it cannot be, the next rotation finds that out.
    const copied = this.#base - this.#origin
    if (copied > 0) await this.#deps.punchHole(this.path, 0, copied)
  }

  #saveState(state: LogState): Promise<void> {
    return writeFileAtomic(this.#statePath(), `${JSON.stringify({ format: 1, ...state })}\n`)
  }

  #statePath(): string {
    return join(this.#deps.folder, `${this.#deps.stream}.state`)
  }

  #partPath(start: number): string {
    return `${this.path}.${String(start).padStart(16, '0')}`
  }
}

interface LogState {
  readonly origin: number
  readonly base: number
  /** Set while writers may stand still. */
  readonly freezing?: boolean
  /** Set while the live file is being emptied: the offset that its first byte then has. */
  readonly truncateAt?: number
}

const MAX_STATE_BYTES = 1024

/** A damaged state costs at most old lines: the parts say where they begin, and a live file begins at 0 unless told. */
function parseState(text: string | undefined): LogState {
  try {
    const { origin, base, truncateAt, freezing } = JSON.parse(text ?? '') as Record<string, unknown>
    if (!isOffset(origin) || !isOffset(base)) return { origin: 0, base: 0 }
    const state = { origin, base, freezing: freezing === true }
    return isOffset(truncateAt) ? { ...state, truncateAt } : state
  } catch {
    return { origin: 0, base: 0 }
  }
}

function isOffset(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}

/** Fills the buffer from a place of a file as far as it goes; undefined where the file is gone. */
async function readAt(path: string, buffer: Buffer, position: number): Promise<number | undefined> {
  let file: FileHandle
  try {
    file = await open(path, 'r')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
  try {
    let filled = 0
    while (filled < buffer.length) {
      const { bytesRead } = await file.read(buffer, filled, buffer.length - filled, position + filled)
      if (bytesRead === 0) break
      filled += bytesRead
    }
    return filled
  } finally {
    await file.close()
  }
}
