import { type FileHandle, mkdir, open, rename, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { readFileBounded, syncFolder, writeFileAtomic } from '../base/files.ts'
import { SerialQueue } from '../base/wait.ts'
import { transferErrors } from './errors.ts'
import { HaveMap, haveMapBytes } from './have-map.ts'
import type { Layout, Run } from './layout.ts'
import type { TransferLimits } from './limits.ts'

export type FlushLimits = Pick<TransferLimits, 'flushBytes' | 'maxUnflushedBytes'>

interface DataFileInit {
  /** `store/DIGEST`; need not exist. */
  readonly folder: string
  readonly layout: Layout
  readonly limits: FlushLimits
}

/**
 * The sparse file `data`, the content of one package, and `have`, the map of its chunks that are there.
 *
 * Every chunk is hashed when it comes in and again when it goes out. The map on disk only ever names chunks that were
 * flushed before it was written, so that after a crash every chunk in it is there.
 */
export class DataFile {
  readonly #folder: string
  readonly #layout: Layout
  readonly #limits: FlushLimits
  #file: FileHandle | undefined
  /** Readable now; of these, `#durable` survive a crash. */
  #have: HaveMap
  #durable: HaveMap
  #unflushed: number[] = []
  #unflushedBytes = 0
  #flushing: Promise<void> | undefined
  #failure: unknown
  readonly #queue = new SerialQueue()
  readonly #mapQueue = new SerialQueue()
  #closed = false

  private constructor({ folder, layout, limits }: DataFileInit) {
    this.#folder = folder
    this.#layout = layout
    this.#limits = limits
    this.#have = new HaveMap(layout.count)
    this.#durable = new HaveMap(layout.count)
  }

  /** Opens what there is. A missing or damaged map is made again by hashing the data. */
  static async open(init: DataFileInit): Promise<DataFile> {
    const file = new DataFile(init)
    const size = await stat(join(init.folder, 'data')).then(
      (found) => found.size,
      () => undefined,
    )
    if (size === undefined) return file
    const { count, bytes } = init.layout
    const saved = await readFileBounded(join(init.folder, 'have'), haveMapBytes(count)).catch(() => undefined)
    const map = saved === undefined ? undefined : HaveMap.decode(saved)
    if (map?.size === count && size === bytes) {
      file.#have = map
      file.#durable = map.copy()
    } else await file.#rescan()
    return file
  }

  has(ordinal: number): boolean {
    return this.#have.has(ordinal)
  }

  get complete(): boolean {
    return this.#have.complete
  }

  /**
   * The content of a run of chunks, verified; undefined where one is missing. A chunk that turns out to be damaged is
   * forgotten, so that the next fetch brings it again.
   */
  async read(run: Run): Promise<Buffer | undefined> {
    for (let ordinal = run.first; ordinal < run.first + run.count; ordinal++) if (!this.has(ordinal)) return undefined
    // In the queue only to open: reading beside a write of other chunks is safe.
    const file = await this.#queue.run(() => this.#openFile())
    const bytes = Buffer.allocUnsafe(this.#layout.bytesOf(run))
    let bytesRead: number
    try {
      ;({ bytesRead } = await file.read(bytes, 0, bytes.length, this.#layout.offsetOf(run.first)))
    } catch (error) {
      // The file was dropped or replaced after it was opened: what is there now decides.
      if (this.#file !== file && !this.#closed) return this.read(run)
      throw error
    }
    const wrong = bytesRead < bytes.length ? run.first : this.#layout.firstMismatch(run, bytes)
    if (wrong === undefined) return bytes
    this.#have.delete(wrong)
    this.#durable.delete(wrong)
    await this.#saveMap()
    return undefined
  }

  /**
   * Stores the content of a run of chunks; `flush` makes it survive a crash. Refuses it whole, with `source_dishonest`,
   * where a chunk does not have its hash. Waits while too much is not flushed. After the disk has failed, what was not
   * flushed is forgotten, and writing may be tried again.
   */
  async write(run: Run, bytes: Uint8Array): Promise<void> {
    const wrong = this.#layout.firstMismatch(run, bytes)
    if (wrong !== undefined) throw transferErrors.source_dishonest(`chunk ${wrong} does not have its hash`)
    await this.#queue.run(async () => {
      const file = await this.#openFile()
      await writeFully(file, bytes, this.#layout.offsetOf(run.first))
      for (let ordinal = run.first; ordinal < run.first + run.count; ordinal++) {
        this.#have.add(ordinal)
        this.#unflushed.push(ordinal)
      }
      this.#unflushedBytes += bytes.length
    })
    if (this.#unflushedBytes >= this.#limits.flushBytes) this.#startFlush()
    if (this.#unflushedBytes >= this.#limits.maxUnflushedBytes) await this.#flushing
    this.#throwFailure()
  }

  /** Makes all that was written survive a crash. */
  async flush(): Promise<void> {
    await this.#flushing
    if (this.#unflushed.length > 0) this.#startFlush()
    await this.#flushing
    this.#throwFailure()
  }

  /** Takes over a file that holds the whole, verified and flushed content; it is renamed into place. */
  async adopt(path: string): Promise<void> {
    await this.#queue.run(async () => {
      await this.#flushing
      await mkdir(this.#folder, { recursive: true, mode: 0o700 })
      await rename(path, join(this.#folder, 'data'))
      await syncFolder(this.#folder)
      await this.#reset(new HaveMap(this.#layout.count).fill())
      await this.#saveMap()
    })
  }

  /** Removes data and map. */
  async drop(): Promise<void> {
    await this.#queue.run(async () => {
      await this.#flushing
      await this.#reset(new HaveMap(this.#layout.count))
      // Data first: a map without data means nothing, data without a map would be hashed again.
      await rm(join(this.#folder, 'data'), { force: true })
      await rm(join(this.#folder, 'have'), { force: true })
    })
  }

  /** Flushes and closes; reading and writing fail afterwards. */
  async close(): Promise<void> {
    try {
      await this.flush()
    } finally {
      this.#closed = true
      await this.#queue.run(async () => {
        await this.#file?.close()
        this.#file = undefined
      })
    }
  }

  async #openFile(): Promise<FileHandle> {
    if (this.#closed) throw transferErrors.package_not_found('the package was removed while it was in use')
    if (this.#file !== undefined) return this.#file
    const path = join(this.#folder, 'data')
    await mkdir(this.#folder, { recursive: true, mode: 0o700 })
    const isNew = await stat(path).then(
      () => false,
      () => true,
    )
    const file = await open(path, isNew ? 'w+' : 'r+', 0o600)
    this.#file = file
    if (isNew) {
      await file.truncate(this.#layout.bytes)
      await file.sync()
      await syncFolder(this.#folder)
      await syncFolder(dirname(this.#folder))
    }
    return file
  }

  #startFlush(): void {
    const file = this.#file
    if (this.#flushing !== undefined || file === undefined) return
    const written = this.#unflushed
    const writtenBytes = this.#unflushedBytes
    this.#unflushed = []
    this.#flushing = (async () => {
      try {
        await file.datasync()
        for (const ordinal of written) this.#durable.add(ordinal)
        await this.#saveMap()
        this.#unflushedBytes -= writtenBytes
      } catch (error) {
        // After a failed flush the kernel may have thrown away any of it.
        this.#failure = error
        this.#have = this.#durable.copy()
        this.#unflushed = []
        this.#unflushedBytes = 0
      } finally {
        this.#flushing = undefined
      }
    })()
  }

  #throwFailure(): void {
    const failure = this.#failure
    this.#failure = undefined
    if (failure !== undefined) throw failure
  }

  async #reset(have: HaveMap): Promise<void> {
    await this.#file?.close()
    this.#file = undefined
    this.#have = have
    this.#durable = have.copy()
    this.#unflushed = []
    this.#unflushedBytes = 0
  }

  async #saveMap(): Promise<void> {
    await this.#mapQueue.run(() => writeFileAtomic(join(this.#folder, 'have'), this.#durable.encode()))
  }

  async #rescan(): Promise<void> {
    const file = await this.#openFile()
    await file.truncate(this.#layout.bytes)
    for (const run of this.#layout.scan()) {
      const bytes = Buffer.alloc(this.#layout.bytesOf(run))
      await file.read(bytes, 0, bytes.length, this.#layout.offsetOf(run.first))
      for (const [ordinal, part] of this.#layout.split(run, bytes)) {
        if (this.#layout.matches(ordinal, part)) this.#have.add(ordinal)
      }
    }
    this.#durable = this.#have.copy()
    await file.datasync()
    await this.#saveMap()
  }
}

async function writeFully(file: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  let done = 0
  while (done < bytes.length) {
    const { bytesWritten } = await file.write(bytes, done, bytes.length - done, position + done)
    done += bytesWritten
  }
}
