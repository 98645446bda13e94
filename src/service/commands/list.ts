import { defineCommand, printable } from '../../command/index.ts'
import { serviceContract } from '../contract.ts'

/** Exit code where the one node that was asked did not answer. */
const SILENT_EXIT = 6

export const listCommand = defineCommand({
  name: 'service list',
  aliases: ['services'],
  summary: 'Services of the connected nodes',
  description:
    'Each node is asked now, and those that did not answer within 3 s are named. WHO MAY are roles and names, besides admins and those with a grant; YOU tells whether this node may connect.',
  arguments: [{ name: 'node', description: 'only of this node', optional: true, complete: 'node' }],
  examples: [
    { does: 'what there is', words: 'services' },
    { does: 'of one node', words: 'services office' },
  ],
  async run({ args, context }) {
    const client = await context.connect()
    // With `--node` the node that answers tells of itself.
    const query =
      context.remote && args.node === undefined ? { own: true } : args.node === undefined ? {} : { node: args.node }
    const answer = await client.call(serviceContract.list, { query }, { signal: context.signal })
    for (const { node, reason } of answer.silent) context.say(`${printable(node)}  ✗ no answer: ${printable(reason)}`)
    const failed = args.node !== undefined && answer.silent.length > 0
    return {
      json: answer,
      human: {
        columns: [
          { title: 'NODE' },
          { title: 'SERVICE' },
          { title: 'KIND' },
          { title: 'TARGET' },
          { title: 'WHO MAY' },
          { title: 'YOU' },
        ],
        rows: answer.services.map(({ node, name, kind, target, to, allowed }) =>
          [node, name, kind, target ?? '-', to.join(', '), allowed ? 'yes' : 'no'].map(printable),
        ),
        empty: failed ? 'No answer.' : emptyOf(args.node),
      },
      ...(failed ? { exitCode: SILENT_EXIT } : {}),
    }
  },
})

function emptyOf(node: string | undefined): string {
  const none = node === undefined ? 'No services.' : printable(`${node} exposes no services.`)
  return `${none} Expose one${node === undefined ? '' : ' there'}: warren expose NAME PORT`
}
