import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { WarrenError } from '../base/errors.ts'
import { type PublicKeyFile, readPublicKeyFile } from './public-key-file.ts'

/** More files than this in a trusted folder are a mistake; the rest is skipped with a warning. */
const MAX_TRUSTED_FILES = 1000

/** What a folder of `.pub` files holds. */
export interface TrustedFolder {
  readonly keys: readonly (PublicKeyFile & { readonly path: string })[]
  /** One sentence per file that was skipped. */
  readonly warnings: readonly string[]
}

/**
 * Reads every `*.pub` of a folder, as it is now, in the order of names. A malformed file is skipped and named in
 * `warnings`; a missing folder holds nothing. Fails only as the file system does.
 */
export async function readTrustedFolder(folder: string): Promise<TrustedFolder> {
  const names = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return []
    throw error
  })
  const files = names.filter((name) => name.endsWith('.pub') && !name.startsWith('.')).sort()
  const keys: (PublicKeyFile & { path: string })[] = []
  const warnings: string[] = []
  for (const name of files.slice(0, MAX_TRUSTED_FILES)) {
    const path = join(folder, name)
    try {
      keys.push({ ...(await readPublicKeyFile(path)), path })
    } catch (error) {
      const reason = error instanceof WarrenError ? error.message : `${path}: ${String(error)}`
      warnings.push(`${reason}; the file is skipped`)
    }
  }
  if (files.length > MAX_TRUSTED_FILES) {
    warnings.push(`${folder} holds ${files.length} keys; only the first ${MAX_TRUSTED_FILES} are used`)
  }
  return { keys, warnings }
}
