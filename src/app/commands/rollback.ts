import { defineCommand } from '../../command/index.ts'
import { appContract } from '../contract.ts'
import { nodesOf, onEach, resultOf, targetOptions } from './targets.ts'
import { describeState } from './words.ts'

export const rollbackCommand = defineCommand({
  name: 'app rollback',
  aliases: ['rollback'],
  summary: 'Run the version of an app that was active before',
  description: 'Without --on and --all on the node that is spoken to.',
  arguments: [{ name: 'app', description: 'name of the app', complete: 'app' }],
  options: targetOptions,
  examples: [
    { does: 'on this node', words: 'app rollback hello' },
    { does: 'wherever it is installed', words: 'app rollback hello --all' },
  ],
  async run({ args, options, context }) {
    const nodes = await nodesOf(context, args.app, options, 'self')
    const outcomes = await onEach(context, nodes, (client) =>
      client.call(appContract.rollback, { params: { app: args.app } }, { signal: context.signal }),
    )
    return resultOf(outcomes, describeState)
  },
})
