import { join } from 'node:path'
import { WarrenError } from '../base/errors.ts'
import { TRUSTED_FOLDER } from './keyring.ts'
import { Roster } from './roster/roster.ts'

/** Where the parts of an identity lie in a home, unless its config says otherwise. */
export function foldersOf(home: string): { keysFolder: string; trustedFolder: string; rosterFolder: string } {
  const keysFolder = join(home, 'keys')
  return { keysFolder, trustedFolder: join(keysFolder, TRUSTED_FOLDER), rosterFolder: join(home, 'roster') }
}

/** The roster of a home as it is on disk, for reading; undefined in a home that is in no network. Fails as `Roster.open`. */
export async function readHomeRoster(home: string): Promise<Roster | undefined> {
  try {
    return await Roster.open({ folder: foldersOf(home).rosterFolder, readOnly: true })
  } catch (error) {
    if (error instanceof WarrenError && error.code === 'roster_missing') return undefined
    throw error
  }
}
