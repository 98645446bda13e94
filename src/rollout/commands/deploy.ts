import { baseErrors } from '../../base/errors.ts'
import {
  type CommandContext,
  type CommandResult,
  defineCommand,
  duration,
  flag,
  integer,
  list,
  printable,
  type StreamLine,
  text,
} from '../../command/index.ts'
import { type RolloutPlan, rolloutContract } from '../contract.ts'
import { type DeployWords, deployLines, requestOf } from './flow.ts'
import { withPackage } from './package-file.ts'

export const deployCommand = defineCommand({
  name: 'deploy',
  summary: 'Send an app to nodes, start it there, and wait until it is healthy',
  description:
    'A folder is packed and signed first. The deploy is a signed document that the nodes carry out by themselves: wave after ' +
    'wave, each only when the ones before it are healthy. When a node fails, the nodes that are done go back to the version ' +
    'before. Ctrl-C ends the following, not the rollout. Exit code 1: not as asked for; 6: still going on at the time-out.',
  arguments: [{ name: 'package', description: 'package file or app folder', complete: 'file' }],
  options: {
    on: list({ value: 'NODE', description: 'a node, or nodes with these labels (site=home); may repeat' }),
    all: flag({ description: 'every node' }),
    batch: text({ value: 'N[,N…]', description: 'sizes of the waves, the last one repeats; default all at once' }),
    'max-unavailable': integer({ value: 'N', description: 'nodes that may be away or fail (default 0)' }),
    plan: flag({ description: 'show what would change and move nothing' }),
    timeout: duration({ value: 'TIME', description: 'wait at most so long (default 5m)' }),
    retries: integer({ value: 'N', description: 'further tries of a node that cannot be reached (default 3)' }),
    'retry-delay': duration({ value: 'TIME', description: 'pause between two tries (default 10s)' }),
    'no-rollback': flag({ description: 'keep the version on nodes that are done when others fail' }),
    as: text({ value: 'APP', description: 'name of the app on the nodes (default: the name of the package)' }),
  },
  examples: [
    { does: 'deploy a package to every node', words: 'deploy api-1.4.0.tar.gz --all' },
    { does: 'one node first, then two at a time', words: 'deploy ./api --on tier=web --batch 1,2' },
    { does: 'see what would change', words: 'deploy api-1.4.0.tar.gz --on site=home --plan' },
  ],
  run: ({ args, options, context }) => {
    const words: DeployWords = {
      on: options.on,
      all: options.all,
      batch: parseBatch(options.batch),
      maxUnavailable: options['max-unavailable'],
      rollback: !options['no-rollback'],
      retries: options.retries,
      retryDelayMs: options['retry-delay'],
      app: options.as,
      timeoutMs: options.timeout,
    }
    if (!words.all && words.on.length === 0) {
      throw baseErrors.usage('no target was given', { hint: 'Say where: --on NODE, --on LABEL=VALUE, or --all' })
    }
    if (options.plan) return plan(args.package, words, context)
    return withPackage(args.package, { context }, (found) => deployLines(context, { found, words }))
  },
})

/** `1,2` or `3`. Fails with `usage`. */
function parseBatch(text: string | undefined): number[] {
  if (text === undefined) return []
  const sizes = text.split(',').map((part) => (/^\d{1,4}$/.test(part.trim()) ? Number(part) : 0))
  if (sizes.every((size) => size > 0)) return sizes
  throw baseErrors.usage(`--batch ${text}: sizes are whole numbers from 1`, { hint: 'For example: --batch 1,2' })
}

async function plan(path: string, words: DeployWords, context: CommandContext): Promise<CommandResult> {
  const client = await context.connect()
  let result: CommandResult = { json: null }
  const asked = withPackage(path, { context }, async function* (found): AsyncGenerator<StreamLine> {
    const body = requestOf(found, words)
    const plan = await client.call(rolloutContract.plan, { body }, { signal: context.signal })
    result = { json: plan, human: planTable(plan) }
    yield {}
  })
  for await (const _ of asked);
  return result
}

function planTable(plan: RolloutPlan) {
  const { version } = plan.package
  return {
    columns: [{ title: 'WAVE' }, { title: 'NODE' }, { title: 'STATE' }, { title: 'NOW' }, { title: 'THEN' }],
    rows: plan.nodes.map(({ node, wave, state, current, change }) => [
      String(wave),
      printable(node),
      state,
      printable(current ?? '-'),
      change === 'none' ? 'unchanged' : printable(version),
    ]),
  }
}
