import { defineCommand, printable } from '../../command/index.ts'
import { type AppStatus, appContract } from '../contract.ts'
import { nodesOf, onEach, resultOf, targetOptions } from './targets.ts'
import { describeAge, describePorts, describeState } from './words.ts'

export const statusCommand = defineCommand({
  name: 'app status',
  summary: 'All about an app on its nodes',
  description: 'Without --on on every node that has it.',
  arguments: [{ name: 'app', description: 'name of the app', complete: 'app' }],
  options: targetOptions,
  examples: [
    { does: 'on every node that has it', words: 'app status hello' },
    { does: 'on one', words: 'app status hello --on burrow-2' },
  ],
  async run({ args, options, context }) {
    const nodes = await nodesOf(context, args.app, options, 'all')
    const outcomes = await onEach(context, nodes, (client) =>
      client.call(appContract.status, { params: { app: args.app } }, { signal: context.signal }),
    )
    const { json, exitCode } = resultOf(outcomes, describeState)
    const blocks = outcomes.map((outcome) =>
      'error' in outcome
        ? `${printable(outcome.node)}  ✗ ${outcome.error.code}  ${printable(outcome.error.message)}`
        : describe(outcome.value),
    )
    return { json, human: blocks.join('\n\n'), exitCode: exitCode ?? 0 }
  },
})

function describe(status: AppStatus): string {
  const lines = [
    ['since', `${status.since} (${describeAge(status.since)} ago)`],
    ['package', `${status.package} ${status.version ?? '-'}  ${status.digest?.slice(0, 12) ?? ''}`],
    ['ports', describePorts(status.ports) || '-'],
    ['restarts', String(status.restarts)],
    ['kept by', status.placement],
    ...(status.pending === null ? [] : [['switching', `to ${status.pending}`]]),
    ...(status.exit === null ? [] : [['last exit', status.exit]]),
  ]
  return [
    `${status.node}  ${describeState(status)}`,
    ...lines.map(([name, value]) => `  ${(name as string).padEnd(9)}  ${value}`),
  ]
    .map(printable)
    .join('\n')
}
