import { statfs } from 'node:fs/promises'
import { setImmediate } from 'node:timers/promises'
import { formatBytes } from '../base/bytes.ts'
import type { Clock } from '../base/clock.ts'
import type { Counters } from '../base/counters.ts'
import { baseErrors, toWarrenError, WarrenError } from '../base/errors.ts'
import type { Logger } from '../base/log.ts'
import { sleep } from '../base/wait.ts'
import type { Network } from '../net/index.ts'
import type { ChunkIndex } from './chunk-index.ts'
import { ChunkPool } from './chunk-pool.ts'
import { transferErrors } from './errors.ts'
import type { Run } from './layout.ts'
import type { TransferLimits } from './limits.ts'
import { verifyHeader, verifyIndex } from './package-header.ts'
import { askChunks, askHeader, type SourceContext } from './protocol/client.ts'
import type { HeldPackage, Store } from './store.ts'
import { type TrustCheck, trustQuestion } from './trust.ts'

/** Bytes of a package's content. */
export interface FetchProgress {
  /** Here already, whatever they came from. */
  readonly bytes: number
  readonly total: number
  /** Of these, sent by other nodes in this fetch. */
  readonly movedBytes: number
  /** Of these, copied from other packages on this node in this fetch. */
  readonly copiedBytes: number
}

/** A source that lied or stood still, for whoever keeps their reputation. */
export interface BadSource {
  readonly peer: string
  readonly digest: string
  readonly code: 'source_dishonest' | 'source_slow' | 'transfer_malformed'
  readonly reason: string
}

export interface FetchContext {
  readonly store: Store
  readonly storeFolder: string
  readonly chunkIndex: ChunkIndex
  readonly network: Pick<Network, 'open'>
  readonly checkTrust: TrustCheck
  readonly maxPackageBytes: number
  readonly onBadSource: (source: BadSource) => void
  readonly limits: TransferLimits
  readonly clock: Clock
  readonly log: Logger
  readonly counters: Counters
}

interface RunInit {
  readonly digest: string
  /** Peers to ask; may grow while the run lasts. */
  readonly sources: ReadonlySet<string>
  readonly signal: AbortSignal
  readonly onProgress: (progress: FetchProgress) => void
}

/** Disk space that a fetch leaves free, so that logs and state can still be written. */
const RESERVE_BYTES = 16 * 1024 * 1024

/** Chunks looked up in the index before others get their turn. */
const LOOKUPS_PER_TURN = 500

/** One fetch of one package, for all who asked for it. */
export class FetchRun {
  readonly #context: FetchContext
  readonly #init: RunInit
  readonly #stop = new AbortController()
  readonly #signal: AbortSignal
  /** Why a source is not asked any more. */
  readonly #dropped = new Map<string, WarrenError>()
  /** Broken streams in a row that brought nothing. */
  readonly #attempts = new Map<string, number>()
  /** Why this node does not accept the package. */
  #refusal: WarrenError | undefined
  #bytes = 0
  #moved = 0
  #copied = 0

  constructor(context: FetchContext, init: RunInit) {
    this.#context = context
    this.#init = init
    this.#signal = AbortSignal.any([init.signal, this.#stop.signal])
  }

  /** Brings what is missing. Resolves when every chunk is here, verified and flushed. */
  async run(): Promise<void> {
    const { store } = this.#context
    const { digest } = this.#init
    const known = store.header(digest)
    if (known === undefined) await this.#fetchHeader()
    else await this.#context.checkTrust(trustQuestion(known))
    await store.use(digest, async (held) => {
      try {
        await this.#fetchContent(held)
      } catch (error) {
        // What has come stays for the next fetch; the first failure is the one to tell.
        await held.chunks.flush().catch(() => undefined)
        throw error
      }
    })
  }

