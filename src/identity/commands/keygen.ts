import { unlink } from 'node:fs/promises'
import { basename, resolve } from 'node:path'
import { pathExists } from '../../base/files.ts'
import { defineCommand, flag } from '../../command/index.ts'
import { fingerprintOf } from '../ed25519.ts'
import { identityErrors } from '../errors.ts'
import { createSigner } from '../key-files.ts'
import { writeNewFile } from '../new-file.ts'
import { chooseNewPassphrase, passphrasesOf } from '../passphrase.ts'
import { formatPublicKey, isKeyName } from '../public-key-file.ts'

const DEFAULT_NAME = 'signing'

/** `warren keygen [NAME]` */
export const keygenCommand = defineCommand({
  name: 'keygen',
  summary: 'Make a key for signing packages',
  description:
    'Writes NAME.key, which stays with you, and NAME.pub. Whoever is to accept your packages needs the .pub file:\n' +
    'with warren key trust, or copied into keys/trusted of the home.',
  arguments: [
    { name: 'name', description: `path and name of the files (${DEFAULT_NAME})`, optional: true, complete: 'file' },
  ],
  options: {
    passphrase: flag({ description: 'protect it by a passphrase: WARREN_PASSPHRASE, else asked for' }),
  },
  examples: [
    { does: 'make ci.key and ci.pub in this folder', words: 'keygen ci' },
    { does: 'with a passphrase on the private key', words: 'keygen release --passphrase' },
  ],
  run: async ({ args, options, context }) => {
    const path = resolve(context.cwd, args.name ?? DEFAULT_NAME)
    const name = basename(path)
    const [keyFile, publicFile] = [`${path}.key`, `${path}.pub`]
    if (!isKeyName(name)) {
      throw identityErrors.key_invalid(`"${name}" is no name for a key`, {
        hint: 'Use letters, digits and . _ @ + - (at most 64).',
      })
    }
    for (const file of [keyFile, publicFile]) {
      if (!(await pathExists(file))) continue
      throw identityErrors.key_exists(`${file} is already there`, {
        hint: 'Choose another name, or move that file away first.',
      })
    }
    const passphrase = options.passphrase
      ? await chooseNewPassphrase(keyFile, passphrasesOf(context, { piped: true }))
      : undefined
    const signer = await createSigner(keyFile, { passphrase })
    try {
      await writeNewFile(publicFile, formatPublicKey(signer.publicKey, name), 0o644)
    } catch (error) {
      await unlink(keyFile)
      throw error
    }
    return {
      json: {
        name,
        key_id: signer.keyId,
        key_file: keyFile,
        public_file: publicFile,
        protected: passphrase !== undefined,
      },
      human: [
        keyFile,
        `${publicFile}  ${name} (ed25519 ${fingerprintOf(signer.keyId)})`,
        '',
        `Next, on an admin: warren key trust ${publicFile}`,
      ].join('\n'),
    }
  },
})
