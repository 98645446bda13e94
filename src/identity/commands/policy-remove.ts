import { defineCommand } from '../../command/index.ts'
import { policyContract } from '../contract.ts'

/** `warren policy remove NAME` */
export const policyRemoveCommand = defineCommand({
  name: 'policy remove',
  summary: 'End a policy',
  arguments: [{ name: 'name', description: 'name of the policy' }],
  examples: [{ does: 'end the policy prod', words: 'policy remove prod' }],
  run: async ({ args, context }) => {
    const client = await context.connect()
    const input = { params: { name: args.name } }
    const { name } = await client.call(policyContract.remove, input, { signal: context.signal })
    return { json: { name, removed: true }, human: `policy ${name} removed` }
  },
})
