import { defineCommand, list, printable } from '../../command/index.ts'
import { memberContract, type NodeView } from '../contract.ts'

export const listCommand = defineCommand({
  name: 'node list',
  aliases: ['nodes'],
  summary: 'Nodes of the network and how they are reached',
  options: { on: list({ value: 'NODE', description: 'only this node, or nodes with these labels; may repeat' }) },
  examples: [
    { does: 'all nodes', words: 'nodes' },
    { does: 'those with a label', words: 'nodes --on site=home' },
    { does: 'names of the nodes that are up', words: 'nodes --json | jq -r \'.[] | select(.state != "down").name\'' },
  ],
  async run({ options, context }) {
    const client = await context.connect()
    const nodes = await client.call(memberContract.list, options.on.length === 0 ? {} : { query: { on: options.on } }, {
      signal: context.signal,
    })
    return {
      json: nodes,
      human: {
        columns: [
          { title: 'NAME' },
          { title: 'ROLE' },
          { title: 'STATE' },
          { title: 'PATH' },
          { title: 'RTT', align: 'right' },
          { title: 'VERSION' },
          { title: 'LABELS' },
        ],
        rows: nodes.map(rowOf),
      },
    }
  },
})

function rowOf(node: NodeView): string[] {
  const path = node.state === 'self' ? '-' : node.relayed === null ? '' : node.relayed ? 'relayed' : 'direct'
  const labels = Object.entries(node.labels).map(([key, value]) => `${key}=${value}`)
  return [
    `${printable(node.name)}${node.state === 'self' ? ' *' : ''}`,
    node.role,
    node.state === 'self' ? 'up' : node.state,
    path,
    node.latency_ms === null ? '' : `${Math.max(1, Math.round(node.latency_ms))} ms`,
    printable(node.version ?? ''),
    printable(labels.join(',')),
  ]
}
