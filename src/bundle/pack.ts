import { mkdir, realpath, stat, unlink } from 'node:fs/promises'
import { basename, dirname, join, relative, resolve, sep } from 'node:path'
import { parseDocument } from 'yaml'
import { baseErrors } from '../base/errors.ts'
import { readFileBounded, writeFileAtomic } from '../base/files.ts'
import { encodeEnvelope, type Signer, sealEnvelope } from '../identity/index.ts'
import { type WrittenArchive, writeArchive } from './archive.ts'
import { collectFiles, type SourceFile } from './collect.ts'
import { bundleErrors } from './errors.ts'
import { DEFAULT_LIMITS, MAX_MANIFEST_BYTES, type PackageLimits } from './limits.ts'
import { MANIFEST_NAME, type Manifest, parseManifest } from './manifest.ts'
import { sortFiles } from './package-index.ts'
import { PACKAGE_PAYLOAD_TYPE, type PackageRecord } from './package-record.ts'

/** What `packFolder` and `packBinary` have in common. */
export interface PackOptions {
  /** Folder in which `NAME-VERSION.tar.gz` is written; made where it is missing. */
  readonly output: string
  /** Who signs; none leaves the package unsigned. */
  readonly signers: readonly Signer[]
  readonly limits?: PackageLimits
  readonly onProgress?: (progress: { bytes: number; total: number }) => void
  readonly signal?: AbortSignal
}

/** What was packed. */
export interface PackedPackage {
  readonly file: string
  readonly signatureFile: string | undefined
  readonly digest: string
  /** Bytes of the archive. */
  readonly size: number
  readonly record: PackageRecord
  readonly manifest: Manifest
  /** Manifest keys that this release does not act on. */
  readonly warnings: readonly string[]
}

/**
 * Packs a folder with a `manifest.yaml` into `NAME-VERSION.tar.gz`, and its signature beside it as `.sig`. The same files
 * give the same bytes and digest. `version` replaces the manifest's in the package. Fails with `manifest_missing`,
 * `manifest_invalid`, `entrypoint_invalid`, `file_refused`, `file_changed` or `package_too_large`; then nothing is
 * written. What is left out of the folder and what becomes of links: see `collectFiles`.
 */
export async function packFolder({
  folder,
  version,
  ...options
}: PackOptions & { readonly folder: string; readonly version?: string }): Promise<PackedPackage> {
  const { text, manifest, warnings } = await readManifest(folder, version)
  const limits = options.limits ?? DEFAULT_LIMITS
  const files = await collectFiles({
    folder,
    limits,
    isOwnOutput: await ownOutput(folder, options.output, manifest.name),
    signal: options.signal,
  })
  return packFiles({ manifest, manifestBytes: Buffer.from(text), warnings, files }, options)
}

/**
 * Packs one executable file as an app of that name and version, with a manifest that only starts it. Fails as
 * `packFolder`, with `invalid_value` for a name or version that manifests may not have.
 */
export async function packBinary({
  file,
  name,
  version,
  ...options
}: PackOptions & { readonly file: string; readonly name: string; readonly version: string }): Promise<PackedPackage> {
  const from = await realpath(file)
  const info = await stat(from)
  if (!info.isFile()) throw bundleErrors.file_refused(`${file} is not a file`)
  const program = basename(file)
  const text = [
    `name: ${JSON.stringify(name)}`,
    `version: ${JSON.stringify(version)}`,
    `entrypoint: ${JSON.stringify(`./${program}`)}`,
  ]
  const manifestBytes = Buffer.from(`${text.join('\n')}\n`)
  const { manifest, warnings } = parseManifest(manifestBytes.toString(), `manifest of ${program}`)
  const mode = (info.mode & 0o100) === 0 ? 0o644 : 0o755
  const files = [{ path: program, mode, size: info.size, from } as const]
  return packFiles({ manifest, manifestBytes, warnings, files }, options)
}

/** Where the signature of an archive lies. */
export function signatureFileOf(archive: string): string {
  return `${archive}.sig`
}

interface Packable {
  readonly manifest: Manifest
  readonly manifestBytes: Buffer
  readonly warnings: readonly string[]
  readonly files: readonly SourceFile[]
}

