import type { Layout, Run } from './layout.ts'

interface TakeOptions {
  readonly maxBytes: number
  readonly maxRuns: number
  readonly maxCount: number
  /** Chunks that this source does not have. */
  readonly lacking: ReadonlySet<number>
}

/** The chunks that are neither here nor asked for; shared by all sources of one fetch. */
export class ChunkPool {
  readonly #layout: Layout
  readonly #free: Set<number>
  /** Chunks that somebody has taken and neither stored nor given back. */
  readonly #taken = new Set<number>()

  constructor(layout: Layout, missing: Iterable<number>) {
    this.#layout = layout
    this.#free = new Set(missing)
  }

  /** Chunks still to come, also those already asked for. */
  get left(): number {
    return this.#free.size + this.#taken.size
  }

  /** Chunks that nobody was asked for. */
  get free(): number {
    return this.#free.size
  }

  /** True where `take` would give some. */
  offers(lacking: ReadonlySet<number>): boolean {
    for (const ordinal of this.#free) if (!lacking.has(ordinal)) return true
    return false
  }

  /** Takes the next chunks, as runs: at least one chunk, if there is one that is not lacking, else none. */
  take({ maxBytes, maxRuns, maxCount, lacking }: TakeOptions): Run[] {
    const runs: { first: number; count: number }[] = []
    const taken: number[] = []
    let bytes = 0
    for (const ordinal of this.#free) {
      if (lacking.has(ordinal)) continue
      bytes += this.#layout.sizeOf(ordinal)
      if (taken.length > 0 && (bytes > maxBytes || taken.length === maxCount)) break
      const last = runs.at(-1)
      if (last !== undefined && last.first + last.count === ordinal) last.count++
      else if (runs.length === maxRuns) break
      else runs.push({ first: ordinal, count: 1 })
      taken.push(ordinal)
    }
    for (const ordinal of taken) {
      this.#free.delete(ordinal)
      this.#taken.add(ordinal)
    }
    return runs
  }

  /** The run was stored. */
  done({ first, count }: Run): void {
    for (let ordinal = first; ordinal < first + count; ordinal++) this.#taken.delete(ordinal)
  }

  /** Taken chunks that did not come, for another source. */
  giveBack(ordinals: Iterable<number>): void {
    for (const ordinal of ordinals) if (this.#taken.delete(ordinal)) this.#free.add(ordinal)
  }
}
