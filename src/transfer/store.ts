import { mkdir, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Clock } from '../base/clock.ts'
import { WarrenError } from '../base/errors.ts'
import { pathExists, readFileBounded } from '../base/files.ts'
import type { Logger } from '../base/log.ts'
import { SerialQueue } from '../base/wait.ts'
import type { Manifest, PackageIndex, PackageRecord } from '../bundle/index.ts'
import { type Envelope, encodeEnvelope } from '../identity/index.ts'
import type { ChunkIndex } from './chunk-index.ts'
import type { FlushLimits } from './data-file.ts'
import { transferErrors } from './errors.ts'
import { HaveMap, haveMapBytes } from './have-map.ts'
import { Layout } from './layout.ts'
import { PackageChunks } from './package-chunks.ts'
import { PackageFolders } from './package-folders.ts'
import { type PackageHeader, verifyIndex } from './package-header.ts'
import { readTrees } from './trees.ts'

/** A package that is known here. */
export interface StoredPackage {
  /** SHA-256 of the record's bytes, in hex. */
  readonly digest: string
  readonly record: PackageRecord
  readonly recordBytes: Uint8Array
  readonly manifest: Manifest
  /** Undefined: unsigned. */
  readonly signature: Envelope | undefined
  /** All of its chunks are here. */
  readonly complete: boolean
}

/** A package kept open: its files stay until it is released. */
export interface HeldPackage {
  readonly header: PackageHeader
  readonly chunks: PackageChunks
  readIndexBytes(): Promise<Buffer>
  release(): Promise<void>
}

interface Entry {
  header: PackageHeader
  complete: boolean
  /** Open while anyone holds it. */
  open: Promise<PackageChunks> | undefined
  chunks: PackageChunks | undefined
  closing: Promise<void> | undefined
  holders: number
  /** Work that must not have the package removed under it. */
  pins: number
  readonly treeLost: Set<number>
}

export interface StoreInit {
  /** `HOME/packages` and `HOME/store`. */
  readonly folders: { readonly packages: string; readonly store: string }
  readonly chunkIndex: ChunkIndex
  readonly limits: FlushLimits
  readonly clock: Clock
  readonly log: Logger
}

/** The packages of one node on disk: headers in `packages/`, chunks in `store/`; one for each home. */
export class Store {
  readonly #init: StoreInit
  readonly #folders: PackageFolders
  readonly #entries = new Map<string, Entry>()
  readonly #queue = new SerialQueue()
  #filling: Promise<void> = Promise.resolve()
  #stopped = false

  constructor(init: StoreInit) {
    this.#init = init
    this.#folders = new PackageFolders(init.folders.packages)
  }

