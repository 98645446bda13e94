import { join, resolve } from 'node:path'
import { defineCommand, text } from '../../command/index.ts'
import { fingerprintOf } from '../ed25519.ts'
import { identityErrors } from '../errors.ts'
import { foldersOf } from '../home-folders.ts'
import { writeNewFile } from '../new-file.ts'
import { formatPublicKey, isKeyName, readPublicKeyFile } from '../public-key-file.ts'
import { readTrustedFolder } from '../trusted-folder.ts'

/** `warren key trust FILE` */
export const trustCommand = defineCommand({
  name: 'key trust',
  summary: 'Accept packages signed by a key, on this node',
  description: 'Copies the public key into keys/trusted of this home. A running daemon counts it at once.',
  arguments: [{ name: 'file', description: 'a .pub file made by keygen', complete: 'file' }],
  options: { name: text({ value: 'NAME', description: 'what to call the key here' }) },
  examples: [{ does: 'accept what ci signs', words: 'key trust ci.pub' }],
  run: async ({ args, options, context }) => {
    const given = await readPublicKeyFile(resolve(context.cwd, args.file))
    const name = options.name ?? given.name
    if (!isKeyName(name)) {
      throw identityErrors.key_invalid(`"${name}" is no name for a key`, {
        hint: 'Use letters, digits and . _ @ + - (at most 64).',
      })
    }
    const { trustedFolder } = foldersOf(await context.nodeHome())
    const { keys } = await readTrustedFolder(trustedFolder)
    const known = keys.find(({ keyId }) => keyId === given.keyId)
    const path = known?.path ?? join(trustedFolder, `${name.replaceAll(/[^A-Za-z0-9._-]/g, '-')}.pub`)
    if (known === undefined) await writeNewFile(path, formatPublicKey(given.publicKey, name), 0o644)
    const shown = `${known?.name ?? name} (ed25519 ${fingerprintOf(given.keyId)})`
    return {
      json: { name: known?.name ?? name, key_id: given.keyId, file: path, added: known === undefined },
      human: known === undefined ? `${shown} is trusted on this node` : `${shown} was trusted on this node already`,
    }
  },
})
