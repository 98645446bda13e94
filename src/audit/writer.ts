import { type FileHandle, open, rename } from 'node:fs/promises'
import { dirname } from 'node:path'
import { nameFile, syncFolder } from '../base/files.ts'
import { type Draft, draftOf, encodeLine } from './entry.ts'
import { type ChainEnd, firstEntryOf, identify, openSnapshot, rotatedPath } from './log-files.ts'

/** Lines that are encoded and hashed in one go, some milliseconds of work. */
const LINES_AT_ONCE = 200

export interface WriterOptions {
  readonly file: string
  /** How the log ends; its live file has `size` bytes. */
  readonly end: ChainEnd
  readonly size: number
  readonly maxBytes: number
  readonly maxFiles: number
  readonly now: () => number
}

/** Appends entries to the chain and sets files aside. One call at a time. */
export class LogWriter {
  readonly #options: WriterOptions
  #handle: FileHandle | undefined
  #ino: number | undefined
  #end: ChainEnd
  #size: number
  #generation = 0
  /** A write failed half-way: what lies beyond `#size` is to go. */
  #isDirty = false

  constructor(options: WriterOptions) {
    this.#options = options
    this.#end = options.end
    this.#size = options.size
  }

  /** The last entry that is flushed. */
  get end(): ChainEnd {
    return this.#end
  }

  /** Flushed bytes of the live file. */
  get size(): number {
    return this.#size
  }

  /** Changes whenever the live file may be another one. */
  get generation(): number {
    return this.#generation
  }

  /**
   * Appends the entries and flushes them: all or none. Fails as the file system does; then the file is as before, at the
   * latest at the next call.
   */
  async append(drafts: readonly Draft[]): Promise<void> {
    try {
      await this.#prepare()
      if (this.#size >= this.#options.maxBytes) await this.#rotate()
      await this.#write(drafts)
    } catch (error) {
      // Gives a full disk back what half of the entries took.
      if (this.#isDirty) await this.#handle?.truncate(this.#size).catch(() => undefined)
      throw nameFile(error, this.#options.file)
    }
  }

  async close(): Promise<void> {
    await this.#handle?.close()
    this.#handle = undefined
  }

  /** Makes sure that the open file is the one that has the name, and that it ends where this log does. */
  async #prepare(): Promise<void> {
    const { file } = this.#options
    const found = await identify(file)
    const isSame = this.#handle !== undefined && found?.ino === this.#ino
    if (isSame && this.#isDirty && (found?.size ?? 0) > this.#size) {
      await this.#handle?.truncate(this.#size)
      this.#isDirty = false
      return
    }
    this.#isDirty = false
    if (isSame && found?.size === this.#size) return
    const wasOpen = this.#handle !== undefined
    await this.#open(found === undefined ? 'wx+' : 'r+')
    const size = found?.size ?? 0
    if (size === this.#size && !wasOpen) return
    await this.#goOnAfterChange(size, isSame)
  }

  /** The file is not the one that was written: what was there stays, what comes hangs on what was written. */
  async #goOnAfterChange(size: number, isSame: boolean): Promise<void> {
    const was = this.#size
    this.#size = size
    const last = Buffer.alloc(1)
    if (size > 0) await this.#handle?.read(last, 0, 1, size - 1)
    if (size > 0 && last[0] !== 10) {
      await this.#handle?.write('\n', size)
      this.#size++
    }
    const reason = isSame ? 'its size is not what was written' : 'it is another file than the one written'
    await this.#write([this.#note('changed', 'failed', { reason, detail: { size_was: was, size_is: size } })])
  }

  async #write(drafts: readonly Draft[]): Promise<void> {
    const handle = this.#handle as FileHandle
    let { seq, hash } = this.#end
    let at = this.#size
    this.#isDirty = true
    for (let first = 0; first < drafts.length; first += LINES_AT_ONCE) {
      let text = ''
      for (const draft of drafts.slice(first, first + LINES_AT_ONCE)) {
        seq++
        const encoded = encodeLine(draft, { seq, prev: hash })
        hash = encoded.hash
        text += `${encoded.line}\n`
      }
      at += await writeAll(handle, Buffer.from(text), at)
    }
    await handle.datasync()
    this.#isDirty = false
    this.#end = { seq, hash }
    this.#size = at
  }

  /**
   * Sets the live file aside. Where the oldest is dropped for it, an entry says first which entry the log begins with
   * from then on. Renamed from the oldest on: a crash leaves a free place, which the next rotation uses.
   */
  async #rotate(): Promise<void> {
    const { file, maxFiles } = this.#options
    let place = 1
    while (place < maxFiles && (await identify(rotatedPath(file, place))) !== undefined) place++
    if (place === maxFiles && (await identify(rotatedPath(file, place))) !== undefined) await this.#noteDropped()
    for (let number = place - 1; number > 0; number--) {
      await rename(rotatedPath(file, number), rotatedPath(file, number + 1))
    }
    await rename(file, rotatedPath(file, 1))
    await this.close()
    this.#size = 0
    await this.#open('wx+')
  }

  async #noteDropped(): Promise<void> {
    const { file } = this.#options
    const snapshot = await openSnapshot(file, this.#size)
    try {
      const [, second] = snapshot.parts
      const first = second === undefined ? undefined : await firstEntryOf(second)
      const detail = first === undefined ? {} : { first: first.seq, prev: first.prev }
      await this.#write([this.#note('rotated', 'done', { detail })])
    } finally {
      await snapshot.close()
    }
  }

  async #open(flags: 'r+' | 'wx+'): Promise<void> {
    const { file } = this.#options
    await this.close()
    this.#handle = await open(file, flags, 0o600)
    this.#generation++
    this.#ino = (await this.#handle.stat()).ino
    if (flags === 'wx+') await syncFolder(dirname(file))
  }

  #note(subject: string, outcome: 'done' | 'failed', rest: Pick<Draft, 'reason' | 'detail'>): Draft {
    return draftOf({ what: 'audit', outcome, by: null, subject, ...rest }, this.#options.now())
  }
}

async function writeAll(handle: FileHandle, bytes: Buffer, position: number): Promise<number> {
  for (let done = 0; done < bytes.length; ) {
    done += (await handle.write(bytes, done, bytes.length - done, position + done)).bytesWritten
  }
  return bytes.length
}
