import { defineCommand } from '../../command/index.ts'
import { trustContract } from '../contract.ts'

export const trustRotateKeyCommand = defineCommand({
  name: 'trust rotate-key',
  summary: 'Change the network key',
  description:
    'Members hand the new key to one another; those that are away get it when they are back. Removing a node does it by itself.',
  examples: [{ does: 'somebody may have seen keys/network.key', words: 'trust rotate-key' }],
  async run({ context }) {
    const client = await context.connect()
    const rotated = await client.call(trustContract.rotateKey, {}, { signal: context.signal })
    return { json: rotated, human: `the network key is now number ${rotated.network_key}` }
  },
})