async function packFiles(packable: Packable, options: PackOptions): Promise<PackedPackage> {
  const { manifest, manifestBytes, warnings } = packable
  const others = packable.files.filter(({ path }) => path !== MANIFEST_NAME)
  checkEntrypoint(manifest, others)
  const manifestFile: SourceFile = { path: MANIFEST_NAME, mode: 0o644, size: manifestBytes.length, from: manifestBytes }
  await mkdir(options.output, { recursive: true })
  const file = join(resolve(options.output), `${manifest.name}-${manifest.version}.tar.gz`)
  const written = await writeArchive({
    files: sortFiles([...others, manifestFile]),
    manifest,
    manifestBytes,
    output: file,
    onProgress: options.onProgress,
    signal: options.signal,
  })
  const signatureFile = await writeSignature(file, written, options.signers)
  const { digest, size, record } = written
  return { file, signatureFile, digest, size, record, manifest, warnings }
}

/** Replaces the signature of an earlier archive of that name, or takes it away: it can only be wrong now. */
async function writeSignature(
  archive: string,
  { recordBytes }: WrittenArchive,
  signers: readonly Signer[],
): Promise<string | undefined> {
  const signatureFile = signatureFileOf(archive)
  try {
    if (signers.length === 0) {
      await unlink(signatureFile).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== 'ENOENT') throw error
      })
      return undefined
    }
    const envelope = sealEnvelope({ payloadType: PACKAGE_PAYLOAD_TYPE, payload: recordBytes, signers })
    await writeFileAtomic(signatureFile, encodeEnvelope(envelope), { mode: 0o644 })
    return signatureFile
  } catch (error) {
    await unlink(archive).catch(() => undefined)
    throw error
  }
}

async function readManifest(
  folder: string,
  version: string | undefined,
): Promise<{ text: string; manifest: Manifest; warnings: string[] }> {
  const path = join(folder, MANIFEST_NAME)
  if (!(await stat(folder)).isDirectory()) throw baseErrors.invalid_value(`${folder} is not a folder`)
  const bytes = await readFileBounded(path, MAX_MANIFEST_BYTES)
  if (bytes === undefined) {
    throw bundleErrors.manifest_missing(`${folder} has no ${MANIFEST_NAME}`, {
      hint: 'Make a starter app: warren init app, or pack one program: warren pack --app FILE --name N --version V',
    })
  }
  const text = bytes.toString()
  const asWritten = parseManifest(text, path)
  if (version === undefined) return { text, ...asWritten }
  const replaced = replaceVersion(text, version)
  return { text: replaced, ...parseManifest(replaced, `${path} with version ${version}`) }
}

/** Puts another version in place of the one in the text and leaves all else as it was. */
function replaceVersion(text: string, version: string): string {
  const node = parseDocument(text).get('version', true) as { range: [number, number, number] }
  return `${text.slice(0, node.range[0])}${JSON.stringify(version)}${text.slice(node.range[1])}`
}

function checkEntrypoint({ entrypoint }: Manifest, files: readonly SourceFile[]): void {
  const path = entrypoint.replace(/^(\.\/+)+/, '')
  const file = files.find((candidate) => candidate.path === path)
  if (file === undefined) {
    if (!entrypoint.includes('/')) return
    throw bundleErrors.entrypoint_invalid(`the entrypoint "${entrypoint}" is not in the package`, {
      hint: 'Check the path in manifest.yaml, and that .warrenignore does not leave it out.',
    })
  }
  if (file.mode === 0o755) return
  throw bundleErrors.entrypoint_invalid(`the entrypoint "${entrypoint}" is not executable`, {
    hint: `chmod +x ${typeof file.from === 'string' ? file.from : path}`,
  })
}

/** Where archives are written into the folder that is packed, earlier ones must not become part of the next. */
async function ownOutput(folder: string, output: string, name: string): Promise<(path: string) => boolean> {
  const root = await realpath(folder)
  const target = await realpath(output).catch(() => resolve(output))
  const inside = relative(root, target)
  if (inside === '..' || inside.startsWith(`..${sep}`)) return () => false
  const place = inside === '' ? '.' : inside.split(sep).join('/')
  return (path) =>
    dirname(path) === place &&
    basename(path).replace(/^\./, '').startsWith(`${name}-`) &&
    /\.tar\.gz(\.sig)?$|\.tmp$/.test(path)
}
