import { type CommandContext, defineCommand, type StreamLine } from '../../command/index.ts'
import { rolloutErrors } from '../errors.ts'
import { type DeployWords, deployLines } from './flow.ts'
import { type Packing, withPackage } from './package-file.ts'
import { showPlan } from './show-plan.ts'
import { strategyOptions, wordsOf } from './strategy-options.ts'

const { as: _as, ...options } = strategyOptions

export const upgradeCommand = defineCommand({
  name: 'app upgrade',
  summary: 'Deploy another version of an app to the nodes that have it',
  description: 'As deploy, with the nodes that have the app as its targets.',
  arguments: [
    { name: 'app', description: 'name of the app', complete: 'app' },
    { name: 'package', description: 'package file or app folder', complete: 'file' },
  ],
  options,
  examples: [{ does: 'wherever it runs, one node first', words: 'app upgrade api api-1.5.0.tar.gz --batch 1,2' }],
  run: ({ args, options: chosen, context }) => {
    const words = async () =>
      wordsOf({ ...chosen, as: args.app }, { on: await nodesWith(args.app, context), all: false })
    if (chosen.plan) return words().then((found) => showPlan(args.package, found, { context, key: chosen.key }))
    return upgrade(args.package, words, { context, key: chosen.key })
  },
})

async function* upgrade(path: string, words: () => Promise<DeployWords>, packing: Packing): AsyncGenerator<StreamLine> {
  const chosen = await words()
  yield* withPackage(path, packing, (found) => deployLines(packing.context, { found, words: chosen }))
}

async function nodesWith(app: string, context: CommandContext): Promise<string[]> {
  const { appContract } = await import('../../app/contract.ts')
  const client = await context.connect()
  const rows = await client.call(appContract.list, {}, { signal: context.signal })
  const nodes = rows.filter((row) => row.app === app).map(({ node }) => node)
  if (nodes.length > 0) return nodes
  throw rolloutErrors.app_nowhere(`no node has an app "${app}"`, {
    hint: 'See what is there: warren list    Or deploy it first: warren deploy PACKAGE --all',
  })
}
