import { defineCommand, printable } from '../../command/index.ts'
import { tokenContract } from '../contract.ts'
import { describeWhen } from './words.ts'

export const tokenListCommand = defineCommand({
  name: 'token list',
  aliases: ['tokens'],
  summary: 'Deploy tokens of the network',
  examples: [
    { does: 'all of them', words: 'tokens' },
    { does: 'those that have expired', words: 'tokens --json | jq -r \'.[] | select(.state == "expired").name\'' },
  ],
  async run({ context }) {
    const client = await context.connect()
    const tokens = await client.call(tokenContract.list, {}, { signal: context.signal })
    return {
      json: tokens,
      human: {
        columns: [
          { title: 'NAME' },
          { title: 'ROLE' },
          { title: 'APPS' },
          { title: 'STATE' },
          { title: 'EXPIRES' },
          { title: 'BY' },
        ],
        rows: tokens.map(({ name, role, apps, state, expires, by }) => [
          printable(name),
          role,
          printable(apps?.join(', ') ?? 'all'),
          state,
          describeWhen(expires),
          printable(by),
        ]),
        empty: 'no deploy tokens; make one: warren token create NAME',
      },
    }
  },
})
