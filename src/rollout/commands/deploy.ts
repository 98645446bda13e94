import { baseErrors } from '../../base/errors.ts'
import { defineCommand } from '../../command/index.ts'
import { deployLines } from './flow.ts'
import { withPackage } from './package-file.ts'
import { showPlan } from './show-plan.ts'
import { strategyOptions, targetOptions, wordsOf } from './strategy-options.ts'

export const deployCommand = defineCommand({
  name: 'deploy',
  aliases: ['rollout start'],
  summary: 'Send an app to nodes, start it there, and wait until it is healthy',
  description:
    'A folder is packed and signed first. The deploy is a signed document that the nodes carry out by themselves: wave after\n' +
    'wave, each only when the ones before it are healthy. When the new version fails on a node, the nodes that are done go\n' +
    'back to the version before; a node that cannot begin (away, no trust, no space) stops the waves and reverts nothing.\n' +
    'Ctrl-C ends the following, not the rollout. Exit code 1: not as asked for; 6: still going on at the time-out.',
  arguments: [{ name: 'package', description: 'package file or app folder', complete: 'file' }],
  options: { ...targetOptions, ...strategyOptions },
  examples: [
    { does: 'deploy a package to every node', words: 'deploy api-1.4.0.tar.gz --all' },
    { does: 'one node first, then two at a time', words: 'deploy ./api --on tier=web --batch 1,2' },
    { does: 'see what would change', words: 'deploy api-1.4.0.tar.gz --on site=home --plan' },
    { does: 'in a CI job, with WARREN_TOKEN set', words: 'deploy ./api --key ci.key --on site=home' },
  ],
  run: ({ args, options, context }) => {
    const words = wordsOf(options, options)
    if (!words.all && words.on.length === 0) {
      throw baseErrors.usage('no target was given', { hint: 'Say where: --on NODE, --on LABEL=VALUE, or --all' })
    }
    if (options.plan) return showPlan(args.package, words, { context, key: options.key })
    return withPackage(args.package, { context, key: options.key }, (found) => deployLines(context, { found, words }))
  },
})
