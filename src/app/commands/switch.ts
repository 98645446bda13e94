import { defineCommand } from '../../command/index.ts'
import { appContract } from '../contract.ts'
import { nodesOf, onEach, resultOf, targetOptions } from './targets.ts'
import { describeState } from './words.ts'

export const switchCommand = defineCommand({
  name: 'app switch',
  summary: 'Run another installed version of an app',
  description:
    'Goes back by itself where that version is not healthy. Without --on and --all on the node that is spoken to.',
  arguments: [
    { name: 'app', description: 'name of the app', complete: 'app' },
    { name: 'version', description: 'an installed version' },
  ],
  options: targetOptions,
  examples: [
    { does: 'on this node', words: 'app switch hello 1.0.0' },
    { does: 'on two nodes', words: 'app switch hello 1.0.0 --on burrow-1 --on burrow-2' },
  ],
  async run({ args, options, context }) {
    const nodes = await nodesOf(context, args.app, options, 'self')
    const input = { params: { app: args.app }, body: { version: args.version } }
    const outcomes = await onEach(context, nodes, (client) =>
      client.call(appContract.switch, input, { signal: context.signal }),
    )
    return resultOf(outcomes, describeState)
  },
})
