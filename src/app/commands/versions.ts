import { defineCommand, printable } from '../../command/index.ts'
import { appContract } from '../contract.ts'
import { nodesOf, onEach, rowsOf, targetOptions } from './targets.ts'

export const versionsCommand = defineCommand({
  name: 'app versions',
  summary: 'Installed versions of an app',
  description: 'Without --on on every node that has it.',
  arguments: [{ name: 'app', description: 'name of the app', complete: 'app' }],
  options: targetOptions,
  examples: [{ does: 'which versions one can go back to, and where', words: 'app versions hello' }],
  async run({ args, options, context }) {
    const nodes = await nodesOf(context, args.app, options, 'all')
    const outcomes = await onEach(context, nodes, (client) =>
      client.call(appContract.versions, { params: { app: args.app } }, { signal: context.signal }),
    )
    const rows = rowsOf(outcomes)
    return {
      json: rows,
      human: {
        columns: [
          { title: 'NODE' },
          { title: 'VERSION' },
          { title: 'STATE' },
          { title: 'INSTALLED' },
          { title: 'DIGEST' },
        ],
        rows: rows.map(({ node, version, active, state, installed, digest }) => [
          printable(node),
          `${version}${active ? ' *' : ''}`,
          state,
          installed,
          digest.slice(0, 12),
        ]),
      },
    }
  },
})
