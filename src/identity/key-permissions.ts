import type { Stats } from 'node:fs'
import { lstat, readdir, realpath, stat } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { identityErrors } from './errors.ts'

/** Folder of `.pub` files in a home's `keys/`. */
export const TRUSTED_FOLDER = 'trusted'

const OTHERS = 0o077
const OTHERS_WRITE = 0o022
const STICKY = 0o1000

/**
 * Refuses a secret file that another user can read, or that stands where another user can replace it, with
 * `key_permissions`; the hint names the command that mends it. Links are followed, and both ends are checked. A file that
 * is missing passes.
 */
export async function checkSecretFile(path: string): Promise<void> {
  const link = await unlessMissing(lstat(path))
  const file = await unlessMissing(stat(path))
  if (link === undefined || file === undefined) return
  // What a shell hands over as /dev/fd/N has no other path.
  const real = link.isSymbolicLink() ? ((await unlessMissing(realpath(path))) ?? path) : path
  checkOwner(path, link)
  checkOwner(real, file)
  if ((file.mode & OTHERS) !== 0) {
    throw identityErrors.key_permissions(`${real} has mode ${modeOf(file)}: other users can read or change it`, {
      hint: `chmod 600 ${real}`,
    })
  }
  for (const folder of new Set([dirname(resolve(path)), dirname(resolve(real))])) await checkFolderOfKeys(folder)
}

/**
 * Refuses a keys folder with `key_permissions` where another user could read or replace anything secret in it: the
 * folder, those above it, `trusted/`, and every `*.key` in both. A folder that is missing passes. Fails with
 * `key_invalid` where a `*.key` is no file.
 */
export async function checkKeysFolder(folder: string): Promise<void> {
  const found = await unlessMissing(stat(folder))
  if (found === undefined) return
  checkOwner(folder, found)
  if ((found.mode & OTHERS) !== 0) {
    throw identityErrors.key_permissions(`${folder} has mode ${modeOf(found)}: it must be its owner's alone`, {
      hint: `chmod 700 ${folder}`,
    })
  }
  await checkFoldersAbove(await realpath(folder))
  const trusted = join(folder, TRUSTED_FOLDER)
  if ((await unlessMissing(stat(trusted))) !== undefined) await checkFolderOfKeys(trusted)
  for (const place of [folder, trusted]) {
    const names = (await unlessMissing(readdir(place))) ?? []
    for (const name of names.filter((each) => each.endsWith('.key'))) await checkStoredKey(join(place, name))
  }
}

async function checkStoredKey(path: string): Promise<void> {
  const file = await unlessMissing(stat(path))
  if (file !== undefined && !file.isFile()) throw identityErrors.key_invalid(`${path} is not a file`)
  await checkSecretFile(path)
}

/** Who may write in a folder may put another key in the place of one. */
async function checkFolderOfKeys(folder: string): Promise<void> {
  const found = await stat(folder)
  checkOwner(folder, found)
  if ((found.mode & OTHERS_WRITE) === 0 || (found.mode & STICKY) !== 0) return
  throw identityErrors.key_permissions(`${folder} has mode ${modeOf(found)}: others can replace keys in it`, {
    hint: `chmod go-w ${folder}`,
  })
}

/** Who may write in a folder above may put another keys folder in the place of this one. */
async function checkFoldersAbove(folder: string): Promise<void> {
  for (let above = dirname(folder); ; above = dirname(above)) {
    const found = await stat(above)
    if ((found.mode & 0o002) !== 0 && (found.mode & STICKY) === 0) {
      throw identityErrors.key_permissions(
        `${above} has mode ${modeOf(found)}: everybody can replace ${folder} in it`,
        {
          hint: `chmod o-w ${above}`,
        },
      )
    }
    if (above === dirname(above)) return
  }
}

function checkOwner(path: string, { uid }: Stats): void {
  const own = process.getuid?.() ?? uid
  if (uid === own || uid === 0) return
  throw identityErrors.key_permissions(`${path} belongs to another user (uid ${uid})`, {
    hint: `Run this as that user, or: chown ${own} ${path}`,
  })
}

async function unlessMissing<T>(looked: Promise<T>): Promise<T | undefined> {
  try {
    return await looked
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

function modeOf({ mode }: Stats): string {
  return (mode & 0o7777).toString(8).padStart(4, '0')
}
