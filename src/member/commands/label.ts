import { defineCommand, printable } from '../../command/index.ts'
import { memberContract } from '../contract.ts'
import { parseLabelChange } from './labels.ts'
import { describeLabels } from './words.ts'

export const labelCommand = defineCommand({
  name: 'node label',
  summary: 'Set and remove labels of a node',
  arguments: [
    { name: 'node', description: 'name or id of the node', complete: 'node' },
    { name: 'labels', description: 'site=home sets a label, site- removes it', rest: true },
  ],
  examples: [
    { does: 'set a label', words: 'node label pi site=home' },
    { does: 'set one and remove another', words: 'node label pi tier=web test-' },
  ],
  async run({ args, context }) {
    const client = await context.connect()
    const input = { params: { node: args.node }, body: parseLabelChange(args.labels) }
    const node = await client.call(memberContract.label, input, { signal: context.signal })
    const labels = describeLabels(node.labels)
    return { json: node, human: `${printable(node.name)}: ${labels === '' ? 'no labels' : labels}` }
  },
})
