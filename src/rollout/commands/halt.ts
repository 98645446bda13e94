import { defineCommand, flag, text } from '../../command/index.ts'
import { rolloutContract } from '../contract.ts'
import { describeStatus } from './status.ts'

export const haltCommand = defineCommand({
  name: 'rollout halt',
  summary: 'Stop a rollout before it reaches more nodes',
  description:
    'Nodes that are done keep the version, unless --revert is given. A halt is for good: deploy again instead.',
  arguments: [{ name: 'rollout', description: 'its id, or a unique start of it' }],
  options: {
    revert: flag({ description: 'nodes that are done go back to the version before' }),
    reason: text({ value: 'TEXT', description: 'why; shown with the rollout' }),
  },
  examples: [
    { does: 'let it reach no more nodes', words: 'rollout halt 5k2p' },
    { does: 'take it back everywhere', words: 'rollout halt 5k2p --revert --reason "wrong database"' },
  ],
  run: async ({ args, options, context }) => {
    const { signal } = context
    const client = await context.connect()
    const { id } = await client.call(rolloutContract.status, { params: { id: args.rollout } }, { signal })
    const local = await context.connectLocal()
    const { revert, reason } = options
    const body = { id, revert, ...(reason === undefined ? {} : { reason }) }
    const { envelope } = await local.call(rolloutContract.signHalt, { body }, { signal })
    const status = await client.call(rolloutContract.halt, { body: { envelope } }, { signal })
    return { json: status, human: describeStatus(status, context.style) }
  },
})
