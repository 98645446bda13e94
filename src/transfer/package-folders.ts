import { randomBytes } from 'node:crypto'
import { mkdir, readdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { readFileBounded, setAside, syncFolder, writeFileAtomic } from '../base/files.ts'
import { MAX_INDEX_BYTES, MAX_MANIFEST_BYTES, MAX_RECORD_BYTES } from '../bundle/index.ts'
import { type Envelope, encodeEnvelope } from '../identity/index.ts'
import { transferErrors } from './errors.ts'
import { type HeaderBytes, MAX_SIGNATURE_BYTES, type PackageHeader, verifyHeader } from './package-header.ts'

const DIGEST = /^[0-9a-f]{64}$/

/** `packages/DIGEST/`: record.json, index, manifest.yaml and signature.json of every known package. */
export class PackageFolders {
  readonly #root: string
  constructor(root: string) {
    this.#root = root
  }

  /** Digests of all packages, after clearing away what a crash left half made. */
  async list(): Promise<string[]> {
    await mkdir(this.#root, { recursive: true, mode: 0o700 })
    const names = await readdir(this.#root)
    for (const name of names) {
      if (name.startsWith('.')) await rm(join(this.#root, name), { recursive: true, force: true })
    }
    return names.filter((name) => DIGEST.test(name)).sort()
  }

  /** The verified header of a package. A damaged one fails with the error that says why. */
  async read(digest: string): Promise<PackageHeader> {
    return verifyHeader(digest, {
      recordBytes: await this.#readPart(digest, 'record.json', MAX_RECORD_BYTES),
      manifestBytes: await this.#readPart(digest, 'manifest.yaml', MAX_MANIFEST_BYTES),
      signatureBytes: await readFileBounded(join(this.#root, digest, 'signature.json'), MAX_SIGNATURE_BYTES),
    })
  }

  /** The index as stored, not verified. */
  readIndexBytes(digest: string): Promise<Buffer> {
    return this.#readPart(digest, 'index', MAX_INDEX_BYTES)
  }

  /** Writes a package's header so that all of it is there or nothing. */
  async create(digest: string, header: HeaderBytes, indexBytes: Uint8Array): Promise<void> {
    const folder = join(this.#root, `.new-${randomBytes(8).toString('hex')}`)
    try {
      await writeFileAtomic(join(folder, 'record.json'), header.recordBytes)
      await writeFileAtomic(join(folder, 'index'), indexBytes)
      await writeFileAtomic(join(folder, 'manifest.yaml'), header.manifestBytes)
      if (header.signatureBytes !== undefined) {
        await writeFileAtomic(join(folder, 'signature.json'), header.signatureBytes)
      }
      await rename(folder, join(this.#root, digest))
    } catch (error) {
      await rm(folder, { recursive: true, force: true })
      throw error
    }
    await syncFolder(this.#root)
  }

  async writeSignature(digest: string, envelope: Envelope): Promise<void> {
    await writeFileAtomic(join(this.#root, digest, 'signature.json'), encodeEnvelope(envelope))
  }

  /** Takes a package's header away at once. */
  async remove(digest: string): Promise<void> {
    const gone = join(this.#root, `.old-${randomBytes(8).toString('hex')}`)
    await rename(join(this.#root, digest), gone)
    await syncFolder(this.#root)
    await rm(gone, { recursive: true, force: true })
  }

  /** Moves a damaged header out of the way and says where to. */
  setAside(digest: string, nowMs: number): Promise<string> {
    return setAside(join(this.#root, digest), nowMs)
  }

  async #readPart(digest: string, name: string, maxBytes: number): Promise<Buffer> {
    const bytes = await readFileBounded(join(this.#root, digest, name), maxBytes)
    if (bytes === undefined) throw transferErrors.package_damaged(`${join(this.#root, digest, name)} is missing`)
    return bytes
  }
}
