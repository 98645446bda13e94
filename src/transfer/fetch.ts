import { transferErrors } from './errors.ts'
import { type FetchContext, type FetchProgress, FetchRun } from './fetch-run.ts'
import type { StoredPackage } from './store.ts'

/** Whom to ask for a package, and who hears of it. */
export interface FetchOptions {
  /** Peer ids to ask, in the order of preference. */
  readonly sources: readonly string[]
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: ((progress: FetchProgress) => void) | undefined
}

/** A package that was fetched, and what that took. */
export interface FetchedPackage extends StoredPackage {
  /** Bytes of content that other nodes sent for this fetch, before compression. */
  readonly movedBytes: number
  /** Bytes that were copied from other packages on this node. */
  readonly copiedBytes: number
}

interface SharedRun {
  readonly sources: Set<string>
  readonly listeners: Set<(progress: FetchProgress) => void>
  readonly stop: AbortController
  readonly result: Promise<void>
  progress: FetchProgress | undefined
  callers: number
}

/** Fetches packages; all who want the same one at the same time share one run. */
export class Fetcher {
  readonly #context: FetchContext
  readonly #runs = new Map<string, SharedRun>()

  constructor(context: FetchContext) {
    this.#context = context
  }

  /** As `Transfer.fetch`. */
  async fetch(digest: string, { sources, signal, onProgress }: FetchOptions): Promise<FetchedPackage> {
    signal?.throwIfAborted()
    const run = await this.#join(digest, sources)
    if (onProgress !== undefined) run.listeners.add(onProgress)
    try {
      await untilAborted(run.result, signal)
    } finally {
      if (onProgress !== undefined) run.listeners.delete(onProgress)
      run.callers--
      // Nobody waits for it any more. What has come stays.
      if (run.callers === 0) run.stop.abort(signal?.reason)
    }
    const stored = this.#context.store.get(digest)
    if (stored?.complete !== true) throw transferErrors.package_damaged(`the package ${digest} was lost once fetched`)
    const { movedBytes = 0, copiedBytes = 0 } = run.progress ?? {}
    return { ...stored, movedBytes, copiedBytes }
  }

  isFetching(digest: string): boolean {
    return this.#runs.has(digest)
  }

  /** Stops every run and waits until what has come is flushed. */
  async stop(reason: Error): Promise<void> {
    const runs = [...this.#runs.values()]
    for (const run of runs) run.stop.abort(reason)
    await Promise.allSettled(runs.map((run) => run.result))
  }

  async #join(digest: string, sources: readonly string[]): Promise<SharedRun> {
    let run = this.#runs.get(digest)
    while (run?.stop.signal.aborted) {
      await run.result.catch(() => undefined)
      run = this.#runs.get(digest)
    }
    run ??= this.#start(digest)
    for (const source of sources) run.sources.add(source)
    run.callers++
    return run
  }

  #start(digest: string): SharedRun {
    const sources = new Set<string>()
    const listeners: SharedRun['listeners'] = new Set()
    const stop = new AbortController()
    const onProgress = (progress: FetchProgress): void => {
      run.progress = progress
      for (const listener of listeners) listener(progress)
    }
    // Begins in a later turn, when the first caller has named its sources.
    const result = Promise.resolve()
      .then(() => new FetchRun(this.#context, { digest, sources, signal: stop.signal, onProgress }).run())
      .finally(() => this.#runs.delete(digest))
    result.catch(() => undefined)
    const run: SharedRun = { sources, listeners, stop, result, progress: undefined, callers: 0 }
    this.#runs.set(digest, run)
    return run
  }
}

/** The work's outcome, or the signal's reason as soon as it fires; the work itself goes on. */
function untilAborted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return work
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason)
    signal.addEventListener('abort', onAbort, { once: true })
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort))
  })
}
