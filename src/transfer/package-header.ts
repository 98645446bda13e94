import { hash } from 'node:crypto'
import {
  contentSize,
  decodeIndex,
  decodeRecord,
  MANIFEST_NAME,
  type Manifest,
  PACKAGE_PAYLOAD_TYPE,
  type PackageIndex,
  type PackageRecord,
  parseManifest,
} from '../bundle/index.ts'
import { decodeEnvelope, type Envelope } from '../identity/index.ts'
import { transferErrors } from './errors.ts'

/** Longest signature envelope that is read: a record and sixteen signatures. */
export const MAX_SIGNATURE_BYTES = 64 * 1024

/** The small parts of a package, as they are stored and sent. */
export interface HeaderBytes {
  readonly recordBytes: Uint8Array
  readonly manifestBytes: Uint8Array
  /** The envelope's JSON; undefined where the package is unsigned. */
  readonly signatureBytes: Uint8Array | undefined
}

/** Parts that belong together. Whether the signature is trusted is for the trust check to say. */
export interface PackageHeader extends HeaderBytes {
  readonly digest: string
  readonly record: PackageRecord
  readonly manifest: Manifest
  readonly signature: Envelope | undefined
}

/**
 * Checks that the parts are those of the package `digest`: the record by the digest, the manifest by the record, the
 * signature's payload is the record. Fails with `package_damaged`, or as the parsers of the parts do.
 */
export function verifyHeader(digest: string, parts: HeaderBytes): PackageHeader {
  requireHash('record', parts.recordBytes, digest)
  const record = decodeRecord(parts.recordBytes)
  requireHash('manifest', parts.manifestBytes, record.manifest)
  const { manifest } = parseManifest(Buffer.from(parts.manifestBytes).toString('utf8'), MANIFEST_NAME)
  if (manifest.name !== record.name || manifest.version !== record.version) {
    throw transferErrors.package_damaged(
      `the record is of ${record.name} ${record.version}, the manifest of ${manifest.name} ${manifest.version}`,
    )
  }
  return { ...parts, digest, record, manifest, signature: readSignature(parts) }
}

/** The index of a record. Fails with `package_damaged` where the bytes are not the index that the record names. */
export function verifyIndex(record: PackageRecord, indexBytes: Uint8Array): PackageIndex {
  requireHash('index', indexBytes, record.index)
  const index = decodeIndex(indexBytes)
  if (index.files.length === record.files && contentSize(index) === record.bytes) return index
  throw transferErrors.package_damaged(
    `the index of ${record.name} ${record.version} does not have the files and bytes that its record counts`,
  )
}

function readSignature({ recordBytes, signatureBytes }: HeaderBytes): Envelope | undefined {
  if (signatureBytes === undefined) return undefined
  const envelope = decodeEnvelope(signatureBytes, { payloadType: PACKAGE_PAYLOAD_TYPE, maxBytes: MAX_SIGNATURE_BYTES })
  if (Buffer.from(recordBytes).equals(envelope.payload)) return envelope
  throw transferErrors.package_damaged('the signature beside the package is over another record')
}

function requireHash(part: string, bytes: Uint8Array, expected: string): void {
  const found = hash('sha256', bytes, 'hex')
  if (found !== expected) {
    throw transferErrors.package_damaged(`the ${part} of the package has the hash ${found} where ${expected} must be`)
  }
}
