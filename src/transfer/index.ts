/**
 * transfer: the packages of a node, and how they come to it.
 *
 * It keeps packages by digest, takes archives in, brings packages from other nodes as verified chunks, serves them, and
 * writes them out as trees. Whatever is cut short (a link, a daemon, the machine's power, the disk's space) goes on later
 * where it was, because a map of verified, flushed chunks is all the state there is. App installs from it, rollout has
 * packages fetched, registry will publish what it holds. It never decides whether a package is trusted (it asks before it
 * accepts one), never runs anything, and never believes a byte that it did not hash.
 *
 * ```ts
 * const transfer = createTransfer({ folders, database, network, checkTrust, clock, log, counters })
 * await transfer.start()
 * const { digest } = await transfer.add(createReadStream('api-1.4.0.tar.gz'), signature)
 * await other.fetch(digest, { sources: [network.id], onProgress: ({ bytes, total }) => show(bytes, total) })
 * await other.materialize(digest, 'apps/api/versions/1.4.0')
 * ```
 */
import type { Clock } from '../base/clock.ts'
import type { Counters } from '../base/counters.ts'
import type { StateDatabase } from '../base/database.ts'
import { baseErrors } from '../base/errors.ts'
import type { Logger } from '../base/log.ts'
import { materialize } from '../bundle/index.ts'
import type { Envelope } from '../identity/index.ts'
import type { Network } from '../net/index.ts'
import { createChunkIndex } from './chunk-index.ts'
import { transferErrors } from './errors.ts'
import { type FetchedPackage, Fetcher, type FetchOptions } from './fetch.ts'
import type { BadSource } from './fetch-run.ts'
import { type AddedPackage, type AddOptions, addArchive } from './import.ts'
import { DEFAULT_LIMITS, type TransferLimits } from './limits.ts'
import type { PackageChunks } from './package-chunks.ts'
import { serveTransfer } from './protocol/server.ts'
import { Store, type StoredPackage } from './store.ts'
import type { TrustCheck } from './trust.ts'

export { transferErrors } from './errors.ts'
export type { FetchedPackage, FetchOptions } from './fetch.ts'
export type { BadSource, FetchProgress } from './fetch-run.ts'
export type { AddedPackage, AddOptions } from './import.ts'
export type { TransferLimits } from './limits.ts'
export { transferRoutes } from './routes.ts'
export type { StoredPackage } from './store.ts'
export type { TrustCheck, TrustQuestion, TrustVerdict } from './trust.ts'

/** The packages stored on this node. */
export interface PackageStore {
  /**
   * Takes a package in from the bytes of its archive. Nothing is kept unless all of it is as its record says and the
   * trust check lets it pass. What is here already stays; new signatures are added to it. Fails as `importArchive`, as
   * the trust check, and with `disk_full`.
   */
  add(source: AsyncIterable<Uint8Array>, signature: Envelope | undefined, options?: AddOptions): Promise<AddedPackage>
  get(digest: string): Promise<StoredPackage | undefined>
  list(): Promise<StoredPackage[]>
  /**
   * Writes the package's files to `folder`, which must not exist or be empty; flushed and not writable. Fails with
   * `package_not_found`, `package_incomplete`, `package_damaged`, and as the file system does; then nothing is left.
   */
  materialize(digest: string, folder: string, options?: { signal?: AbortSignal | undefined }): Promise<void>
  /** Removes a package. Fails with `package_not_found`, and `package_in_use` while it is installed or being fetched. */
  remove(digest: string): Promise<void>
  /**
   * Makes a folder that `materialize` wrote the place where the package's content is kept, and drops the other copy.
   * The folder is hashed first; fails with `tree_mismatch`. It must stay as it is until `releaseTree`.
   */
  adoptTree(digest: string, folder: string): Promise<void>
  /**
   * Says that a folder is about to go. Where it held the last copy, the package is removed too, or with `keep` copied
   * back first. A package or folder that is not known is no error.
   */
  releaseTree(digest: string, folder: string, options?: { keep?: boolean }): Promise<void>
}

/** The packages of a node, and their moving between nodes. */
export interface Transfer extends PackageStore {
  /** Reads what is stored. Damaged packages are set aside and named in the log. Call it before anything else. */
  start(): Promise<void>
  /** Stops fetches and serving; what has come is flushed. */
  stop(): Promise<void>
  /** Serves packages to other nodes until the returned function is called. */
  serve(): () => void
  /**
   * Brings a package here: chunks that other packages on this node have are copied, the rest comes from the sources,
   * several at once. Goes on where an earlier fetch ended. Resolves when every chunk is verified and flushed. Fails with
   * `package_unavailable` when no source is left, `package_over_limit`, `disk_full`, as the trust check does, and with
   * the signal's reason; what has come is kept each time.
   */
  fetch(digest: string, options: FetchOptions): Promise<FetchedPackage>
}

