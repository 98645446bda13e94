import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { opsErrors } from './errors.ts'

/** A home that is held. */
export interface HomeLock {
  /** Lets the next one in. The kernel does the same when the process ends, however it ends. */
  release(): void
}

/**
 * Takes the home for this process (MECHANISMS "One writer"): an exclusive transaction on `run/lock.db`, which a
 * killed process cannot leave behind. Fails with `daemon_already_running` naming the holder's pid.
 */
export function lockHome(home: string): HomeLock {
  const run = join(home, 'run')
  mkdirSync(run, { recursive: true, mode: 0o700 })
  const database = new DatabaseSync(join(run, 'lock.db'), { timeout: 0 })
  try {
    // The journal stays in memory: nothing is ever written, so that a full disk cannot keep a daemon from starting.
    database.exec('PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE')
  } catch (error) {
    database.close()
    throw opsErrors.daemon_already_running(`a daemon already runs in ${home}${holderOf(run)}`, {
      cause: error,
      hint: `See it: warren --home ${home} status    Stop it: warren --home ${home} daemon stop`,
    })
  }
  return { release: () => database.close() }
}

function holderOf(run: string): string {
  try {
    return ` (pid ${Number(readFileSync(join(run, 'daemon.pid'), 'utf8'))})`
  } catch {
    return ''
  }
}
