import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { opsErrors } from './errors.ts'

/** Result code of SQLite for a file that it did not make. */
const SQLITE_NOTADB = 26

/** A home that is held. */
export interface HomeLock {
  /** Lets the next one in. The kernel does the same when the process ends, however it ends. */
  release(): void
}

/**
 * Takes the home for this process: an exclusive transaction on `run/lock.db`, which a
 * killed process cannot leave behind. Fails with `daemon_already_running` naming the holder's pid, and with
 * `lock_damaged` where something else stands in the place of the lock.
 */
export function lockHome(home: string): HomeLock {
  const run = join(home, 'run')
  makeFolder(run)
  const path = join(run, 'lock.db')
  const database = new DatabaseSync(path, { timeout: 0 })
  try {
    // The journal stays in memory: nothing is ever written, so that a full disk cannot keep a daemon from starting.
    database.exec('PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE')
  } catch (error) {
    database.close()
    if ((error as { errcode?: number }).errcode === SQLITE_NOTADB) {
      throw opsErrors.lock_damaged(`${path} is not a lock file`, { cause: error, hint: `rm ${path}` })
    }
    throw opsErrors.daemon_already_running(`a daemon already runs in ${home}${holderOf(run)}`, {
      cause: error,
      hint: `See it: warren --home ${home} status    Stop it: warren --home ${home} daemon stop`,
    })
  }
  return { release: () => database.close() }
}

/** Not recursively where the parent is there: Node then says ENOENT for a file system that is read-only. */
function makeFolder(path: string): void {
  try {
    mkdirSync(path, { mode: 0o700 })
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT') mkdirSync(path, { recursive: true, mode: 0o700 })
    else if (code !== 'EEXIST') throw error
  }
}

function holderOf(run: string): string {
  try {
    return ` (pid ${Number(readFileSync(join(run, 'daemon.pid'), 'utf8'))})`
  } catch {
    return ''
  }
}
