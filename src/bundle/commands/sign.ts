import { resolve } from 'node:path'
import { defineCommand, text } from '../../command/index.ts'
import { signArchive } from '../signature.ts'
import { requireSigner } from './signing-key.ts'

export const signCommand = defineCommand({
  name: 'sign',
  summary: 'Add your signature to a package',
  description: 'Reads the package whole, checks it, and adds a signature to FILE.sig, or makes that file.',
  arguments: [{ name: 'file', description: 'a package, such as api-1.0.0.tar.gz', complete: 'file' }],
  options: {
    key: text({ value: 'FILE', description: 'sign with this key instead of keys/signing.key of the home' }),
  },
  examples: [
    { does: 'sign a package', words: 'sign api-1.0.0.tar.gz' },
    { does: 'sign it with another key', words: 'sign api-1.0.0.tar.gz --key team.key' },
  ],
  run: async ({ args, options, context }) => {
    const { signer, title } = await requireSigner(context, options.key)
    const file = resolve(context.cwd, args.file)
    const { signatureFile, header, envelope } = await signArchive({ file, signer, signal: context.signal })
    return {
      json: {
        file,
        signature: signatureFile,
        digest: header.digest,
        signed_by: signer.keyId,
        signatures: envelope.signatures.map(({ keyid }) => keyid),
      },
      human: `${header.record.name} ${header.record.version} signed by ${title}\n${signatureFile}`,
    }
  },
})
