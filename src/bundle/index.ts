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
export { INDEX_PATH, RECORD_PATH } from './archive.ts'
export { hashChunk } from './content-chunks.ts'
export { CHUNKER_ID, MAX_CHUNK_BYTES } from './cutter.ts'
export { bundleErrors } from './errors.ts'
export { checkArchive, importArchive, type PackageHeader, readPackageHeader } from './import.ts'
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
export { manifestJsonSchema, PLATFORMS } from './manifest-schema.ts'
export { manifestWarnings, refuseUnsupported } from './manifest-support.ts'
export { type MaterializeInput, materialize } from './materialize.ts'
export { type PackedPackage, type PackOptions, packBinary, packFolder, signatureFileOf } from './pack.ts'
export {
  contentSize,
  decodeIndex,
  encodeIndex,
  type IndexChunk,
  type IndexFile,
  type PackageIndex,
} from './package-index.ts'
export {
  decodeRecord,
  encodeRecord,
  PACKAGE_PAYLOAD_TYPE,
  type PackageRecord,
  packageDigest,
} from './package-record.ts'
export { readSignature, signArchive } from './signature.ts'
export { type TreeFault, verifyTree } from './verify-tree.ts'
