import { defineCommand, printable, type Style } from '../../command/index.ts'
import { type RolloutStatus, rolloutContract } from '../contract.ts'
import { dot } from './view.ts'

export const statusCommand = defineCommand({
  name: 'rollout status',
  summary: 'One rollout, node by node',
  arguments: [{ name: 'rollout', description: 'its id, or a unique start of it' }],
  examples: [{ does: 'see how far a rollout is', words: 'rollout status 5k2p' }],
  run: async ({ args, context }) => {
    const client = await context.connect()
    const status = await client.call(
      rolloutContract.status,
      { params: { id: args.rollout } },
      { signal: context.signal },
    )
    return { json: status, human: describeStatus(status, context.style) }
  },
})

/** A rollout for people: a line for it and one for each node. */
export function describeStatus(status: RolloutStatus, style: Style): string {
  const { short, app, state, author, reason, waves } = status
  const head = [`rollout ${short}  ${style.bold(`${printable(app)} ${printable(status.package.version)}`)}  ${state}`]
  if (reason !== null) head.push(printable(reason))
  head.push(`by ${printable(author)}`)
  if (waves.length > 1) head.push(`${waves.length} waves`)
  const lines = status.results.map((result) => {
    const phase = result.state === 'working' && result.phase !== null ? ` (${result.phase})` : ''
    const why = result.reason === undefined ? '' : `: ${printable(result.reason)}`
    const wave = waves.length > 1 ? `wave ${result.wave}  ` : ''
    return `  ${wave}${dot(result, style)}${phase}${why}`
  })
  return [head.join('  '), ...lines].join('\n')
}