  /** Reads what is there and clears away what a crash left half made; a damaged package is set aside and named. */
  async start(): Promise<void> {
    const { folders, log, clock } = this.#init
    await mkdir(folders.store, { recursive: true, mode: 0o700 })
    for (const digest of await this.#folders.list()) {
      // A header alone is an import or a fetch that brought nothing.
      if (!(await this.#hasContent(digest))) await this.#folders.remove(digest)
      else {
        try {
          const header = await this.#folders.read(digest)
          this.#entries.set(digest, newEntry(header, await this.#looksComplete(digest)))
        } catch (error) {
          const aside = await this.#folders.setAside(digest, clock.now())
          log.warn({ digest, reason: String(error), aside }, 'damaged package set aside')
        }
      }
    }
    for (const name of await readdir(folders.store)) {
      if (!this.#entries.has(name)) await rm(join(folders.store, name), { recursive: true, force: true })
    }
    this.#filling = this.#fillIndex()
  }

  /** Closes every file. What is held is closed under its holders. */
  async stop(): Promise<void> {
    this.#stopped = true
    await this.#filling
    for (const entry of this.#entries.values()) {
      await entry.closing
      await (await entry.open?.catch(() => undefined))?.close()
    }
  }

  get(digest: string): StoredPackage | undefined {
    const entry = this.#entries.get(digest)
    return entry === undefined ? undefined : storedOf(entry)
  }

  list(): StoredPackage[] {
    return [...this.#entries.values()].map(storedOf)
  }

  header(digest: string): PackageHeader | undefined {
    return this.#entries.get(digest)?.header
  }

  /** Makes a verified, trusted header known. Knowing it already changes nothing. */
  register(
    header: PackageHeader,
    { index, indexBytes }: { index: PackageIndex; indexBytes: Uint8Array },
  ): Promise<void> {
    return this.#queue.run(async () => {
      if (this.#entries.has(header.digest)) return
      const layout = new Layout(index)
      await this.#folders.create(header.digest, header, indexBytes)
      // A package of empty files has no chunk that could come.
      if (layout.count === 0) await mkdir(this.#folderOf(header.digest), { recursive: true, mode: 0o700 })
      this.#entries.set(header.digest, newEntry(header, layout.count === 0))
      await this.#index(header.digest, layout)
    })
  }

  /** Replaces the signature of a known package. */
  setSignature(digest: string, signature: Envelope): Promise<void> {
    return this.#queue.run(async () => {
      const entry = this.#require(digest)
      await this.#folders.writeSignature(digest, signature)
      entry.header = { ...entry.header, signature, signatureBytes: encodeEnvelope(signature) }
    })
  }

  /** Opens a package for reading and writing its chunks; undefined where it is not known. The holder releases it. */
  async hold(digest: string): Promise<HeldPackage | undefined> {
    const entry = this.#entries.get(digest)
    if (entry === undefined || this.#stopped) return undefined
    entry.holders++
    entry.open ??= this.#open(entry)
    const release = once(() => this.#release(entry))
    try {
      const chunks = await entry.open
      return { header: entry.header, chunks, readIndexBytes: () => this.#folders.readIndexBytes(digest), release }
    } catch (error) {
      await release()
      throw error
    }
  }

  /** Runs `work` on a package that cannot be removed meanwhile. Fails with `package_not_found`. */
  async use<T>(digest: string, work: (held: HeldPackage) => Promise<T>): Promise<T> {
    const entry = this.#require(digest)
    entry.pins++
    try {
      const held = await this.hold(digest)
      if (held === undefined) throw notFound(digest)
      try {
        return await work(held)
      } finally {
        await held.release()
      }
    } finally {
      entry.pins--
    }
  }

  /** Removes a package. Fails with `package_not_found`, `package_in_use`. */
  remove(digest: string): Promise<void> {
    return this.#queue.run(async () => {
      const entry = this.#require(digest)
      const folder = this.#folderOf(digest)
      const [tree] = await readTrees(folder)
      if (tree !== undefined) throw transferErrors.package_in_use(`${nameOf(entry)} is installed in ${tree}`)
      if (entry.pins > 0) throw transferErrors.package_in_use(`${nameOf(entry)} is being fetched or installed`)
      this.#entries.delete(digest)
      await this.#folders.remove(digest)
      await entry.closing
      await entry.chunks?.close()
      await rm(folder, { recursive: true, force: true })
      this.#unindex((other) => other === digest)
    })
  }

  /** A package's index, verified and parsed. */
  async readIndex({ digest, record }: PackageHeader): Promise<PackageIndex> {
    return verifyIndex(record, await this.#folders.readIndexBytes(digest))
  }

  #require(digest: string): Entry {
    const entry = this.#entries.get(digest)
    if (entry === undefined) throw notFound(digest)
    return entry
  }

  #folderOf(digest: string): string {
    return join(this.#init.folders.store, digest)
  }

  async #open(entry: Entry): Promise<PackageChunks> {
    await entry.closing
    const { digest } = entry.header
    const layout = new Layout(await this.#readIndexOrForget(entry))
    const folder = this.#folderOf(digest)
    entry.chunks = await PackageChunks.open({ folder, layout, limits: this.#init.limits, treeLost: entry.treeLost })
    return entry.chunks
  }

  /** A package without its index cannot be used; forgotten, it can be fetched again, and its chunks are found there. */
  async #readIndexOrForget(entry: Entry): Promise<PackageIndex> {
    const { digest } = entry.header
    try {
      return await this.readIndex(entry.header)
    } catch (error) {
      if (!(error instanceof WarrenError)) throw error
      this.#entries.delete(digest)
      const aside = await this.#folders.setAside(digest, this.#init.clock.now())
      this.#init.log.warn({ digest, reason: error.message, aside }, 'damaged package set aside')
      throw error
    }
  }

  async #release(entry: Entry): Promise<void> {
    entry.holders--
    if (entry.chunks !== undefined) entry.complete = entry.chunks.complete
    if (entry.holders > 0) return
    const chunks = entry.chunks
    entry.open = undefined
    entry.chunks = undefined
    entry.closing = chunks?.close().catch((error: unknown) => {
      this.#init.log.warn({ digest: entry.header.digest, reason: String(error) }, 'chunks could not be flushed')
    })
    await entry.closing
  }

  async #hasContent(digest: string): Promise<boolean> {
    const folder = this.#folderOf(digest)
    if ((await pathExists(join(folder, 'data'))) || (await readTrees(folder)).length > 0) return true
    const header = await this.#folders.read(digest).catch(() => undefined)
    return header?.record.bytes === 0
  }

  /** Without the index: whoever opens the package knows for sure. */
  async #looksComplete(digest: string): Promise<boolean> {
    const folder = this.#folderOf(digest)
    if ((await readTrees(folder)).length > 0) return true
    const map = await readFileBounded(join(folder, 'have'), haveMapBytes(2 ** 24)).catch(() => undefined)
    return map === undefined ? !(await pathExists(join(folder, 'data'))) : HaveMap.decode(map)?.complete === true
  }

  /** Brings the chunk index in line with what is stored, after a crash, an upgrade or the loss of the database. */
  async #fillIndex(): Promise<void> {
    this.#unindex((digest) => !this.#entries.has(digest))
    for (const [digest, { header }] of this.#entries) {
      if (this.#stopped) return
      if (this.#init.chunkIndex.has(digest)) continue
      try {
        await this.#index(digest, new Layout(await this.readIndex(header)))
      } catch (error) {
        this.#init.log.warn({ digest, reason: String(error) }, 'package could not be indexed')
      }
    }
  }

  #unindex(isGone: (digest: string) => boolean): void {
    try {
      for (const digest of this.#init.chunkIndex.list()) if (isGone(digest)) this.#init.chunkIndex.remove(digest)
    } catch (error) {
      this.#init.log.warn({ reason: String(error) }, 'chunk index not written')
    }
  }

  /** Losing the index costs only that more is fetched than needed. */
  async #index(digest: string, layout: Layout): Promise<void> {
    try {
      await this.#init.chunkIndex.add(digest, layout)
    } catch (error) {
      this.#init.log.warn({ digest, reason: String(error) }, 'chunk index not written')
    }
  }
}

function newEntry(header: PackageHeader, complete: boolean): Entry {
  return {
    header,
    complete,
    open: undefined,
    chunks: undefined,
    closing: undefined,
    holders: 0,
    pins: 0,
    treeLost: new Set(),
  }
}

function storedOf({ header, complete, chunks }: Entry): StoredPackage {
  const { digest, record, recordBytes, manifest, signature } = header
  return { digest, record, recordBytes, manifest, signature, complete: chunks?.complete ?? complete }
}

function nameOf({ header: { record } }: Entry): string {
  return `${record.name} ${record.version}`
}

function notFound(digest: string): Error {
  return transferErrors.package_not_found(`no package with the digest ${digest} is stored here`, {
    hint: 'See what is stored: warren package list',
  })
}

function once(run: () => Promise<void>): () => Promise<void> {
  let done: Promise<void> | undefined
  return () => {
    done ??= run()
    return done
  }
}
