import { constants } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { join, relative, resolve } from 'node:path'
import { z } from 'zod'
import { readFileBounded, writeFileAtomic } from '../base/files.ts'
import type { Layout, Run } from './layout.ts'

/** Folders in which a package is installed, as seen from the package's own folder, so that a home may be moved. */
const treesSchema = z.object({ format: z.literal(1), folders: z.array(z.string().min(1).max(4096)).max(256) })
const MAX_TREES_BYTES = 256 * 1024

/** The folders recorded in `FOLDER/trees.json`, absolute; none where there is no such file or it is damaged. */
export async function readTrees(folder: string): Promise<string[]> {
  const bytes = await readFileBounded(join(folder, 'trees.json'), MAX_TREES_BYTES)
  if (bytes === undefined) return []
  try {
    return treesSchema.parse(JSON.parse(bytes.toString('utf8'))).folders.map((path) => resolve(folder, path))
  } catch {
    // What they held can be fetched again; a damaged list must not keep the daemon from starting.
    return []
  }
}

/** Replaces the recorded list. */
export async function writeTrees(folder: string, trees: readonly string[]): Promise<void> {
  const folders = trees.map((path) => relative(folder, path))
  await writeFileAtomic(join(folder, 'trees.json'), `${JSON.stringify({ format: 1, folders })}\n`)
}

/**
 * The bytes of a run of chunks as an installed folder has them, not verified; undefined where a file is missing, too
 * short, or no plain file.
 */
export async function readTree(layout: Layout, tree: string, { first, count }: Run): Promise<Buffer | undefined> {
  const bytes = Buffer.allocUnsafe(layout.bytesOf({ first, count }))
  let filled = 0
  let ordinal = first
  while (ordinal < first + count) {
    const place = layout.fileOf(ordinal)
    const end = Math.min(first + count, place.firstChunk + place.chunks)
    const length = layout.bytesOf({ first: ordinal, count: end - ordinal })
    const target = bytes.subarray(filled, filled + length)
    if (!(await readPart(join(tree, place.path), target, layout.offsetOf(ordinal) - place.offset))) return undefined
    filled += length
    ordinal = end
  }
  return bytes
}

async function readPart(path: string, target: Buffer, position: number): Promise<boolean> {
  let file: FileHandle | undefined
  try {
    // Not followed and not waited for: whoever can write there must not send us to another file or to a pipe.
    file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
    if (!(await file.stat()).isFile()) return false
    const { bytesRead } = await file.read(target, 0, target.length, position)
    return bytesRead === target.length
  } catch {
    return false
  } finally {
    await file?.close()
  }
}