/** What the transfer of a node needs. */
export interface TransferInit {
  /** `HOME/packages` and `HOME/store`, on one file system. */
  readonly folders: { readonly packages: string; readonly store: string }
  readonly database: StateDatabase
  readonly network: Pick<Network, 'open' | 'handle'>
  /** Asked before a package is accepted, whichever way it comes. */
  readonly checkTrust: TrustCheck
  readonly clock: Clock
  readonly log: Logger
  readonly counters: Counters
  /** May this peer be sent packages? Default: every peer that may connect. */
  readonly mayServe?: (peer: string) => boolean
  /** Hears of sources that sent wrong bytes or stood still. */
  readonly onBadSource?: (source: BadSource) => void
  /** Uncompressed content. Default 4 GB. */
  readonly maxPackageBytes?: number
  readonly limits?: Partial<TransferLimits>
}

/** Makes the transfer of one node; nothing is read before `start`. */
export function createTransfer(init: TransferInit): Transfer {
  const { database, network, checkTrust, clock, log, counters } = init
  const { onBadSource = () => undefined, mayServe = () => true, maxPackageBytes = 4_000_000_000 } = init
  const limits = { ...DEFAULT_LIMITS, ...init.limits }
  const chunkIndex = createChunkIndex(database)
  const store = new Store({ folders: init.folders, chunkIndex, limits, clock, log })
  const common = { store, storeFolder: init.folders.store, checkTrust, maxPackageBytes }
  const fetcher = new Fetcher({ ...common, chunkIndex, network, onBadSource, limits, clock, log, counters })
  const serving = new Set<() => void>()
  return {
    start: () => store.start(),
    async stop() {
      for (const end of serving) end()
      await fetcher.stop(baseErrors.cancelled('the transfer was stopped'))
      await store.stop()
    },
    serve() {
      const end = serveTransfer({ network, hold: (digest) => store.hold(digest), mayServe, clock, log, counters })
      serving.add(end)
      return () => {
        serving.delete(end)
        end()
      }
    },
    fetch: (digest, options) => fetcher.fetch(digest, options),
    add: (source, signature, options = {}) => addArchive(common, { source, signature, options }),
    get: async (digest) => store.get(digest),
    list: async () => store.list(),
    materialize: (digest, folder, options = {}) =>
      materializePackage(store, digest, { folder, signal: options.signal }),
    remove: (digest) => store.remove(digest),
    adoptTree: (digest, folder) => store.use(digest, ({ chunks }) => chunks.adoptTree(folder)),
    async releaseTree(digest, folder, { keep = false } = {}) {
      if (store.get(digest) === undefined) return
      await store.use(digest, ({ chunks }) => chunks.releaseTree(folder, { keep }))
      if (store.get(digest)?.complete === false && !fetcher.isFetching(digest)) await store.remove(digest)
    },
  }
}

async function materializePackage(
  store: Store,
  digest: string,
  { folder, signal }: { folder: string; signal: AbortSignal | undefined },
): Promise<void> {
  await store.use(digest, async ({ header, chunks }) => {
    const { name, version } = header.record
    if (!chunks.complete) {
      throw transferErrors.package_incomplete(`${name} ${version} has not arrived completely`, {
        hint: `Send it again: warren deploy ${name}-${version}.tar.gz`,
      })
    }
    const index = await store.readIndex(header)
    await materialize({ index, folder, signal, read: (offset, length) => readVerified(chunks, offset, length) })
  })
}

/** Bytes of the content, from chunks that were hashed on the way out. */
async function readVerified(chunks: PackageChunks, offset: number, length: number): Promise<Uint8Array> {
  const { layout } = chunks
  const first = layout.chunkAt(offset)
  const last = layout.chunkAt(offset + length - 1)
  const bytes = await chunks.read({ first, count: last - first + 1 })
  if (bytes === undefined) {
    throw transferErrors.package_damaged(`the stored bytes of ${layout.fileOf(first).path} changed on the disk`, {
      hint: 'Deploy it again: only what is damaged is sent.',
    })
  }
  const start = offset - layout.offsetOf(first)
  return bytes.subarray(start, start + length)
}
