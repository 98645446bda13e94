import { defineCommand } from '../../command/index.ts'
import { appContract } from '../contract.ts'
import { nodesOf, onEach, resultOf, targetOptions } from './targets.ts'
import { describeState } from './words.ts'

export const restartCommand = defineCommand({
  name: 'app restart',
  aliases: ['restart'],
  summary: 'Stop an app and start it again',
  description: 'Without --on and --all on the node that is spoken to.',
  arguments: [{ name: 'app', description: 'name of the app', complete: 'app' }],
  options: targetOptions,
  examples: [
    { does: 'on this node', words: 'app restart hello' },
    { does: 'wherever it is installed', words: 'app restart hello --all' },
  ],
  async run({ args, options, context }) {
    const nodes = await nodesOf(context, args.app, options, 'self')
    const outcomes = await onEach(context, nodes, (client) =>
      client.call(appContract.restart, { params: { app: args.app } }, { signal: context.signal }),
    )
    return resultOf(outcomes, describeState)
  },
})
