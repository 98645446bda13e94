import { resolve } from 'node:path'
import { formatBytes } from '../../base/bytes.ts'
import { baseErrors } from '../../base/errors.ts'
import { type CommandContext, defineCommand, flag, text } from '../../command/index.ts'
import { type PackedPackage, packBinary, packFolder } from '../pack.ts'
import { findSigner, type NamedSigner } from './signing-key.ts'

interface PackWords {
  readonly output: string | undefined
  readonly app: string | undefined
  readonly name: string | undefined
  readonly version: string | undefined
  readonly unsigned: boolean
  readonly key: string | undefined
}

export const packCommand = defineCommand({
  name: 'pack',
  summary: 'Pack a folder or a program into a signed package',
  description:
    'Writes NAME-VERSION.tar.gz, and its signature beside it as NAME-VERSION.tar.gz.sig. The same files give the same bytes. ' +
    'Left out are .git, .warren and what .warrenignore names (globs as in .gitignore). Links to files inside the folder ' +
    'are packed as files; other links are refused.',
  arguments: [
    {
      name: 'folder',
      description: 'folder with a manifest.yaml; default the current one',
      optional: true,
      complete: 'folder',
    },
  ],
  options: {
    output: text({
      short: 'o',
      value: 'FOLDER',
      description: 'where the package is written; default the current folder',
    }),
    app: text({ value: 'FILE', description: 'pack this one program instead of a folder' }),
    name: text({ value: 'NAME', description: 'name of the app, with --app' }),
    version: text({ value: 'VERSION', description: 'version of the app with --app; else in place of the manifest’s' }),
    unsigned: flag({ description: 'do not sign, although there is a key' }),
    key: text({ value: 'FILE', description: 'sign with this key instead of keys/signing.key of the home' }),
  },
  examples: [
    { does: 'pack the app in ./api', words: 'pack api' },
    { does: 'pack it into dist/', words: 'pack api --output dist' },
    { does: 'pack one program', words: 'pack --app ./server --name api --version 1.4.0' },
  ],
  run: async ({ args, options, context }) => {
    const signer = await pickSigner(options, context)
    const packed = await pack(args.folder, options, { context, signer })
    for (const warning of packed.warnings) context.say(`warning  ${warning}`)
    const { file, digest, size, record, signatureFile } = packed
    const json = {
      file,
      digest,
      size,
      name: record.name,
      version: record.version,
      files: record.files,
      bytes: record.bytes,
      signature: signatureFile ?? null,
      signed_by: signer?.signer.keyId ?? null,
      warnings: packed.warnings,
    }
    const files = record.files === 1 ? '1 file' : `${record.files} files`
    const signed = signer === undefined ? 'unsigned' : `signed by ${signer.title}`
    const human = `${record.name} ${record.version}  ${files}  ${formatBytes(record.bytes)}  ${signed}\n${file}\ndigest ${digest}`
    return { json, human }
  },
})

async function pickSigner(options: PackWords, context: CommandContext): Promise<NamedSigner | undefined> {
  if (options.unsigned && options.key !== undefined) throw baseErrors.usage('--unsigned and --key exclude each other')
  if (options.unsigned) return undefined
  const signer = await findSigner(context, options.key)
  if (signer === undefined) {
    context.say('warning  there is no signing key: the package is unsigned, and nodes refuse it by default')
  }
  return signer
}

async function pack(
  folder: string | undefined,
  options: PackWords,
  { context, signer }: { context: CommandContext; signer: NamedSigner | undefined },
): Promise<PackedPackage> {
  const common = {
    output: resolve(context.cwd, options.output ?? '.'),
    signers: signer === undefined ? [] : [signer.signer],
    signal: context.signal,
    onProgress: showProgress(context),
  }
  try {
    if (options.app === undefined) {
      if (options.name !== undefined)
        throw baseErrors.usage('--name goes with --app; a folder is named by its manifest')
      const version = options.version === undefined ? {} : { version: options.version }
      return await packFolder({ folder: resolve(context.cwd, folder ?? '.'), ...version, ...common })
    }
    const { app, name, version } = options
    if (folder !== undefined) throw baseErrors.usage('give a folder or --app, not both')
    if (name === undefined || version === undefined) throw baseErrors.usage('--app needs --name and --version')
    return await packBinary({ file: resolve(context.cwd, app), name, version, ...common })
  } finally {
    context.progress.clear()
  }
}

/** Redraws when the percentage moves, not for every portion. */
function showProgress(context: CommandContext): (progress: { bytes: number; total: number }) => void {
  let shown = -1
  return ({ bytes, total }) => {
    const percent = total === 0 ? 100 : Math.floor((100 * bytes) / total)
    if (percent === shown) return
    shown = percent
    context.progress.show([`packing  ${percent} % of ${formatBytes(total)}`])
  }
}
