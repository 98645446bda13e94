import { type CommandContext, defineCommand } from '../../command/index.ts'
import { type KeyView, keyContract } from '../contract.ts'
import { fingerprintOf } from '../ed25519.ts'
import { readRosterIn } from '../home-folders.ts'
import { keyViewOf, readKnownKeys } from '../known-keys.ts'
import { askOrRead } from './places.ts'

/** `warren key list` */
export const listCommand = defineCommand({
  name: 'key list',
  summary: 'Show whose packages this node accepts',
  description:
    'Keys come from the network (its roster) and from the .pub files in keys/trusted of this home. Without a daemon they\n' +
    'are read from the disk.',
  examples: [
    { does: 'show the keys that count here', words: 'key list' },
    { does: 'ids of those that count', words: 'key list --json | jq -r \'.[] | select(.state == "trusted").key_id\'' },
  ],
  run: async ({ context }) => {
    const { keys, warnings } = await readKeys(context)
    for (const warning of warnings) context.say(`warning  ${warning}`)
    return {
      json: keys,
      human: {
        columns: [{ title: 'NAME' }, { title: 'KEY' }, { title: 'TRUSTED BY' }, { title: 'STATE' }],
        rows: keys.map((key) => [
          key.name,
          `ed25519 ${fingerprintOf(key.key_id)}`,
          key.state === 'revoked' ? '' : key.source === 'roster' ? 'the network' : 'this node',
          stateOf(key),
        ]),
        empty: 'No key is trusted. Trust one: warren key trust FILE.pub',
      },
    }
  },
})

function readKeys(context: CommandContext): Promise<{ keys: KeyView[]; warnings: readonly string[] }> {
  return askOrRead(context, {
    ask: (client) => client.call(keyContract.list, {}, { signal: context.signal }),
    read: async ({ trustedFolder, rosterFolder }) => {
      const { keys, warnings } = await readKnownKeys({ trustedFolder, roster: await readRosterIn(rosterFolder) })
      return { keys: keys.map(keyViewOf), warnings }
    },
  })
}

function stateOf({ state, expires, keep }: KeyView): string {
  if (state === 'revoked') return keep === 0 ? 'revoked' : `revoked, keeps ${keep}`
  if (expires === null) return state
  return `${state === 'expired' ? 'expired' : 'until'} ${expires.slice(0, 16).replace('T', ' ')}`
}
