import { createReadStream } from 'node:fs'
import { resolve } from 'node:path'
import { formatBytes } from '../../base/bytes.ts'
import { type CommandContext, defineCommand } from '../../command/index.ts'
import { createPackageTrust, fingerprintOf, foldersOf, readHomeRoster } from '../../identity/index.ts'
import { checkArchive, type PackageHeader } from '../import.ts'
import { signatureFileOf } from '../pack.ts'
import { readSignature } from '../signature.ts'

interface ShownSigner {
  readonly key: string
  /** Null for a key that is not known here. */
  readonly name: string | null
  readonly trusted: boolean
}

export const verifyCommand = defineCommand({
  name: 'verify',
  summary: 'Check a package’s bytes and signatures',
  description:
    'Reads the package whole, arrives at its digest, and checks its signatures by the keys that this home trusts: those of ' +
    'its roster and of keys/trusted. Exit code 0 only where a node with this home would accept it.',
  arguments: [{ name: 'file', description: 'a package, such as api-1.0.0.tar.gz', complete: 'file' }],
  examples: [{ does: 'check a package', words: 'verify api-1.0.0.tar.gz' }],
  run: async ({ args, context }) => {
    const file = resolve(context.cwd, args.file)
    const header = await readShowingProgress(file, context)
    const signature = await readSignature(signatureFileOf(file))
    const { name, version } = header.record
    const home = await context.nodeHome()
    const trust = createPackageTrust({
      trustedFolder: foldersOf(home).trustedFolder,
      roster: await readHomeRoster(home),
      settings: { requireSigned: true },
    })
    const { warnings } = await trust.keys()
    for (const warning of warnings) context.say(`warning  ${warning}`)
    const trusted = (await trust.check({ recordBytes: header.recordBytes, signature, name, version })).signers
    const signers = (signature?.signatures ?? []).map(({ keyid }): ShownSigner => {
      const known = trusted.find(({ keyId }) => keyId === keyid)
      return { key: keyid, name: known?.name ?? null, trusted: known !== undefined }
    })
    return {
      json: {
        file,
        name,
        version,
        digest: header.digest,
        files: header.record.files,
        bytes: header.record.bytes,
        signers,
      },
      human: [`${name} ${version} is whole`, `digest ${header.digest}`, ...signers.map(describeSigner)].join('\n'),
    }
  },
})

function describeSigner({ key, name, trusted }: ShownSigner): string {
  const who = name === null ? `ed25519 ${fingerprintOf(key)}` : `${name} (ed25519 ${fingerprintOf(key)})`
  return `signed by ${who}, ${trusted ? 'trusted' : 'not known here'}`
}

async function readShowingProgress(file: string, context: CommandContext): Promise<PackageHeader> {
  let shown = -1
  try {
    return await checkArchive({
      source: createReadStream(file),
      signal: context.signal,
      onProgress: ({ bytes, total }) => {
        const percent = total === 0 ? 100 : Math.floor((100 * bytes) / total)
        if (percent === shown) return
        shown = percent
        context.progress.show([`checking  ${percent} % of ${formatBytes(total)}`])
      },
    })
  } finally {
    context.progress.clear()
  }
}
