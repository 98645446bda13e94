import { type FileHandle, mkdir, open, readdir, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { baseErrors } from '../base/errors.ts'
import { syncFolder } from '../base/files.ts'
import { mapLimited } from '../base/wait.ts'
import { hashChunk } from './content-chunks.ts'
import { bundleErrors } from './errors.ts'
import type { IndexFile, PackageIndex } from './package-index.ts'

/** Flushing waits for the disk, so several files are under way at once. */
const FILES_AT_ONCE = 8

export interface MaterializeInput {
  readonly index: PackageIndex
  /** Bytes of the content: the files one after another in the order of the index. All of `length`, or it fails. */
  readonly read: (offset: number, length: number) => Promise<Uint8Array>
  /** Made here; must not exist yet or be empty. */
  readonly folder: string
  readonly signal?: AbortSignal | undefined
}

/**
 * Writes a package's files as a tree: each chunk checked by its hash before it is written, files 0444 or 0555, all of it
 * flushed when the promise resolves. Fails with `package_mismatch` where bytes are not the index's, and as the file
 * system does; then the folder is gone.
 */
export async function materialize({ index, read, folder, signal }: MaterializeInput): Promise<void> {
  await mkdir(folder, { recursive: true })
  if ((await readdir(folder)).length > 0) throw baseErrors.invalid_value(`${folder} is not empty`)
  const offsets = offsetsOf(index)
  // The first failure stops the others, so that nothing is written after the folder was taken away.
  const stop = new AbortController()
  const running: Promise<void>[] = []
  try {
    const folders = foldersOf(index)
    for (const path of folders) await mkdir(join(folder, path), { recursive: true })
    await mapLimited(index.files, FILES_AT_ONCE, (file, at) => {
      const work = writeFile(file, { read, offset: offsets[at]!, folder, signals: [signal, stop.signal] })
      running.push(work)
      return work
    })
    for (const path of folders.reverse()) await syncFolder(join(folder, path))
    await syncFolder(folder)
    await syncFolder(dirname(folder))
  } catch (error) {
    stop.abort(error)
    await Promise.allSettled(running)
    await rm(folder, { recursive: true, force: true })
    throw error
  }
}

async function writeFile(
  file: IndexFile,
  {
    read,
    offset,
    folder,
    signals,
  }: Pick<MaterializeInput, 'read' | 'folder'> & { offset: number; signals: (AbortSignal | undefined)[] },
): Promise<void> {
  let handle: FileHandle | undefined
  try {
    handle = await open(join(folder, file.path), 'wx', 0o600)
    let at = offset
    for (const chunk of file.chunks) {
      for (const signal of signals) signal?.throwIfAborted()
      const bytes = await read(at, chunk.size)
      if (bytes.length !== chunk.size || hashChunk(bytes) !== chunk.hash) {
        throw bundleErrors.package_mismatch(`"${file.path}" has other bytes than the index names`, {
          details: { path: file.path },
        })
      }
      await handle.writeFile(bytes)
      at += chunk.size
    }
    await handle.chmod(file.mode === 0o755 ? 0o555 : 0o444)
    await handle.sync()
  } finally {
    await handle?.close()
  }
}

function offsetsOf({ files }: PackageIndex): number[] {
  let offset = 0
  return files.map(({ size }) => {
    offset += size
    return offset - size
  })
}

/** Every folder of the package, parents first. */
function foldersOf({ files }: PackageIndex): string[] {
  const folders = new Set<string>()
  for (const { path } of files) {
    for (let slash = path.indexOf('/'); slash > 0; slash = path.indexOf('/', slash + 1))
      folders.add(path.slice(0, slash))
  }
  return [...folders].sort()
}
