import { join } from 'node:path'
import { TRUSTED_FOLDER } from './keyring.ts'

/** Where the parts of an identity lie in a home. */
export function foldersOf(home: string): { trustedFolder: string; rosterFolder: string } {
  return { trustedFolder: join(home, 'keys', TRUSTED_FOLDER), rosterFolder: join(home, 'roster') }
}
