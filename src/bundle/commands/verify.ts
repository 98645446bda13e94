import { createReadStream } from 'node:fs'
import { resolve } from 'node:path'
import { formatBytes } from '../../base/bytes.ts'
import { type CommandContext, defineCommand } from '../../command/index.ts'
import {
  createPackageTrust,
  findHomeFolders,
  fingerprintOf,
  readRosterIn,
  type SignedPackage,
} from '../../identity/index.ts'
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
    'its roster and of keys/trusted, and by the policies of its network. Exit code 0 only where a node with this home, and ' +
    'with no labels, would accept it; policies that hold on nodes with certain labels are warned of.',
  arguments: [{ name: 'file', description: 'a package, such as api-1.0.0.tar.gz', complete: 'file' }],
  examples: [{ does: 'check a package', words: 'verify api-1.0.0.tar.gz' }],
  run: async ({ args, context }) => {
    const file = resolve(context.cwd, args.file)
    const header = await readShowingProgress(file, context)
    const signature = await readSignature(signatureFileOf(file))
    const { name, version } = header.record
    const trusted = await checkTrust(
      { recordBytes: header.recordBytes, signature, name, version, digest: header.digest },
      context,
    )
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

/** Who, of those trusted, signed it. Where only a policy for some labels refuses it, that is said and no failure. */
async function checkTrust(checked: SignedPackage, context: CommandContext) {
  const { config, env, cwd } = context
  const { trustedFolder, rosterFolder } = await findHomeFolders({ home: await context.nodeHome(), config, env, cwd })
  const roster = await readRosterIn(rosterFolder)
  const trustOn = (everySelector: boolean) =>
    createPackageTrust({
      trustedFolder,
      roster,
      settings: { requireSigned: true },
      labels: () => ({}),
      selects: () => everySelector,
      tell: () => undefined,
    })
  const trust = trustOn(false)
  for (const warning of (await trust.keys()).warnings) context.say(`warning  ${warning}`)
  const { signers } = await trust.check(checked)
  await trustOn(true)
    .check(checked)
    .catch((error: Error) => context.say(`warning  not for every node: ${error.message}`))
  return signers
}

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
