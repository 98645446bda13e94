import { randomBytes } from 'node:crypto'
import { link, mkdir, open, unlink } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { syncFolder } from '../base/files.ts'
import { identityErrors } from './errors.ts'

/**
 * Writes a file that must not be there yet: whole and flushed, or not at all. The folder is made (0700) where it is
 * missing. Fails with `key_exists` where anything is at that path, and then leaves it as it was.
 */
export async function writeNewFile(path: string, data: string | Uint8Array, mode: number): Promise<void> {
  const folder = dirname(path)
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const temporary = join(folder, `.${basename(path)}.${randomBytes(6).toString('hex')}.tmp`)
  try {
    const file = await open(temporary, 'wx', mode)
    try {
      await file.writeFile(data)
      await file.sync()
    } finally {
      await file.close()
    }
    // A link, unlike a rename, never replaces what is there.
    await link(temporary, path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    throw identityErrors.key_exists(`${path} is already there`, {
      hint: 'Choose another name, or move that file away first.',
    })
  } finally {
    await unlink(temporary).catch(() => undefined)
  }
  await syncFolder(folder)
}
