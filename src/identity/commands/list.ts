import { defineCommand } from '../../command/index.ts'
import { fingerprintOf } from '../ed25519.ts'
import { foldersOf, readHomeRoster } from '../home-folders.ts'
import { createPackageTrust } from '../package-trust.ts'

/** `warren key list` */
export const listCommand = defineCommand({
  name: 'key list',
  summary: 'Show whose packages this node accepts',
  description: 'Keys come from the network (its roster) and from the .pub files in keys/trusted of this home.',
  examples: [{ does: 'show the keys that count here', words: 'key list' }],
  run: async ({ context }) => {
    const home = await context.nodeHome()
    const { trustedFolder } = foldersOf(home)
    const roster = await readHomeRoster(home)
    const trust = createPackageTrust({ trustedFolder, roster, settings: { requireSigned: true } })
    const { keys, warnings } = await trust.keys()
    for (const warning of warnings) context.say(`warning  ${warning}`)
    const sorted = keys.toSorted((a, b) => a.name.localeCompare(b.name, 'en', { numeric: true }))
    return {
      json: sorted.map(({ name, keyId, source }) => ({ name, key_id: keyId, source })),
      human: {
        columns: [{ title: 'NAME' }, { title: 'KEY' }, { title: 'TRUSTED BY' }],
        rows: sorted.map(({ name, keyId, source }) => [
          name,
          `ed25519 ${fingerprintOf(keyId)}`,
          source === 'roster' ? 'the network' : 'this node',
        ]),
        empty: 'No key is trusted. Trust one: warren key trust FILE.pub',
      },
    }
  },
})
