import { defineCommand } from '../../command/index.ts'
import { appContract } from '../contract.ts'
import { nodesOf, onEach, resultOf, targetOptions } from './targets.ts'
import { describeState } from './words.ts'

export const startCommand = defineCommand({
  name: 'app start',
  aliases: ['start'],
  summary: 'Start an app that was stopped',
  description: 'Without --on and --all on the node that is spoken to.',
  arguments: [{ name: 'app', description: 'name of the app', complete: 'app' }],
  options: targetOptions,
  examples: [
    { does: 'on this node', words: 'app start hello' },
    { does: 'wherever it is installed', words: 'app start hello --all' },
  ],
  async run({ args, options, context }) {
    const nodes = await nodesOf(context, args.app, options, 'self')
    const outcomes = await onEach(context, nodes, (client) =>
      client.call(appContract.start, { params: { app: args.app } }, { signal: context.signal }),
    )
    return resultOf(outcomes, describeState)
  },
})
