import { formatDuration } from '../../base/durations.ts'
import { defineCommand, printable } from '../../command/index.ts'
import { daemonContract } from '../contract.ts'

export const statusCommand = defineCommand({
  name: 'daemon status',
  aliases: ['status'],
  summary: 'This node at a glance',
  examples: [
    { does: 'the own node', words: 'status' },
    { does: 'another node', words: '--node burrow-2 status' },
    { does: 'for a script', words: 'status --json' },
  ],
  async run({ context }) {
    const client = await context.connect()
    const status = await client.call(daemonContract.status, {}, { signal: context.signal })
    const { bold } = context.style
    const lines = [
      `${bold(status.name)}  ${status.role}  ${status.state}`,
      `id         ${status.id}`,
      `network    ${status.network}`,
      `version    ${status.version}`,
      `daemon     pid ${status.pid}, up ${formatDuration(status.uptime_seconds * 1000)}`,
      `peers      ${status.peers} connected`,
      `apps       ${status.apps}, kept by ${status.placement}`,
      ...status.addresses.map((address, index) => `${index === 0 ? 'listens' : '       '}    ${address}`),
      ...status.problems.map((problem) => `${context.style.yellow('look at')}    ${printable(problem)}`),
    ]
    return { json: status, human: lines.join('\n') }
  },
})
