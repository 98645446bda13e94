import { createHash } from 'node:crypto'
import { z } from 'zod'
import { CHUNKER_ID } from './cutter.ts'
import { bundleErrors } from './errors.ts'
import { checkLimit, DEFAULT_LIMITS, MAX_RECORD_BYTES, type PackageLimits } from './limits.ts'
import type { Manifest } from './manifest.ts'
import { NAME_PATTERN, VERSION_PATTERN } from './manifest-schema.ts'

/** Payload type of the envelope that signs a package; its payload is the record's bytes. */
export const PACKAGE_PAYLOAD_TYPE = 'application/vnd.warren.package.v1+json'

/** What a package is: everything else follows from it by hashes. Its bytes, hashed, are the package's digest. */
export interface PackageRecord {
  readonly format: 1
  readonly name: string
  readonly version: string
  /** Empty: anywhere. */
  readonly platform: readonly string[]
  /** SHA-256 of manifest.yaml as packed, in hex. */
  readonly manifest: string
  /** SHA-256 of the index, in hex. */
  readonly index: string
  /** The way of cutting, such as `gear-16-64-256-v1`. */
  readonly chunker: string
  readonly files: number
  /** Of all files, uncompressed. */
  readonly bytes: number
}

const sha256 = z.string().regex(/^[0-9a-f]{64}$/, 'must be 64 hex digits')

/** Loose, because later releases may add fields: the bytes are kept, so nothing is lost. */
const recordSchema = z.looseObject({
  format: z.literal(1),
  name: z.string().regex(NAME_PATTERN),
  version: z.string().max(128).regex(VERSION_PATTERN),
  platform: z.array(z.string().max(64)).max(32),
  manifest: sha256,
  index: sha256,
  chunker: z.literal(CHUNKER_ID),
  files: z.int().min(1),
  bytes: z.int().min(0),
})

/** The bytes of a new record. */
export function encodeRecord(record: PackageRecord): Buffer {
  const { format, name, version, platform, manifest, index, chunker, files, bytes } = record
  return Buffer.from(`${JSON.stringify({ format, name, version, platform, manifest, index, chunker, files, bytes })}\n`)
}

/**
 * Reads a record from anyone. Fails with `record_invalid` naming the field, also for a newer format or another way of
 * cutting; with `package_too_large` where it announces more than the limits.
 */
export function decodeRecord(recordBytes: Uint8Array, limits: PackageLimits = DEFAULT_LIMITS): PackageRecord {
  checkLimit('bytes of the record', recordBytes.length, MAX_RECORD_BYTES)
  let json: unknown
  try {
    json = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(recordBytes))
  } catch (cause) {
    throw bundleErrors.record_invalid('the package record is not JSON', { cause })
  }
  const parsed = recordSchema.safeParse(json)
  if (!parsed.success) {
    const [issue] = parsed.error.issues
    throw bundleErrors.record_invalid(`the package record is malformed: ${issue?.path.join('.')}: ${issue?.message}`, {
      hint: 'Packages of a newer Warren need a newer Warren here: warren version',
    })
  }
  checkLimit('files', parsed.data.files, limits.maxFiles)
  checkLimit('bytes', parsed.data.bytes, limits.maxBytes)
  return parsed.data
}

/** The digest by which a package is known: SHA-256 of its record's bytes, in hex. */
export function packageDigest(recordBytes: Uint8Array): string {
  return sha256Hex(recordBytes)
}

export function sha256Hex(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}

/** Fails with `package_mismatch` where a record and the manifest beside it do not say the same. */
export function checkRecordAgainst(record: PackageRecord, manifest: Manifest): void {
  const pairs = [
    ['name', record.name, manifest.name],
    ['version', record.version, manifest.version],
    ['platform', record.platform.join(' '), manifest.platforms.join(' ')],
  ]
  for (const [field, inRecord, inManifest] of pairs) {
    if (inRecord === inManifest) continue
    throw bundleErrors.package_mismatch(`the record says ${field} "${inRecord}", the manifest "${inManifest}"`)
  }
}
