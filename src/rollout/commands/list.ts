import { formatDuration } from '../../base/durations.ts'
import { defineCommand, printable } from '../../command/index.ts'
import { rolloutContract } from '../contract.ts'

export const listCommand = defineCommand({
  name: 'rollout list',
  aliases: ['rollouts'],
  summary: 'Rollouts that this node knows, newest first',
  examples: [{ does: 'see the last rollouts', words: 'rollout list' }],
  run: async ({ context }) => {
    const client = await context.connect()
    const rows = await client.call(rolloutContract.list, {}, { signal: context.signal })
    return {
      json: rows,
      human: {
        columns: ['ID', 'APP', 'VERSION', 'STATE', 'HEALTHY', 'BY', 'AGE'].map((title) => ({ title })),
        rows: rows.map(({ short, app, package: { version }, state, healthy, nodes, author, created }) => [
          short,
          printable(app),
          printable(version),
          state,
          `${healthy} of ${nodes}`,
          printable(author),
          formatDuration(Math.max(0, Date.now() - Date.parse(created))),
        ]),
        empty: 'No rollouts yet. Begin one: warren deploy PACKAGE --all',
      },
    }
  },
})
