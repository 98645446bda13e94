import { defineCommand } from '../../command/index.ts'
import { readKeyFile, unprotectKeyFile } from '../key-files.ts'
import { findPassphrase, passphrasesOf } from '../passphrase.ts'
import { keyFileOf } from './places.ts'

/** `warren key unprotect FILE|authority|signing` */
export const unprotectCommand = defineCommand({
  name: 'key unprotect',
  summary: 'Take the passphrase off a private key',
  arguments: [{ name: 'key', description: 'authority, signing, or a .key file', complete: 'file' }],
  examples: [{ does: 'let packages be signed without a passphrase', words: 'key unprotect signing' }],
  run: async ({ args, context }) => {
    const path = await keyFileOf(args.key, context)
    const { isProtected } = await readKeyFile(path)
    if (isProtected)
      await unprotectKeyFile(path, { now: await findPassphrase(path, passphrasesOf(context, { piped: true })) })
    const human = isProtected ? `${path} has no passphrase any more` : `${path} has no passphrase`
    return { json: { file: path, protected: false }, human }
  },
})
