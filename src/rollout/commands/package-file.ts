import { createReadStream } from 'node:fs'
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join, resolve } from 'node:path'
import type { ApiClient } from '../../api/contract.ts'
import { formatBytes } from '../../base/bytes.ts'
import { baseErrors } from '../../base/errors.ts'
import { pathExists, readFileBounded } from '../../base/files.ts'
import { type CommandContext, describeTransfer } from '../../command/index.ts'

/** Longest signature envelope that is sent: a record and some signatures. */
const MAX_SIGNATURE_BYTES = 64 * 1024
/** Read from the disk at a time. */
const UPLOAD_PIECE_BYTES = 256 * 1024
/** Often enough to look live. */
const PROGRESS_INTERVAL_MS = 200

/** A package on this machine's disk, ready to be uploaded. */
export interface PackageFile {
  readonly file: string
  readonly signatureFile: string | undefined
  readonly name: string
  readonly version: string
  readonly digest: string
  /** Bytes of content. */
  readonly bytes: number
}

/** How a folder is packed. */
export interface Packing {
  readonly context: CommandContext
  /** Key file to sign with; default `keys/signing.key` of the home. */
  readonly key?: string | undefined
  /** May change the folder's version. */
  readonly versionOf?: ((version: string) => string) | undefined
}

/**
 * Gives `work` the package at `path`: an archive as it is, a folder packed and signed first into a temporary folder that
 * is gone afterwards. Fails as `packFolder`, and with `file_not_found`.
 */
export async function* withPackage<T>(
  path: string,
  packing: Packing,
  work: (found: PackageFile) => AsyncIterable<T>,
): AsyncGenerator<T> {
  const full = resolve(packing.context.cwd, path)
  const info = await stat(full).catch((cause: unknown) => {
    throw baseErrors.file_not_found(`there is no package or folder ${path}`, {
      cause,
      hint: 'Give a folder with a manifest.yaml, or a file that warren pack made.',
    })
  })
  if (!info.isDirectory()) return yield* work(await readArchive(full))
  const temporary = await mkdtemp(join(tmpdir(), 'warren-pack-'))
  try {
    yield* work(await pack(full, temporary, packing))
  } finally {
    await rm(temporary, { recursive: true, force: true })
  }
}

/**
 * Stores the package on the node behind `client`; `app` is the one that it is for. Fails as the upload does, for
 * instance with `untrusted_key`.
 */
export async function uploadPackage(
  client: ApiClient,
  found: PackageFile & { readonly app?: string | undefined },
  context: CommandContext,
): Promise<{ warnings: readonly string[] }> {
  const { frameUpload, transferContract } = await import('../../transfer/contract.ts')
  const signature =
    found.signatureFile === undefined ? undefined : await readFileBounded(found.signatureFile, MAX_SIGNATURE_BYTES)
  try {
    const upload = frameUpload(signature, readWithProgress(found, context))
    const query = { app: found.app ?? found.name }
    return await client.call(transferContract.upload, { upload, query }, { signal: context.signal })
  } finally {
    context.progress.clear()
  }
}

/** The bytes of the archive, shown as they go. */
async function* readWithProgress(
  { file, name, version }: PackageFile,
  context: CommandContext,
): AsyncGenerator<Uint8Array> {
  const { size } = await stat(file)
  const startedMs = performance.now()
  let shownMs = startedMs
  let sent = 0
  for await (const part of createReadStream(file, { highWaterMark: UPLOAD_PIECE_BYTES }) as AsyncIterable<Uint8Array>) {
    yield part
    sent += part.length
    const nowMs = performance.now()
    if (nowMs - shownMs < PROGRESS_INTERVAL_MS) continue
    shownMs = nowMs
    context.progress.show([`upload   ${name} ${version}  ${describeTransfer(sent, size, nowMs - startedMs)}`])
  }
}

async function readArchive(file: string): Promise<PackageFile> {
  const { readPackageHeader } = await import('../../bundle/index.ts')
  const source = createReadStream(file)
  try {
    const { digest, record } = await readPackageHeader({ source })
    const signature = `${file}.sig`
    const signatureFile = (await pathExists(signature)) ? signature : undefined
    return { file, signatureFile, digest, name: record.name, version: record.version, bytes: record.bytes }
  } finally {
    source.destroy()
  }
}

async function pack(
  folder: string,
  output: string,
  { context, key: keyFile, versionOf }: Packing,
): Promise<PackageFile> {
  const { packFolder, parseManifest, MANIFEST_NAME } = await import('../../bundle/index.ts')
  const { findHomeFolders, KEY_FILES, passphrasesOf, unlockSigner } = await import('../../identity/index.ts')
  // The home of a token's node has no signing key; the person's own may have one.
  const home = context.temporary ? context.home : await context.nodeHome()
  const { config, env, cwd } = context
  const key =
    keyFile === undefined
      ? join((await findHomeFolders({ home, config, env, cwd })).keysFolder, KEY_FILES.signing)
      : resolve(cwd, keyFile)
  const isSigned = keyFile !== undefined || (await pathExists(key))
  const signers = isSigned ? [await unlockSigner(key, passphrasesOf(context))] : []
  const path = join(folder, MANIFEST_NAME)
  const text = versionOf === undefined ? undefined : await readFile(path, 'utf8').catch(() => undefined)
  // A manifest that is missing is packFolder's to name.
  const version =
    text === undefined
      ? undefined
      : versionOf?.(parseManifest(text, join(basename(folder), MANIFEST_NAME)).manifest.version)
  const packed = await packFolder({
    folder,
    output,
    signers,
    signal: context.signal,
    ...(version === undefined ? {} : { version }),
    onProgress: ({ bytes, total }) =>
      context.progress.show([`pack     ${formatBytes(bytes)} of ${formatBytes(total)}`]),
  })
  context.progress.clear()
  for (const warning of packed.warnings) context.say(`warning  ${warning}`)
  const { file, signatureFile, digest, record } = packed
  const files = record.files === 1 ? '1 file' : `${record.files} files`
  const signed = signers[0] === undefined ? 'unsigned' : `signed by ${signers[0].keyId.slice(0, 4)}…`
  context.say(`pack     ${record.name} ${record.version}  ${files}  ${formatBytes(record.bytes)}  ${signed}`)
  return { file, signatureFile, digest, name: record.name, version: record.version, bytes: record.bytes }
}
