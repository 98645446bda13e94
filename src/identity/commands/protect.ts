import { basename } from 'node:path'
import { baseErrors } from '../../base/errors.ts'
import { defineCommand } from '../../command/index.ts'
import { protectKeyFile, readKeyFile } from '../key-files.ts'
import { KEY_FILES } from '../keyring.ts'
import { chooseNewPassphrase, findPassphrase, passphrasesOf } from '../passphrase.ts'
import { keyFileOf } from './places.ts'

/** `warren key protect FILE|authority|signing` */
export const protectCommand = defineCommand({
  name: 'key protect',
  summary: 'Protect a private key by a passphrase, or change it',
  description:
    'The file is encrypted with a key that is made of the passphrase (scrypt); without it the file is worthless. Deploys\n' +
    'then need WARREN_PASSPHRASE, or WARREN_PASSPHRASE_FILE, or somebody at a terminal. An authority key is opened in a\n' +
    'running daemon by warren key unlock. What the file held before may still be in backups and in free blocks of the disk.',
  arguments: [{ name: 'key', description: 'authority, signing, or a .key file', complete: 'file' }],
  examples: [
    { does: 'protect the key that signs packages', words: 'key protect signing' },
    { does: 'protect a key of your own', words: 'key protect ci.key' },
  ],
  run: async ({ args, context }) => {
    const path = await keyFileOf(args.key, context)
    if (args.key === 'node' || basename(path) === KEY_FILES.node) {
      throw baseErrors.usage('a node key cannot be protected: a node starts without anybody there', {
        hint: 'Protect what signs: warren key protect authority, warren key protect signing',
      })
    }
    const source = passphrasesOf(context, { piped: true })
    const { isProtected } = await readKeyFile(path)
    const now = isProtected ? await findPassphrase(path, source) : undefined
    const next = await chooseNewPassphrase(path, source, { isChange: isProtected })
    await protectKeyFile(path, { now, next })
    const done = isProtected ? `${path} has another passphrase` : `${path} is protected by a passphrase`
    const opened = 'A running daemon has it open until it ends; after its next start: warren key unlock'
    const human = args.key === 'authority' ? `${done}\n${opened}` : done
    return { json: { file: path, protected: true }, human }
  },
})
