import { closeSync, mkdirSync, openSync, renameSync } from 'node:fs'
import { dirname } from 'node:path'
import { DatabaseSync } from 'node:sqlite'

/** The tables of one feature. Their names begin with `NAME_`. */
export interface DatabaseSchema {
  readonly name: string
  /** Raised with every change of `create`. */
  readonly version: number
  /** The statements that make the tables, in an empty database. */
  readonly create: string
}

/** An embedded database that only indexes what files hold, so that it may be lost and filled again. */
export interface StateDatabase {
  readonly sqlite: DatabaseSync
  /** Where an unreadable file was moved when this one was opened. */
  readonly setAside: string | undefined
  /**
   * Makes sure that a feature's tables are there in this version. True where they were made now, empty: the feature
   * then fills them from its files. Tables of another version are dropped, because an index is rebuilt, not migrated.
   */
  ensure(schema: DatabaseSchema): boolean
  /** Runs `work` in one transaction; rolled back where it throws. `work` is synchronous. */
  transaction<T>(work: () => T): T
  close(): void
}

/** `user_version` of the file: the layout of the table of schemas. A file with another one is set aside. */
const FILE_VERSION = 1

/** How long a statement waits for another connection's write before it fails. */
const BUSY_TIMEOUT_MS = 5000

/**
 * Opens the database at `path`, and makes it (0600) where there is none. A file that SQLite cannot read, or that
 * another release made, is moved to `PATH.damaged-TIME` and an empty one takes its place. The caller closes it.
 */
export function openStateDatabase(path: string, options: { nowMs: number }): StateDatabase {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  let aside: string | undefined
  let sqlite = openFile(path)
  if (sqlite === undefined) {
    aside = `${path}.damaged-${new Date(options.nowMs).toISOString().replaceAll(/[:.]/g, '-')}`
    setFilesAside(path, aside)
    sqlite = openFile(path)
    if (sqlite === undefined) throw new Error(`${path} cannot be used as a database, although it was just made`)
  }
  return wrap(sqlite, aside)
}

function openFile(path: string): DatabaseSync | undefined {
  closeSync(openSync(path, 'a', 0o600))
  let sqlite: DatabaseSync | undefined
  try {
    sqlite = new DatabaseSync(path)
    sqlite.exec(`PRAGMA busy_timeout = ${BUSY_TIMEOUT_MS}`)
    sqlite.exec('PRAGMA journal_mode = WAL')
    sqlite.exec('PRAGMA synchronous = NORMAL')
    const found = sqlite.prepare('PRAGMA user_version').get() as { user_version: number }
    const healthy = sqlite.prepare('PRAGMA quick_check(1)').get() as { quick_check: string }
    if (healthy.quick_check !== 'ok') throw new DamagedError()
    if (found.user_version === 0) {
      sqlite.exec(`CREATE TABLE IF NOT EXISTS schema_version (name TEXT PRIMARY KEY, version INTEGER NOT NULL) STRICT;
        PRAGMA user_version = ${FILE_VERSION}`)
    } else if (found.user_version !== FILE_VERSION) throw new DamagedError()
    return sqlite
  } catch (error) {
    sqlite?.close()
    if (error instanceof DamagedError || isDamage(error)) return undefined
    throw error
  }
}

class DamagedError extends Error {}

/** SQLITE_CORRUPT 11, SQLITE_NOTADB 26, SQLITE_ERROR 1 (a schema that cannot be parsed). */
function isDamage(error: unknown): boolean {
  const code = (error as { errcode?: number }).errcode
  return code !== undefined && [1, 11, 26].includes(code & 0xff)
}

function setFilesAside(path: string, aside: string): void {
  renameSync(path, aside)
  for (const suffix of ['-wal', '-shm']) {
    try {
      renameSync(path + suffix, aside + suffix)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    }
  }
}

function wrap(sqlite: DatabaseSync, setAside: string | undefined): StateDatabase {
  const transaction = <T>(work: () => T): T => {
    sqlite.exec('BEGIN IMMEDIATE')
    try {
      const result = work()
      sqlite.exec('COMMIT')
      return result
    } catch (error) {
      if (sqlite.isTransaction) sqlite.exec('ROLLBACK')
      throw error
    }
  }
  const ensure = ({ name, version, create }: DatabaseSchema): boolean =>
    transaction(() => {
      const found = sqlite.prepare('SELECT version FROM schema_version WHERE name = ?').get(name)
      if (found?.version === version) return false
      dropTables(sqlite, name)
      sqlite.exec(create)
      sqlite.prepare('INSERT OR REPLACE INTO schema_version (name, version) VALUES (?, ?)').run(name, version)
      return true
    })
  return { sqlite, setAside, ensure, transaction, close: () => sqlite.close() }
}

function dropTables(sqlite: DatabaseSync, name: string): void {
  // Virtual tables first: dropping one drops the tables that it keeps its content in.
  const tables = sqlite
    .prepare(
      `SELECT name FROM sqlite_schema WHERE type = 'table' AND name GLOB ? ORDER BY sql LIKE 'CREATE VIRTUAL%' DESC`,
    )
    .all(`${name}_*`)
  for (const table of tables) sqlite.exec(`DROP TABLE IF EXISTS "${String(table.name)}"`)
}
