import { join, resolve } from 'node:path'
import { type CommandContext, defineCommand, flag, text } from '../../command/index.ts'
import { keyContract } from '../contract.ts'
import { fingerprintOf } from '../ed25519.ts'
import { identityErrors } from '../errors.ts'
import { readRosterIn } from '../home-folders.ts'
import { readKnownKeys, refuseRevoked } from '../known-keys.ts'
import { writeNewFile } from '../new-file.ts'
import { formatPublicKey, isKeyName, readPublicKeyFile } from '../public-key-file.ts'
import { readTrustedFolder } from '../trusted-folder.ts'
import { foldersFor, withLocalHint } from './places.ts'

interface GivenKey {
  readonly publicKey: Uint8Array
  readonly keyId: string
  readonly name: string
}

/** `warren key trust FILE` */
export const trustCommand = defineCommand({
  name: 'key trust',
  summary: 'Accept packages signed by a key, in the whole network or on this node',
  description:
    'On an admin the key counts for every node of the network within seconds. With --local the public key is copied into\n' +
    'keys/trusted of this home and counts on this node alone, at once.',
  arguments: [{ name: 'file', description: 'a .pub file made by keygen', complete: 'file' }],
  options: {
    name: text({ value: 'NAME', description: 'what to call the key here' }),
    local: flag({ description: 'on this node alone; needs no admin and no daemon' }),
  },
  examples: [
    { does: 'accept what ci signs, everywhere', words: 'key trust ci.pub' },
    { does: 'accept it on this node alone', words: 'key trust ci.pub --local' },
  ],
  run: async ({ args, options, context }) => {
    const given = await readPublicKeyFile(resolve(context.cwd, args.file))
    const name = options.name ?? given.name
    if (!isKeyName(name)) {
      throw identityErrors.key_invalid(`"${name}" is no name for a key`, {
        hint: 'Use letters, digits and . _ @ + - (at most 64).',
      })
    }
    if (options.local) return await trustHere({ ...given, name }, context)
    try {
      const client = await context.connect()
      const body = { public_key: Buffer.from(given.publicKey).toString('base64'), name }
      const key = await client.call(keyContract.trust, { body }, { signal: context.signal })
      return { json: key, human: `${key.name} (ed25519 ${fingerprintOf(key.key_id)}) is trusted in the whole network` }
    } catch (error) {
      throw withLocalHint(error, args.file)
    }
  },
})

async function trustHere({ publicKey, keyId, name }: GivenKey, context: CommandContext) {
  const { trustedFolder, rosterFolder } = await foldersFor(context)
  refuseRevoked((await readKnownKeys({ trustedFolder, roster: await readRosterIn(rosterFolder) })).keys, keyId)
  const known = (await readTrustedFolder(trustedFolder)).keys.find((key) => key.keyId === keyId)
  const path = known?.path ?? join(trustedFolder, `${name.replaceAll(/[^A-Za-z0-9._-]/g, '-')}.pub`)
  if (known === undefined) await writeNewFile(path, formatPublicKey(publicKey, name), 0o644)
  const shown = `${known?.name ?? name} (ed25519 ${fingerprintOf(keyId)})`
  return {
    json: { name: known?.name ?? name, key_id: keyId, file: path, added: known === undefined },
    human: known === undefined ? `${shown} is trusted on this node` : `${shown} was trusted on this node already`,
  }
}
