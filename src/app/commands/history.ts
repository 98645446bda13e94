import { defineCommand, printable } from '../../command/index.ts'
import { appContract } from '../contract.ts'
import { nodesOf, onEach, rowsOf, targetOptions } from './targets.ts'

export const historyCommand = defineCommand({
  name: 'app history',
  summary: 'Deploys, switches and rollbacks of an app',
  description: 'Newest first. Without --on on every node that has it.',
  arguments: [{ name: 'app', description: 'name of the app', complete: 'app' }],
  options: targetOptions,
  examples: [{ does: 'what happened to it, and where', words: 'app history hello' }],
  async run({ args, options, context }) {
    const nodes = await nodesOf(context, args.app, options, 'all')
    const outcomes = await onEach(context, nodes, (client) =>
      client.call(appContract.history, { params: { app: args.app } }, { signal: context.signal }),
    )
    const rows = rowsOf(outcomes).sort((a, b) => b.time.localeCompare(a.time))
    return {
      json: rows,
      human: {
        columns: [
          { title: 'TIME' },
          { title: 'NODE' },
          { title: 'WHAT' },
          { title: 'FROM' },
          { title: 'TO' },
          { title: 'RESULT' },
        ],
        rows: rows.map(({ time, node, kind, from, to, ok, reason }) => [
          time,
          printable(node),
          kind,
          from ?? '-',
          to ?? '-',
          printable(ok ? 'ok' : `✗ ${reason ?? ''}`),
        ]),
        empty: 'nothing yet',
      },
    }
  },
})
