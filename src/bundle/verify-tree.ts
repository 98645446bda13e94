import { constants } from 'node:fs'
import { open, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { hashChunk } from './content-chunks.ts'
import { MAX_CHUNK_BYTES } from './cutter.ts'
import type { IndexFile, PackageIndex } from './package-index.ts'

/** A difference between an installed folder and its package. */
export interface TreeFault {
  readonly path: string
  readonly reason: 'missing' | 'changed' | 'mode' | 'extra'
}

/**
 * Reads an installed folder and says how it differs from the index: files that are missing, have other bytes or another
 * executable bit, or do not belong there. Empty where it is what was packed. Links are never followed.
 */
export async function verifyTree(
  index: PackageIndex,
  folder: string,
  { signal }: { signal?: AbortSignal } = {},
): Promise<TreeFault[]> {
  const faults: TreeFault[] = []
  const known = new Set(index.files.map(({ path }) => path))
  for (const path of await listTree(folder, '')) {
    if (!known.has(path)) faults.push({ path, reason: 'extra' })
  }
  const buffer = Buffer.alloc(MAX_CHUNK_BYTES)
  for (const file of index.files) {
    signal?.throwIfAborted()
    const reason = await verifyFile(join(folder, file.path), file, buffer)
    if (reason !== undefined) faults.push({ path: file.path, reason })
  }
  return faults
}

async function verifyFile(path: string, file: IndexFile, buffer: Buffer): Promise<TreeFault['reason'] | undefined> {
  const handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW).catch(
    (error: NodeJS.ErrnoException) => error,
  )
  if (handle instanceof Error) {
    if (handle.code === 'ENOENT' || handle.code === 'ENOTDIR') return 'missing'
    if (handle.code === 'ELOOP') return 'changed'
    throw handle
  }
  try {
    const info = await handle.stat()
    if (!info.isFile() || info.size !== file.size) return 'changed'
    for (const chunk of file.chunks) {
      const { bytesRead } = await handle.read(buffer, 0, chunk.size)
      if (bytesRead !== chunk.size || hashChunk(buffer.subarray(0, chunk.size)) !== chunk.hash) return 'changed'
    }
    return ((info.mode & 0o100) !== 0) === (file.mode === 0o755) ? undefined : 'mode'
  } finally {
    await handle.close()
  }
}

async function listTree(root: string, folder: string): Promise<string[]> {
  const paths: string[] = []
  for (const entry of await readdir(join(root, folder), { withFileTypes: true })) {
    const path = folder === '' ? entry.name : `${folder}/${entry.name}`
    if (entry.isDirectory()) for (const inner of await listTree(root, path)) paths.push(inner)
    else paths.push(path)
  }
  return paths
}
