/**
 * bundle: the package format. It packs a folder into one signed archive, reads archives from anyone, and writes a
 * package's files as a tree.
 *
 * A package is a sorted sequence of files, cut in chunks by content and listed in an index; a small record names index
 * and manifest by hash, and the SHA-256 of the record's bytes is the package's digest. A tar.gz carries all of it and is
 * never what is signed: signatures cover the record. Transfer stores and moves packages, app installs them, rollout packs
 * folders before a deploy. The folder holds no state, opens no connection, and decides nothing about trust: it says what
 * a package is, identity says whose signature counts.
 *
 * ```ts
 * const { file, digest } = await packFolder({ folder: 'api', output: '.', signers: [await loadSigner(keyPath)] })
 * const { index, manifest } = await importArchive({ source: createReadStream(file), dataFile: 'api.data' })
 * await materialize({ index, read: readAt('api.data'), folder: 'api-installed' })
 * ```
 */
export { importArchive, type PackageHeader, readPackageHeader } from './import.ts'
export { DEFAULT_LIMITS, MAX_INDEX_BYTES, MAX_MANIFEST_BYTES, MAX_RECORD_BYTES, type PackageLimits } from './limits.ts'
export {
  type HealthCheck,
  MANIFEST_NAME,
  type Manifest,
  type PortReference,
  parseManifest,
  portVariable,
  type ResolvedManifest,
  resolveManifest,
} from './manifest.ts'
export { refuseUnsupported } from './manifest-support.ts'
export { type MaterializeInput, materialize } from './materialize.ts'
export { type PackedPackage, type PackOptions, packFolder } from './pack.ts'
export { contentSize, decodeIndex, type IndexChunk, type IndexFile, type PackageIndex } from './package-index.ts'
export { decodeRecord, PACKAGE_PAYLOAD_TYPE, type PackageRecord } from './package-record.ts'
export type { TreeFault } from './verify-tree.ts'