  async #fetchHeader(): Promise<void> {
    await this.#askSources(1, async (context) => {
      const { digest } = this.#init
      const answer = await askHeader(context, digest)
      await this.#judgePackage(async () => {
        const header = verifyHeader(digest, answer)
        const index = verifyIndex(header.record, answer.indexBytes)
        if (header.record.bytes > this.#context.maxPackageBytes) throw this.#overLimit(header.record.bytes)
        await this.#context.checkTrust(trustQuestion(header))
        await this.#locally(() => this.#context.store.register(header, { index, indexBytes: answer.indexBytes }))
      })
      return true
    })
  }

  /** A package that is refused for what it is stays refused, unless another source has a better signature for it. */
  async #judgePackage(judge: () => Promise<void>): Promise<void> {
    try {
      await judge()
    } catch (error) {
      const cause = toWarrenError(error)
      if (cause.code === 'package_damaged') throw transferErrors.source_dishonest(cause.message, { cause })
      this.#refusal = cause
      throw cause
    }
  }

  async #fetchContent(held: HeldPackage): Promise<void> {
    const { limits } = this.#context
    const { layout } = held.chunks
    const missing = [...held.chunks.missing()]
    const missingBytes = missing.reduce((sum, ordinal) => sum + layout.sizeOf(ordinal), 0)
    this.#bytes = layout.bytes - missingBytes
    this.#report(held)
    if (missing.length === 0) return
    await this.#locally(() => this.#requireSpace(missingBytes))
    await this.#copyFromOthers(held, missing)
    const pool = new ChunkPool(layout, held.chunks.missing())
    while (pool.left > 0) {
      await this.#askSources(limits.maxSources, async (context) => {
        let brought = 0
        const store = (run: Run, bytes: Uint8Array): Promise<void> => {
          brought += bytes.length
          this.#attempts.delete(context.peer)
          return this.#store(held, run, bytes)
        }
        await askChunks(context, { digest: this.#init.digest, layout, pool, store })
        if (pool.free > 0 && brought === 0) throw lacksRest(context.peer)
        return pool.left === 0
      })
    }
    await this.#locally(() => held.chunks.flush())
    if (!held.chunks.complete) {
      throw transferErrors.package_damaged(
        `chunks of ${this.#init.digest} were damaged while others were being fetched`,
      )
    }
  }

  async #store(held: HeldPackage, run: Run, bytes: Uint8Array): Promise<void> {
    try {
      await held.chunks.write(run, bytes)
    } catch (error) {
      if (error instanceof WarrenError && error.code === 'source_dishonest') throw error
      throw this.#fail(error)
    }
    this.#bytes += bytes.length
    this.#moved += bytes.length
    this.#context.counters.add('transfer_received_bytes', bytes.length)
    this.#report(held)
  }

  /** Takes chunks that other packages on this node have; each is hashed on the way. */
  async #copyFromOthers(held: HeldPackage, missing: readonly number[]): Promise<void> {
    const { store } = this.#context
    for (const [digest, places] of await this.#findPlaces(held, missing)) {
      const other = await store.hold(digest).catch(() => undefined)
      if (other === undefined) continue
      try {
        for (const { from, to } of places) {
          this.#signal.throwIfAborted()
          if (!other.chunks.layout.hashOf(from).equals(held.chunks.layout.hashOf(to))) continue
          const bytes = await other.chunks.read({ first: from, count: 1 }).catch(() => undefined)
          if (bytes === undefined) continue
          await this.#locally(() => held.chunks.write({ first: to, count: 1 }, bytes))
          this.#bytes += bytes.length
          this.#copied += bytes.length
          this.#context.counters.add('transfer_copied_bytes', bytes.length)
          this.#report(held)
        }
      } finally {
        await other.release()
      }
    }
  }

  /** Which chunks other packages seem to have, by package. */
  async #findPlaces(
    held: HeldPackage,
    missing: readonly number[],
  ): Promise<Map<string, { from: number; to: number }[]>> {
    const { chunkIndex, store, log } = this.#context
    const places = new Map<string, { from: number; to: number }[]>()
    try {
      for (const [count, to] of missing.entries()) {
        if (count % LOOKUPS_PER_TURN === LOOKUPS_PER_TURN - 1) await setImmediate()
        this.#signal.throwIfAborted()
        const found = chunkIndex.find(held.chunks.layout.hashOf(to), this.#init.digest)
        const place = found.find(({ digest }) => store.get(digest)?.complete) ?? found[0]
        if (place === undefined) continue
        const list = places.get(place.digest) ?? []
        list.push({ from: place.ordinal, to })
        places.set(place.digest, list)
      }
    } catch (error) {
      this.#signal.throwIfAborted()
      log.warn({ reason: String(error) }, 'chunk index not readable; more is fetched than needed')
    }
    return places
  }

  /**
   * Gives sources their turn, `atOnce` at a time, until one says that all is done. Fails when the work was stopped, and
   * when no source is left.
   */
  async #askSources(atOnce: number, ask: (context: SourceContext) => Promise<boolean>): Promise<void> {
    for (;;) {
      this.#signal.throwIfAborted()
      const usable = [...this.#init.sources].filter((peer) => !this.#dropped.has(peer))
      if (usable.length === 0) throw this.#unavailable()
      const turns = usable.slice(0, atOnce).map((peer) => this.#askSource(peer, ask))
      const done = await Promise.all(turns)
      this.#signal.throwIfAborted()
      if (done.includes(true)) return
    }
  }

  async #askSource(peer: string, ask: (context: SourceContext) => Promise<boolean>): Promise<boolean> {
    const { network, clock, limits } = this.#context
    try {
      return await ask({ network, clock, limits, peer, signal: this.#signal })
    } catch (error) {
      if (this.#signal.aborted) return false
      await this.#judge(peer, toWarrenError(error))
      return false
    }
  }

  /** Drops a source that lied, stood still or refused; one whose stream broke is tried again after a while. */
  async #judge(peer: string, error: WarrenError): Promise<void> {
    const { limits, clock, log, counters, onBadSource } = this.#context
    const { digest } = this.#init
    log.info({ peer, digest, code: error.code, reason: error.message }, 'source failed')
    counters.add('transfer_source_failures', 1, { code: error.code })
    const { code } = error
    if (code === 'source_dishonest' || code === 'source_slow' || code === 'transfer_malformed') {
      onBadSource({ peer, digest, code, reason: error.message })
    }
    const attempts = (this.#attempts.get(peer) ?? 0) + 1
    this.#attempts.set(peer, attempts)
    if (!isPassing(error) || attempts >= limits.maxAttempts) this.#dropped.set(peer, error)
    else await sleep(limits.retryDelayMs * 2 ** (attempts - 1), { signal: this.#signal, clock }).catch(() => undefined)
  }

  /** Runs work on this node's own disk: its failure is no source's fault and ends the run. */
  async #locally<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work()
    } catch (error) {
      throw this.#fail(error)
    }
  }

  #fail(error: unknown): WarrenError {
    const failure = toWarrenError(error)
    this.#stop.abort(failure)
    return failure
  }

  async #requireSpace(missingBytes: number): Promise<void> {
    const { bavail, bsize } = await statfs(this.#context.storeFolder)
    const freeBytes = bavail * bsize
    if (freeBytes >= missingBytes + RESERVE_BYTES) return
    throw baseErrors.disk_full(
      `${formatBytes(missingBytes)} are to be fetched, and ${formatBytes(freeBytes)} are free at ${this.#context.storeFolder}`,
      { hint: 'Free some space, then deploy again: what has been fetched is kept.' },
    )
  }

  #report({ chunks }: HeldPackage): void {
    const { bytes: total } = chunks.layout
    this.#init.onProgress({ bytes: this.#bytes, total, movedBytes: this.#moved, copiedBytes: this.#copied })
  }

  #overLimit(bytes: number): WarrenError {
    const { maxPackageBytes } = this.#context
    return transferErrors.package_over_limit(
      `the package has ${formatBytes(bytes)}, this node accepts ${formatBytes(maxPackageBytes)}`,
      { hint: 'Raise transfer.max_package_bytes: warren config set transfer.max_package_bytes 8GB' },
    )
  }

  #unavailable(): WarrenError {
    // Why the package is not accepted says more than that nobody gave an acceptable one.
    if (this.#refusal !== undefined) return this.#refusal
    const reasons = [...this.#dropped].map(([peer, error]) => ({ peer, code: error.code, message: error.message }))
    const { digest } = this.#init
    return transferErrors.package_unavailable(
      reasons.length === 0
        ? `nobody was named who has the package ${digest}`
        : `no source could give the package ${digest}: ${reasons.map(({ message }) => message).join('; ')}`,
      { details: { sources: reasons }, hint: 'What has come is kept. See who is reachable: warren peers' },
    )
  }
}

const FINAL_CODES = ['source_dishonest', 'source_refused', 'source_slow', 'transfer_malformed']

/** Worth another try with the same source: the connection broke, was never there, or the source was busy. */
function isPassing(error: WarrenError): boolean {
  if (error.details?.reason === 'busy') return true
  return !FINAL_CODES.includes(error.code) && error.status >= 500
}

function lacksRest(peer: string): Error {
  return transferErrors.source_refused(`${peer} does not have what is still missing`)
}
