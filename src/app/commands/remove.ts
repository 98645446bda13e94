import { defineCommand, flag } from '../../command/index.ts'
import { appContract } from '../contract.ts'
import { nodesOf, onEach, resultOf, targetOptions } from './targets.ts'

export const removeCommand = defineCommand({
  name: 'app remove',
  aliases: ['remove'],
  summary: 'Stop an app and remove it; its data stays',
  description:
    'Without --on and --all on the node that is spoken to. Its data/ folder is kept unless --purge is given.',
  arguments: [{ name: 'app', description: 'name of the app', complete: 'app' }],
  options: { ...targetOptions, purge: flag({ description: 'remove its data, too' }) },
  examples: [
    { does: 'on this node, keeping its data', words: 'app remove hello' },
    { does: 'everywhere, with its data', words: 'app remove hello --all --purge' },
  ],
  async run({ args, options, context }) {
    const nodes = await nodesOf(context, args.app, options, 'self')
    const input = { params: { app: args.app }, body: { purge: options.purge } }
    const outcomes = await onEach(context, nodes, (client) =>
      client.call(appContract.remove, input, { signal: context.signal }),
    )
    return resultOf(outcomes, ({ data_kept }) =>
      data_kept === null ? 'removed' : `removed; its data stays in ${data_kept}`,
    )
  },
})
