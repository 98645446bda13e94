import { randomBytes } from 'node:crypto'
import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { nameFile } from '../base/files.ts'
import { DEFAULT_LIMITS, importArchive, PACKAGE_PAYLOAD_TYPE } from '../bundle/index.ts'
import { type Envelope, encodeEnvelope } from '../identity/index.ts'
import { transferErrors } from './errors.ts'
import type { PackageHeader } from './package-header.ts'
import type { Store, StoredPackage } from './store.ts'
import { type TrustCheck, trustQuestion } from './trust.ts'

/** How an archive is taken in. */
export interface AddOptions {
  readonly signal?: AbortSignal | undefined
  /** Who brings it, for the audit log. */
  readonly by?: string | undefined
  /** Content bytes checked so far, of all. */
  readonly onProgress?: ((progress: { bytes: number; total: number }) => void) | undefined
}

/** What became of an archive. */
export interface AddedPackage extends StoredPackage {
  /** False: it was here before. */
  readonly added: boolean
  readonly signers: readonly { readonly keyId: string; readonly name: string }[]
  /** For a person: manifest keys that this release does not act on, a missing signature. */
  readonly warnings: readonly string[]
}

interface ImportContext {
  readonly store: Store
  readonly storeFolder: string
  readonly checkTrust: TrustCheck
  readonly maxPackageBytes: number
}

type Signers = AddedPackage['signers']

/** Signatures kept for a package; more are not needed by any threshold. */
const MAX_SIGNATURES = 16

/** As `Transfer.add`. */
export async function addArchive(
  { store, storeFolder, checkTrust, maxPackageBytes }: ImportContext,
  {
    source,
    signature,
    options,
  }: { source: AsyncIterable<Uint8Array>; signature: Envelope | undefined; options: AddOptions },
): Promise<AddedPackage> {
  // Swept at the next start where a crash leaves it behind.
  const folder = join(storeFolder, `.import-${randomBytes(8).toString('hex')}`)
  await mkdir(folder, { recursive: true, mode: 0o700 })
  try {
    const dataFile = join(folder, 'data')
    const limits = { ...DEFAULT_LIMITS, maxBytes: maxPackageBytes }
    const { digest, record, recordBytes, index, indexBytes, manifest, manifestBytes, warnings } = await importArchive({
      source,
      dataFile,
      limits,
      signal: options.signal,
      onProgress: options.onProgress,
    })
    if (signature !== undefined && !Buffer.from(signature.payload).equals(recordBytes)) {
      throw transferErrors.upload_invalid(`the signature is not over ${record.name} ${record.version}`, {
        hint: 'Sign this archive: warren sign FILE',
      })
    }
    const signatureBytes = signature === undefined ? undefined : encodeEnvelope(signature)
    const header: PackageHeader = { digest, record, recordBytes, manifest, manifestBytes, signature, signatureBytes }
    const verdict = await checkTrust({ ...trustQuestion(header), by: options.by })
    const before = store.get(digest)
    await store.register(header, { index, indexBytes })
    await mergeSignature(store, header, verdict.signers)
    if (before?.complete !== true) await store.use(digest, ({ chunks }) => chunks.adoptData(dataFile))
    const stored = store.get(digest) as StoredPackage
    const allWarnings = [...warnings, ...(verdict.warning === undefined ? [] : [verdict.warning])]
    return { ...stored, added: before === undefined, signers: verdict.signers, warnings: allWarnings }
  } catch (error) {
    throw nameFile(error, storeFolder)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/**
 * Adds the header's signatures to those that are stored. One by a key that was verified just now comes first and takes the
 * old one's place; others take the place of none, since whoever may upload could else push out what a policy asks for.
 */
async function mergeSignature(store: Store, { digest, recordBytes, signature }: PackageHeader, signers: Signers) {
  if (signature === undefined) return
  const old = store.get(digest)?.signature?.signatures ?? []
  const verified = new Set(signers.map(({ keyId }) => keyId))
  const known = new Set(old.map(({ keyid }) => keyid))
  const first = signature.signatures.filter(({ keyid }) => verified.has(keyid))
  const replaced = new Set(first.map(({ keyid }) => keyid))
  const merged = [
    ...first,
    ...old.filter(({ keyid }) => !replaced.has(keyid)),
    ...signature.signatures.filter(({ keyid }) => !verified.has(keyid) && !known.has(keyid)),
  ].slice(0, MAX_SIGNATURES)
  if (textOf(merged) === textOf(old)) return
  await store.setSignature(digest, { payloadType: PACKAGE_PAYLOAD_TYPE, payload: recordBytes, signatures: merged })
}

/** Equal for equal sets of signatures. */
function textOf(signatures: Envelope['signatures']): string {
  return signatures
    .map(({ keyid, sig }) => `${keyid} ${Buffer.from(sig).toString('hex')}`)
    .sort()
    .join()
}
