import { formatBytes } from '../../base/bytes.ts'
import { defineCommand } from '../../command/index.ts'
import { transferContract } from '../contract.ts'

/** Digits of a digest that people are shown; `package remove` takes any unique beginning. */
const SHORT_DIGEST = 12

/** `warren package list` */
export const listCommand = defineCommand({
  name: 'package list',
  aliases: ['packages'],
  summary: 'Show the packages stored on a node',
  examples: [
    { does: 'show what is stored on this node', words: 'package list' },
    { does: 'show what is stored on another', words: 'package list --node burrow-2' },
  ],
  run: async ({ context }) => {
    const client = await context.connect()
    const packages = await client.call(transferContract.list, {}, { signal: context.signal })
    return {
      json: packages,
      human: {
        columns: [
          { title: 'NAME' },
          { title: 'VERSION' },
          { title: 'DIGEST' },
          { title: 'SIZE', align: 'right' },
          { title: 'FILES', align: 'right' },
          { title: 'STATE' },
        ],
        rows: packages.map(({ name, version, digest, size, files, complete }) => [
          name,
          version,
          digest.slice(0, SHORT_DIGEST),
          formatBytes(size),
          String(files),
          complete ? 'complete' : 'partly here',
        ]),
        empty: 'No packages are stored here.',
      },
    }
  },
})
