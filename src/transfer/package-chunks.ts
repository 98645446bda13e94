import { mkdir } from 'node:fs/promises'
import { DataFile, type FlushLimits } from './data-file.ts'
import { transferErrors } from './errors.ts'
import type { Layout, Run } from './layout.ts'
import { readTree, readTrees, writeTrees } from './trees.ts'

interface ChunksInit {
  readonly folder: string
  readonly layout: Layout
  readonly limits: FlushLimits
  /** Chunks that the installed folders turned out to have lost; noted here for as long as the daemon runs. */
  readonly treeLost: Set<number>
}

/** The chunks of one package, wherever they are: in its data file, or in the folders it is installed in. */
export class PackageChunks {
  readonly layout: Layout
  readonly #folder: string
  readonly #data: DataFile
  #trees: string[]
  readonly #treeLost: Set<number>

  private constructor(init: ChunksInit & { data: DataFile; trees: string[] }) {
    this.#folder = init.folder
    this.layout = init.layout
    this.#data = init.data
    this.#trees = init.trees
    this.#treeLost = init.treeLost
  }

  /** Opens `store/DIGEST`, which need not exist. The caller closes it. */
  static async open(init: ChunksInit): Promise<PackageChunks> {
    const data = await DataFile.open(init)
    const trees = await readTrees(init.folder)
    const chunks = new PackageChunks({ ...init, data, trees })
    // Left over where an adoption was cut short: the content is stored twice, unless the folder has gone meanwhile.
    const [tree] = trees
    if (tree !== undefined && data.complete && (await chunks.#faultOf(tree)) === undefined) await data.drop()
    return chunks
  }

  /** Folders the package is installed in. */
  get trees(): readonly string[] {
    return this.#trees
  }

  has(ordinal: number): boolean {
    return this.#data.has(ordinal) || (this.#trees.length > 0 && !this.#treeLost.has(ordinal))
  }

  get complete(): boolean {
    if (this.#data.complete || (this.#trees.length > 0 && this.#treeLost.size === 0)) return true
    return this.missing().next().done === true
  }

  /** Ordinals of the chunks that are not here, in order. */
  *missing(): Generator<number> {
    for (let ordinal = 0; ordinal < this.layout.count; ordinal++) if (!this.has(ordinal)) yield ordinal
  }

  /**
   * The content of a run of chunks, verified; undefined where one of them is not here, or is no longer what it must be
   * (it then counts as missing).
   */
  async read(run: Run): Promise<Buffer | undefined> {
    const whole = await this.#data.read(run)
    if (whole !== undefined) return whole
    const installed = await this.#readTrees(run)
    if (installed !== undefined) return installed
    if (run.count > 1) return this.#readSingly(run)
    if (this.#trees.length > 0 && !this.#treeLost.has(run.first)) await this.#noteLost()
    return undefined
  }

  /** As `DataFile.write`. */
  write(run: Run, bytes: Uint8Array): Promise<void> {
    return this.#data.write(run, bytes)
  }

  /** As `DataFile.flush`. */
  flush(): Promise<void> {
    return this.#data.flush()
  }

  /** As `DataFile.adopt`. */
  adoptData(path: string): Promise<void> {
    return this.#data.adopt(path)
  }

  /** Records a folder as a source, after hashing all of it, and drops the data file. Fails with `tree_mismatch`. */
  async adoptTree(tree: string): Promise<void> {
    const fault = await this.#faultOf(tree)
    if (fault !== undefined)
      throw transferErrors.tree_mismatch(`${tree} differs from the package at ${fault} or after it`)
    await mkdir(this.#folder, { recursive: true, mode: 0o700 })
    if (!this.#trees.includes(tree)) await this.#saveTrees([...this.#trees, tree])
    this.#treeLost.clear()
    await this.#data.drop()
  }

  /** Forgets a folder that is about to go. With `keep`, the last one's content is copied into the data file first. */
  async releaseTree(tree: string, { keep }: { keep: boolean }): Promise<void> {
    if (!this.#trees.includes(tree)) return
    if (keep && this.#trees.length === 1) await this.#copyToData()
    await this.#saveTrees(this.#trees.filter((path) => path !== tree))
  }

  /** As `DataFile.close`. */
  close(): Promise<void> {
    return this.#data.close()
  }

  /** The file at which, or after which, a folder begins to differ from the package; undefined where it does not. */
  async #faultOf(tree: string): Promise<string | undefined> {
    for (const run of this.layout.scan()) {
      const bytes = await readTree(this.layout, tree, run)
      if (bytes === undefined || this.layout.firstMismatch(run, bytes) !== undefined) {
        return this.layout.fileOf(run.first).path
      }
    }
    return undefined
  }

  async #readTrees(run: Run): Promise<Buffer | undefined> {
    for (const tree of this.#trees) {
      const bytes = await readTree(this.layout, tree, run)
      if (bytes !== undefined && this.layout.firstMismatch(run, bytes) === undefined) return bytes
    }
    return undefined
  }

  /** Where one chunk is lost, others are likely to be: all are looked at, so that one fetch brings back all of them. */
  async #noteLost(): Promise<void> {
    for (const run of this.layout.scan()) {
      if ((await this.#readTrees(run)) !== undefined) continue
      for (let ordinal = run.first; ordinal < run.first + run.count; ordinal++) {
        if ((await this.#readTrees({ first: ordinal, count: 1 })) === undefined) this.#treeLost.add(ordinal)
      }
    }
  }

  async #copyToData(): Promise<void> {
    for (const run of this.layout.scan()) {
      const bytes = await this.read(run)
      if (bytes !== undefined) await this.#data.write(run, bytes)
    }
    await this.#data.flush()
  }

  /** Where one chunk of a run is missing, or the run lies partly here and partly there. */
  async #readSingly({ first, count }: Run): Promise<Buffer | undefined> {
    const parts: Buffer[] = []
    for (let ordinal = first; ordinal < first + count; ordinal++) {
      const part = this.has(ordinal) ? await this.read({ first: ordinal, count: 1 }) : undefined
      if (part === undefined) return undefined
      parts.push(part)
    }
    return Buffer.concat(parts)
  }

  async #saveTrees(trees: string[]): Promise<void> {
    await writeTrees(this.#folder, trees)
    this.#trees = trees
  }
}
