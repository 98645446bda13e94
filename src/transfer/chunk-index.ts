import { setImmediate } from 'node:timers/promises'
import type { DatabaseSchema, StateDatabase } from '../base/database.ts'
import type { Layout } from './layout.ts'

const SCHEMA: DatabaseSchema = {
  name: 'transfer',
  version: 1,
  create: `
    CREATE TABLE transfer_package (id INTEGER PRIMARY KEY AUTOINCREMENT, digest TEXT NOT NULL UNIQUE,
      filled INTEGER NOT NULL DEFAULT 0) STRICT;
    CREATE TABLE transfer_chunk (hash BLOB NOT NULL, package INTEGER NOT NULL, ordinal INTEGER NOT NULL,
      PRIMARY KEY (hash, package)) STRICT, WITHOUT ROWID;`,
}

/** Rows written in one go, a few milliseconds, before others get their turn. */
const BATCH_ROWS = 2000

/** Packages offered for one chunk; one is enough unless it turns out to be damaged. */
const MAX_PLACES = 4

export interface ChunkPlace {
  readonly digest: string
  readonly ordinal: number
}

/** Where each known chunk may be found on this node: the delta between any two packages, whatever app they are of. */
export interface ChunkIndex {
  /** Digests whose chunks are all in it. */
  has(digest: string): boolean
  /** Notes the chunks of a package, whether or not they have arrived. Adding again does nothing. */
  add(digest: string, layout: Layout): Promise<void>
  remove(digest: string): void
  /** Digests of all packages in it, also of those not wholly added. */
  list(): string[]
  /** Packages other than `except` that contain a chunk with this SHA-256. */
  find(hash: Uint8Array, except: string): ChunkPlace[]
}

/** The chunk index in the state database. */
export function createChunkIndex(database: StateDatabase): ChunkIndex {
  database.ensure(SCHEMA)
  const { sqlite } = database
  const findPackage = sqlite.prepare('SELECT id, filled FROM transfer_package WHERE digest = ?')
  const listPackages = sqlite.prepare('SELECT digest FROM transfer_package')
  const addPackage = sqlite.prepare('INSERT INTO transfer_package (digest) VALUES (?)')
  const addChunk = sqlite.prepare('INSERT OR IGNORE INTO transfer_chunk (hash, package, ordinal) VALUES (?, ?, ?)')
  const markFilled = sqlite.prepare('UPDATE transfer_package SET filled = 1 WHERE id = ?')
  const dropChunks = sqlite.prepare('DELETE FROM transfer_chunk WHERE package = ?')
  const dropPackage = sqlite.prepare('DELETE FROM transfer_package WHERE id = ?')
  const findChunk = sqlite.prepare(
    `SELECT p.digest AS digest, c.ordinal AS ordinal FROM transfer_chunk c JOIN transfer_package p ON p.id = c.package
     WHERE c.hash = ? AND p.digest <> ? LIMIT ${MAX_PLACES}`,
  )
  const idOf = (digest: string): number | undefined => findPackage.get(digest)?.id as number | undefined
  const has = (digest: string): boolean => findPackage.get(digest)?.filled === 1
  return {
    has,
    async add(digest, layout) {
      if (has(digest)) return
      const id = idOf(digest) ?? Number(addPackage.run(digest).lastInsertRowid)
      for (let from = 0; from < layout.count; from += BATCH_ROWS) {
        database.transaction(() => {
          const end = Math.min(layout.count, from + BATCH_ROWS)
          for (let ordinal = from; ordinal < end; ordinal++) addChunk.run(layout.hashOf(ordinal), id, ordinal)
        })
        await setImmediate()
      }
      markFilled.run(id)
    },
    remove(digest) {
      const id = idOf(digest)
      if (id === undefined) return
      database.transaction(() => {
        dropChunks.run(id)
        dropPackage.run(id)
      })
    },
    list: () => listPackages.all().map(({ digest }) => String(digest)),
    find: (hash, except) => findChunk.all(hash, except) as unknown as ChunkPlace[],
  }
}
