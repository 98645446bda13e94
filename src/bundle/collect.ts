import type { Dirent } from 'node:fs'
import { readdir, realpath, stat } from 'node:fs/promises'
import { join, sep } from 'node:path'
import { readFileBounded } from '../base/files.ts'
import { bundleErrors } from './errors.ts'
import { IGNORE_NAME, type IgnoreRules, MAX_IGNORE_BYTES, parseIgnore } from './ignore.ts'
import { checkLimit, type PackageLimits } from './limits.ts'
import { sortFiles } from './package-index.ts'
import { META_FOLDER, pathFault } from './package-path.ts'

/** A file that goes into a package. */
export interface SourceFile {
  /** In the package. */
  readonly path: string
  /** Executable for its owner: 0755, else 0644. */
  readonly mode: 0o644 | 0o755
  /** When it was looked at; packing fails where this has changed. */
  readonly size: number
  /** On this machine; or the bytes themselves. */
  readonly from: string | Uint8Array
}

interface Walk {
  readonly root: string
  readonly rules: IgnoreRules
  readonly isOwnOutput: (path: string) => boolean
  readonly limits: PackageLimits
  readonly signal: AbortSignal | undefined
  readonly found: SourceFile[]
}

/**
 * The files of a folder, sorted as in a package. Left out: `.git`, `.warren`, what `.warrenignore` names, and archives
 * of this very app at the folder's root (`isOwnOutput`). A link to a file inside the folder counts as that file; links
 * that leave it, links to folders, sockets and devices fail with `file_refused`; too many files or bytes with
 * `package_too_large`, before anything is read.
 */
export async function collectFiles({
  folder,
  limits,
  isOwnOutput = () => false,
  signal,
}: {
  folder: string
  limits: PackageLimits
  isOwnOutput?: ((path: string) => boolean) | undefined
  signal?: AbortSignal | undefined
}): Promise<SourceFile[]> {
  const root = await realpath(folder)
  const ignoreText = (await readFileBounded(join(root, IGNORE_NAME), MAX_IGNORE_BYTES))?.toString() ?? ''
  const walk: Walk = { root, rules: parseIgnore(ignoreText), isOwnOutput, limits, signal, found: [] }
  await walkFolder(walk, '')
  checkLimit(
    'bytes',
    walk.found.reduce((sum, { size }) => sum + size, 0),
    limits.maxBytes,
  )
  return sortFiles(walk.found)
}

async function walkFolder(walk: Walk, folder: string): Promise<void> {
  walk.signal?.throwIfAborted()
  const entries = await readdir(join(walk.root, folder), { withFileTypes: true, encoding: 'buffer' })
  for (const entry of entries) {
    const name = entry.name.toString()
    const path = folder === '' ? name : `${folder}/${name}`
    if (isNeverPacked(walk, path, name) || walk.rules.ignores(path, entry.isDirectory())) continue
    if (!Buffer.from(name).equals(entry.name)) throw refused(path, 'its name is not valid UTF-8')
    const fault = pathFault(path)
    if (fault !== undefined) throw refused(path, `its path ${fault}`)
    if (entry.isDirectory()) await walkFolder(walk, path)
    else {
      walk.found.push(await describeFile(walk, path, entry))
      checkLimit('files', walk.found.length, walk.limits.maxFiles)
    }
  }
}

function isNeverPacked(walk: Walk, path: string, name: string): boolean {
  return name === '.git' || path === META_FOLDER || path === IGNORE_NAME || walk.isOwnOutput(path)
}

async function describeFile(walk: Walk, path: string, entry: Dirent<Buffer>): Promise<SourceFile> {
  let from = join(walk.root, path)
  if (entry.isSymbolicLink()) {
    const target = await realpath(from).catch(() => undefined)
    if (target === undefined) throw refused(path, 'it is a link to nothing')
    if (!target.startsWith(`${walk.root}${sep}`))
      throw refused(path, `it is a link that leaves the folder, to ${target}`)
    from = target
  } else if (!entry.isFile()) throw refused(path, 'it is a socket, pipe or device')
  const info = await stat(from)
  if (info.isDirectory()) throw refused(path, 'it is a link to a folder, and packages hold no links')
  if (!info.isFile()) throw refused(path, 'it is a socket, pipe or device')
  return { path, mode: (info.mode & 0o100) === 0 ? 0o644 : 0o755, size: info.size, from }
}

function refused(path: string, reason: string): Error {
  return bundleErrors.file_refused(`"${path}" cannot be packed: ${reason}`, {
    hint: `Replace it by a plain file, or leave it out: echo '/${path}' >> ${IGNORE_NAME}`,
    details: { path },
  })
}
