import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { resolve } from 'node:path'
import { formatBytes } from '../../base/bytes.ts'
import { defineCommand, printable } from '../../command/index.ts'
import { type PackageHeader, readPackageHeader } from '../import.ts'
import { signatureFileOf } from '../pack.ts'
import { readSignature } from '../signature.ts'

export const inspectCommand = defineCommand({
  name: 'inspect',
  summary: 'Show what is in a package',
  description: 'Reads record, manifest and index. The content is not read: warren verify checks it.',
  arguments: [{ name: 'file', description: 'a package, such as api-1.0.0.tar.gz', complete: 'file' }],
  examples: [{ does: 'show a package', words: 'inspect api-1.0.0.tar.gz' }],
  run: async ({ args, context }) => {
    const file = resolve(context.cwd, args.file)
    const { size } = await stat(file)
    const header = await readPackageHeader({ source: createReadStream(file), signal: context.signal })
    const envelope = await readSignature(signatureFileOf(file))
    const belongs = envelope !== undefined && Buffer.from(envelope.payload).equals(header.recordBytes)
    const signatures = belongs ? envelope.signatures.map(({ keyid }) => keyid) : []
    return {
      json: {
        file,
        size,
        digest: header.digest,
        record: header.record,
        manifest: header.manifest,
        signatures,
        warnings: header.warnings,
        files: header.index.files.map(({ path, mode, size, chunks }) => ({
          path,
          mode: mode.toString(8),
          size,
          chunks: chunks.length,
        })),
      },
      human: describe(header, size, signatures),
    }
  },
})

function describe(
  { digest, record, manifest, index, warnings }: PackageHeader,
  size: number,
  signatures: string[],
): string {
  const chunks = index.files.reduce((sum, file) => sum + file.chunks.length, 0)
  const rows: [string, string][] = [
    ['package', `${record.name} ${record.version}`],
    ['digest', digest],
    ...(manifest.description === undefined ? [] : ([['about', manifest.description]] as [string, string][])),
    ['runs', [manifest.entrypoint, ...manifest.args].join(' ')],
    ['platforms', manifest.platforms.join(', ') || 'any'],
    ['ports', pairs(manifest.ports, ' ') || 'none'],
    ['health', manifest.healthCheck.type],
    ['env', pairs(manifest.env, '=') || 'none'],
    ['labels', pairs(manifest.labels, '=') || 'none'],
    ['signed by', signatures.map((key) => key.slice(0, 16)).join(', ') || 'nobody'],
    [
      'content',
      `${record.files} files, ${formatBytes(record.bytes)} in ${chunks} chunks; archive ${formatBytes(size)}`,
    ],
    ...warnings.map((warning): [string, string] => ['warning', warning]),
  ]
  const files = index.files.map(
    (file) => `  ${file.mode === 0o755 ? 'x' : ' '} ${formatBytes(file.size).padStart(8)}  ${printable(file.path)}`,
  )
  return [...rows.map(([title, value]) => `${title.padEnd(10)} ${printable(value)}`), 'files', ...files].join('\n')
}

function pairs(record: Readonly<Record<string, string | number>>, between: string): string {
  return Object.entries(record)
    .map(([key, value]) => `${key}${between}${value}`)
    .join(', ')
}
