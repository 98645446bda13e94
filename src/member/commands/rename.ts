import { defineCommand, printable } from '../../command/index.ts'
import { memberContract } from '../contract.ts'

export const renameCommand = defineCommand({
  name: 'node rename',
  summary: 'Give a node another name',
  arguments: [
    { name: 'node', description: 'name or id of the node', complete: 'node' },
    { name: 'name', description: 'its new name: letters, digits and hyphens' },
  ],
  examples: [{ does: 'call pi kitchen', words: 'node rename pi kitchen' }],
  async run({ args, context }) {
    const client = await context.connect()
    const input = { params: { node: args.node }, body: { name: args.name } }
    const node = await client.call(memberContract.rename, input, { signal: context.signal })
    return { json: node, human: `${printable(args.node)} is named ${printable(node.name)}` }
  },
})
