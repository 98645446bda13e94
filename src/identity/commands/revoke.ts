import { defineCommand, flag, list } from '../../command/index.ts'
import { keyContract } from '../contract.ts'
import { fingerprintOf } from '../ed25519.ts'

/** `warren key revoke KEY` */
export const revokeCommand = defineCommand({
  name: 'key revoke',
  summary: 'Revoke a signing key in the whole network, for good',
  description:
    'No node installs what it signed any more, whenever that was. What is installed goes on running, and can be rolled\n' +
    'back to. To have packages of this key still accepted, name them: --keep, or --keep-known for all that this node has.\n' +
    'Run it on an admin.',
  arguments: [{ name: 'key', description: 'name or id of the key' }],
  options: {
    'keep-known': flag({ description: 'still accept the packages of this key that this node has' }),
    keep: list({ value: 'DIGEST', description: 'still accept this package; may repeat' }),
  },
  examples: [
    { does: 'revoke a key that was stolen', words: 'key revoke ci' },
    { does: 'but accept what it signed before, as far as it is here', words: 'key revoke ci --keep-known' },
  ],
  run: async ({ args, options, context }) => {
    const client = await context.connect()
    const body = { keep: options.keep, keep_known: options['keep-known'] }
    const input = { params: { key: args.key }, body }
    const key = await client.call(keyContract.revoke, input, { signal: context.signal })
    const kept = key.keep === 0 ? '' : `; ${key.keep === 1 ? '1 package' : `${key.keep} packages`} of it still accepted`
    return { json: key, human: `${key.name} (ed25519 ${fingerprintOf(key.key_id)}) is revoked${kept}` }
  },
})
