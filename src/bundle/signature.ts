import { createReadStream } from 'node:fs'
import { toWarrenError } from '../base/errors.ts'
import { readFileBounded, writeFileAtomic } from '../base/files.ts'
import {
  addSignature,
  decodeEnvelope,
  type Envelope,
  encodeEnvelope,
  type Signer,
  sealEnvelope,
} from '../identity/index.ts'
import { bundleErrors } from './errors.ts'
import { checkArchive, type PackageHeader } from './import.ts'
import { MAX_SIGNATURE_BYTES } from './limits.ts'
import { signatureFileOf } from './pack.ts'
import { PACKAGE_PAYLOAD_TYPE } from './package-record.ts'

/**
 * The envelope of a signature file; undefined where the file is missing. Says nothing about whether anyone should trust
 * it. Fails with `signature_invalid` where it is malformed.
 */
export async function readSignature(signatureFile: string): Promise<Envelope | undefined> {
  const bytes = await readFileBounded(signatureFile, MAX_SIGNATURE_BYTES)
  if (bytes === undefined) return undefined
  try {
    return decodeEnvelope(bytes, { payloadType: PACKAGE_PAYLOAD_TYPE, maxBytes: MAX_SIGNATURE_BYTES })
  } catch (cause) {
    throw bundleErrors.signature_invalid(`${signatureFile}: ${toWarrenError(cause).message}`, {
      cause,
      hint: 'Sign again: warren sign FILE',
    })
  }
}

/**
 * Adds a signature to an archive's signature file, or makes the file. The archive is read whole and checked first, so
 * nobody signs what they did not look at; fails as `checkArchive`, and with `signature_invalid` where the file beside it
 * is of another package.
 */
export async function signArchive({
  file,
  signer,
  signal,
}: {
  file: string
  signer: Signer
  signal?: AbortSignal | undefined
}): Promise<{ signatureFile: string; header: PackageHeader; envelope: Envelope }> {
  const header = await checkArchive({ source: createReadStream(file), signal })
  const signatureFile = signatureFileOf(file)
  const existing = await readSignature(signatureFile)
  if (existing !== undefined && !Buffer.from(existing.payload).equals(header.recordBytes)) {
    throw bundleErrors.signature_invalid(`${signatureFile} is the signature of another package`, {
      hint: `rm ${signatureFile}, then sign again`,
    })
  }
  const envelope =
    existing === undefined
      ? sealEnvelope({ payloadType: PACKAGE_PAYLOAD_TYPE, payload: header.recordBytes, signers: [signer] })
      : addSignature(existing, signer)
  await writeFileAtomic(signatureFile, encodeEnvelope(envelope), { mode: 0o644 })
  return { signatureFile, header, envelope }
}
