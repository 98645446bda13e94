import { type CommandContext, defineCommand, printable } from '../../command/index.ts'
import { memberContract, type NodeInfo } from '../contract.ts'
import { describeGrant, describeLabels, describeTime, describeWhen, shortId } from './words.ts'

export const infoCommand = defineCommand({
  name: 'node info',
  summary: 'All that the network knows of a node',
  arguments: [{ name: 'node', description: 'name or id of the node', complete: 'node' }],
  examples: [
    { does: 'one node', words: 'node info pi' },
    { does: 'its peer id', words: 'node info pi --json | jq -r .id' },
  ],
  async run({ args, context }) {
    const client = await context.connect()
    const node = await client.call(memberContract.info, { params: { node: args.node } }, { signal: context.signal })
    return { json: node, human: describe(node, context) }
  },
})

function describe(node: NodeInfo, { style }: CommandContext): string {
  const state = node.waiting ? style.yellow('waits for an admin') : node.state === 'self' ? 'this node' : node.state
  const rows: [string, string | undefined][] = [
    ['id', node.id],
    ['version', node.version ?? undefined],
    ['path', pathOf(node)],
    ['seen', node.state === 'down' ? describeWhen(node.seen) : undefined],
    ['labels', describeLabels(node.labels) || undefined],
    ['expires', node.expires === null ? undefined : `${describeTime(node.expires)}, ${describeWhen(node.expires)}`],
    ...node.grants.map((grant): [string, string] => ['may also', describeGrant(grant)]),
    ['signs with', node.authority === null ? undefined : `authority key ${shortId(node.authority)}`],
    ['invited by', node.invited_by === null ? undefined : `${node.invited_by}, invite ${shortId(node.invite ?? '')}`],
    ['changed by', `${node.changed_by}, revision ${node.revision}`],
    ...node.addresses.map((address): [string, string] => ['address', address]),
  ]
  const confirm = `Confirm it, if you know it: warren node add ${node.name}`
  return [
    `${style.bold(printable(node.name))}  ${node.role}  ${state}`,
    ...rows
      .filter(([, value]) => value !== undefined)
      .map(([key, value]) => `${key.padEnd(10)} ${printable(value ?? '')}`),
    ...(node.waiting ? [printable(confirm)] : []),
  ].join('\n')
}

function pathOf({ relayed, latency_ms: latencyMs }: NodeInfo): string | undefined {
  if (relayed === null) return undefined
  const path = relayed ? 'relayed' : 'direct'
  return latencyMs === null ? path : `${path}, ${Math.max(1, Math.round(latencyMs))} ms`
}
