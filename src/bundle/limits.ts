import { bundleErrors } from './errors.ts'

/** How large a package may be. What comes from outside is refused past these before it is written. */
export interface PackageLimits {
  /** All files together, uncompressed. */
  readonly maxBytes: number
  readonly maxFiles: number
}

/** 4 GiB: larger than a runtime with a model beside it; the store sets its own. 200,000 files: a large node_modules. */
export const DEFAULT_LIMITS: PackageLimits = { maxBytes: 4 * 1024 ** 3, maxFiles: 200_000 }

/** Path and name lengths that every Linux file system takes, with room for the folder that it is installed in. */
export const MAX_PATH_BYTES = 1024
export const MAX_NAME_BYTES = 255
/** A manifest is a page; this is a book. */
export const MAX_MANIFEST_BYTES = 256 * 1024
/** A record is 500 bytes; the rest is room for fields of later releases. */
export const MAX_RECORD_BYTES = 16 * 1024
/** 4 GiB in the shortest chunks is 9 MiB of index; the rest is for 200,000 paths of 280 bytes. */
export const MAX_INDEX_BYTES = 64 * 1024 * 1024
/** A signature file holds a record and a few signatures. */
export const MAX_SIGNATURE_BYTES = 64 * 1024

/** Fails with `package_too_large` where a count is past its limit. */
export function checkLimit(what: string, value: number, limit: number): void {
  if (value <= limit) return
  throw bundleErrors.package_too_large(`${what}: ${value} is more than the limit of ${limit}`, {
    hint: 'Leave out what the app does not need at run time (.warrenignore).',
  })
}
