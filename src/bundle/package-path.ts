import { MAX_NAME_BYTES, MAX_PATH_BYTES } from './limits.ts'

/** Folder of the record and index inside an archive; no file of an app lives there. */
export const META_FOLDER = '.warren'

/**
 * Why a path may not stand in a package, or undefined where it may: relative, with `/` between plain names, portable
 * text, not below `.warren`, and not longer than file systems take.
 */
export function pathFault(path: string): string | undefined {
  if (path === '') return 'is empty'
  if (path.startsWith('/')) return 'is absolute'
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for
  if (/[\u0000-\u001f\u007f\\]/.test(path)) return 'has a control character or a backslash'
  if (!path.isWellFormed() || path.includes('\ufffd')) return 'is not valid UTF-8'
  if (Buffer.byteLength(path) > MAX_PATH_BYTES) return `is longer than ${MAX_PATH_BYTES} bytes`
  const names = path.split('/')
  if (names.includes('..')) return 'leaves the package by ".."'
  if (names.includes('') || names.includes('.')) return 'is not in its plain form'
  if (names.some((name) => Buffer.byteLength(name) > MAX_NAME_BYTES)) return `has a name over ${MAX_NAME_BYTES} bytes`
  if (names[0] === META_FOLDER) return `is in ${META_FOLDER}, which is Warren’s own`
  return undefined
}

/** Order of files in a package: by the bytes of their UTF-8 paths. */
export function comparePaths(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b))
}

/** The first path that another path needs as a folder, so that both cannot exist; undefined where there is none. */
export function fileUsedAsFolder(paths: Iterable<string>): string | undefined {
  const files = new Set(paths)
  const checked = new Set<string>()
  for (const path of files) {
    for (let slash = path.lastIndexOf('/'); slash > 0; slash = path.lastIndexOf('/', slash - 1)) {
      const folder = path.slice(0, slash)
      if (checked.has(folder)) break
      if (files.has(folder)) return folder
      checked.add(folder)
    }
  }
  return undefined
}
