import { defineCommand, list, printable } from '../../command/index.ts'
import { memberContract, type NodeView } from '../contract.ts'
import { describeLabels, describeWhen } from './words.ts'

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
    for (const { name } of nodes.filter(({ waiting }) => waiting)) {
      context.say(
        `${printable(name)} waits: if you know it, warren node add ${printable(name)}; if not, warren node remove`,
      )
    }
    const someWhy = nodes.some(({ why }) => why !== null)
    const someExpire = nodes.some(({ expires }) => expires !== null)
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
          ...(someExpire ? [{ title: 'EXPIRES' }] : []),
          { title: 'LABELS' },
          ...(someWhy ? [{ title: 'WHY NOT DIRECT' }] : []),
        ],
        rows: nodes.map((node) => rowOf(node, { someExpire, someWhy })),
      },
    }
  },
})

function rowOf(node: NodeView, { someExpire, someWhy }: { someExpire: boolean; someWhy: boolean }): string[] {
  const path = node.state === 'self' ? '-' : printable(node.path ?? '')
  return [
    `${printable(node.name)}${node.state === 'self' ? ' *' : ''}`,
    node.role,
    node.waiting ? 'waiting' : node.state === 'self' ? 'up' : node.state,
    path,
    node.latency_ms === null ? '' : `${Math.max(1, Math.round(node.latency_ms))} ms`,
    printable(node.version ?? ''),
    ...(someExpire ? [node.expires === null ? '' : describeWhen(node.expires)] : []),
    describeLabels(node.labels),
    ...(someWhy ? [printable(node.why ?? '')] : []),
  ]
}
