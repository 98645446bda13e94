import { baseErrors } from '../../base/errors.ts'
import { type CommandContext, defineCommand, list, type StreamLine, text } from '../../command/index.ts'
import type { RolloutEnd } from '../contract.ts'
import { type DeployWords, deployLines } from './flow.ts'
import { followLogs } from './follow-logs.ts'
import { withPackage } from './package-file.ts'
import { acceptStale, key } from './strategy-options.ts'

export const runCommand = defineCommand({
  name: 'run',
  summary: 'Pack a folder, deploy it and follow its logs',
  description:
    'Packs the folder as VERSION-dev.TIME, so that each run is a version of its own, signs it, deploys it to the targets ' +
    '(default: the node that is spoken to) and follows its output. Ctrl-C ends the following; the app goes on.',
  arguments: [
    { name: 'folder', description: 'app folder; default the current one', optional: true, complete: 'folder' },
  ],
  options: {
    on: list({ value: 'NODE', description: 'a node, or nodes with these labels (site=home); may repeat' }),
    as: text({ value: 'APP', description: 'name of the app on the nodes (default: the name of the package)' }),
    'accept-stale': acceptStale,
    key,
  },
  examples: [
    { does: 'run the app in this folder on this node', words: 'run' },
    { does: 'run it on the nodes at home', words: 'run ./api --on site=home' },
  ],
  run: ({ args, options, context }) => runFolder(args.folder ?? '.', options, context),
})

interface RunWords {
  readonly on: readonly string[]
  readonly as: string | undefined
  readonly 'accept-stale': boolean
  readonly key: string | undefined
}

async function* runFolder(
  folder: string,
  { on, as, 'accept-stale': accept, key: keyFile }: RunWords,
  context: CommandContext,
): AsyncGenerator<StreamLine> {
  const words: DeployWords = {
    on: on.length > 0 ? on : [await spokenNode(context)],
    all: false,
    batch: [],
    maxUnavailable: undefined,
    rollback: true,
    acceptStale: accept,
    retries: undefined,
    retryDelayMs: undefined,
    app: as,
    timeoutMs: undefined,
  }
  let end: RolloutEnd | undefined
  const versionOf = (version: string): string => developmentVersion(version, new Date())
  yield* withPackage(folder, { context, versionOf, key: keyFile }, (found) =>
    deployLines(context, {
      found,
      words,
      onEnd: (last) => {
        end = last
      },
    }),
  )
  const nodes = end?.results.filter(({ ok }) => ok).map(({ node }) => node) ?? []
  if (end === undefined || nodes.length === 0) return
  yield* followLogs(context, { app: end.app, nodes })
  context.say(`${end.app} goes on; see more of it: warren logs ${end.app} --follow`)
}

/**
 * `1.4.0-dev.20260301120000`: below the release it leads to, above every earlier run, and never the same twice. Build
 * metadata is left out, since versions that differ in it alone are equal.
 */
export function developmentVersion(version: string, now: Date): string {
  const stamp = now.toISOString().replaceAll(/\D/g, '').slice(0, 14)
  return `${version.replace(/\+.*$/, '')}-dev.${stamp}`
}

async function spokenNode(context: CommandContext): Promise<string> {
  const { memberContract } = await import('../../member/contract.ts')
  const client = await context.connect()
  const nodes = await client.call(memberContract.list, {}, { signal: context.signal })
  const self = nodes.find(({ state }) => state === 'self')
  if (self !== undefined) return self.id
  throw baseErrors.usage('no target was given, and the node of a deploy token runs nothing', {
    hint: 'Say where: --on NODE, or --on LABEL=VALUE',
  })
}
