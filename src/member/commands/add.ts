import { choice, defineCommand, duration, list, text } from '../../command/index.ts'
import { ADDED_ROLES, memberContract } from '../contract.ts'
import { parseLabels } from './labels.ts'
import { describeRights } from './words.ts'

export const addCommand = defineCommand({
  name: 'node add',
  summary: 'Add a node by its id, or confirm one that waits',
  description:
    'For a machine whose network key was copied there by hand; the ordinary way in is warren invite. A node waits where more machines joined by an invite than it allows: look whether you know it, then confirm it.',
  arguments: [
    { name: 'node', description: 'peer id of a machine, or the name of a node that waits', complete: 'node' },
  ],
  options: {
    name: text({ value: 'NAME', description: 'name in the network' }),
    role: choice(ADDED_ROLES, { description: 'role of the node (default: member)' }),
    label: list({ value: 'KEY=VALUE', description: 'label of the node; may repeat' }),
    expires: duration({ description: 'how long it is a member, such as 30d (default: for good)' }),
  },
  examples: [
    {
      does: 'add a machine by its id',
      words: 'node add 12D3KooWQYhTNQdmr3ArTeUHRYzFg94BKyTkoWBDWez9kSCVe2Xo --name pi',
    },
    { does: 'confirm a node that waits', words: 'node add pi-2' },
    { does: 'a guest for a month', words: 'node add guest-1 --role viewer --expires 30d' },
  ],
  async run({ args, options, context }) {
    const client = await context.connect()
    const body = {
      node: args.node,
      ...(options.name === undefined ? {} : { name: options.name }),
      ...(options.role === undefined ? {} : { role: options.role }),
      ...(options.label.length === 0 ? {} : { labels: parseLabels(options.label) }),
      ...(options.expires === undefined ? {} : { expires_in_ms: options.expires }),
    }
    const node = await client.call(memberContract.add, { body }, { signal: context.signal })
    return { json: node, human: describeRights(node) }
  },
})
