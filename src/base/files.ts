import { randomBytes } from 'node:crypto'
import { type FileHandle, mkdir, open, rename, stat, unlink } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { baseErrors } from './errors.ts'

export interface WriteOptions {
  /** Mode of the new file. Default 0600: what Warren writes is its own. */
  mode?: number
}

/**
 * Replaces a file so that a crash at any point leaves the old or the new content: a temporary file beside it, flush,
 * rename, flush of the folder. Creates the folder (0700) where it is missing. Fails as the file system does.
 */
export async function writeFileAtomic(
  path: string,
  data: string | Uint8Array,
  { mode = 0o600 }: WriteOptions = {},
): Promise<void> {
  const folder = dirname(path)
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const temporary = join(folder, `.${basename(path)}.${randomBytes(6).toString('hex')}.tmp`)
  let file: FileHandle | undefined
  try {
    file = await open(temporary, 'wx', mode)
    await file.writeFile(data)
    await file.sync()
    await file.close()
    file = undefined
    await rename(temporary, path)
  } catch (error) {
    await file?.close().catch(() => undefined)
    await unlink(temporary).catch(() => undefined)
    throw nameFile(error, path)
  }
  await syncFolder(folder)
}

/**
 * What a write to an open file failed with says no name: this adds it where there is none, so that a person knows which
 * disk is full. Gives the same thing back, to be thrown again.
 */
export function nameFile(thrown: unknown, path: string): unknown {
  const error = thrown as NodeJS.ErrnoException
  // A system call's error alone: what Warren itself has to say is no matter of a disk.
  if (thrown instanceof Error && error.syscall !== undefined && error.path === undefined) {
    error.path = path
    error.message += ` '${path}'`
  }
  return thrown
}

/** Flushes a folder's entries, so that a rename in it survives power loss. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/**
 * The bytes of a file that is at most `maxBytes` long; undefined where there is none. A larger file is refused with
 * `invalid_value` before it is read.
 */
export async function readFileBounded(path: string, maxBytes: number): Promise<Buffer | undefined> {
  let file: FileHandle
  try {
    file = await open(path, 'r')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
  try {
    const { size } = await file.stat()
    if (size > maxBytes) {
      throw baseErrors.invalid_value(`${path} is ${size} bytes long, more than the ${maxBytes} that are read`)
    }
    return await file.readFile()
  } finally {
    await file.close()
  }
}

/** True where something is at that path. */
export async function pathExists(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined)) !== undefined
}

/**
 * Sets a damaged file aside as `NAME.damaged-TIME`, so that it is neither used nor lost, and gives the new path.
 */
export async function setAside(path: string, nowMs: number): Promise<string> {
  const aside = `${path}.damaged-${new Date(nowMs).toISOString().replaceAll(/[:.]/g, '-')}`
  await rename(path, aside)
  await syncFolder(dirname(path))
  return aside
}
