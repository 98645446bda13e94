import { basename, join } from 'node:path'
import { baseErrors } from '../../base/errors.ts'
import { defineCommand } from '../../command/index.ts'
import { keyContract } from '../contract.ts'
import { fingerprintOf } from '../ed25519.ts'
import { identityErrors } from '../errors.ts'
import { KEY_FILES } from '../keyring.ts'
import { findPassphrase, passphrasesOf } from '../passphrase.ts'
import { foldersFor } from './places.ts'

/** `warren key unlock` */
export const unlockCommand = defineCommand({
  name: 'key unlock',
  summary: 'Open the authority key of this node until its daemon ends',
  description:
    'The passphrase goes to the daemon over its own socket, is used once and kept nowhere. Without it apps run and other\n' +
    'nodes are served; only what changes the network waits: nodes, roles, keys, invites.',
  examples: [{ does: 'open it', words: 'key unlock' }],
  run: async ({ context }) => {
    // Asked before anything is read: the passphrase goes to no other node.
    if (context.remote) {
      throw baseErrors.not_supported('the authority key of another node cannot be opened from here', {
        hint: 'Run the command on that node, without --node.',
      })
    }
    const client = await context.connectLocal()
    const path = join((await foldersFor(context)).keysFolder, KEY_FILES.authority)
    const passphrase = await findPassphrase(path, passphrasesOf(context, { piped: true }))
    if (passphrase === undefined) {
      throw identityErrors.key_locked(`there is no terminal to ask for the passphrase of ${basename(path)}`, {
        hint: 'Give it: WARREN_PASSPHRASE, or a file named by WARREN_PASSPHRASE_FILE.',
      })
    }
    const { key_id } = await client.call(keyContract.unlock, { body: { passphrase } }, { signal: context.signal })
    return { json: { key_id, locked: false }, human: `authority key (ed25519 ${fingerprintOf(key_id)}) is open` }
  },
})
