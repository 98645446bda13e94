import type { ApiClient } from '../../api/index.ts'
import { parseDuration } from '../../base/durations.ts'
import { toWarrenError } from '../../base/errors.ts'
import { inOrderOfArrival, inOrderOfTime } from '../../base/merge-streams.ts'
import {
  type CommandContext,
  defineCommand,
  flag,
  integer,
  printable,
  type StreamLine,
  text,
} from '../../command/index.ts'
import { appContract, type LogRow } from '../contract.ts'
import { appErrors } from '../errors.ts'

import { nodesOf, targetOptions } from './targets.ts'

/** Lines that `--follow` shows of what is there, where no number is asked for. */
const FOLLOW_TAIL = 10

export const logsCommand = defineCommand({
  name: 'app logs',
  aliases: ['logs'],
  summary: 'Lines that an app wrote, from every node that runs it',
  description: 'Lines of several nodes are merged in the order of time; with --follow, new ones as they come.',
  arguments: [{ name: 'app', description: 'name of the app', complete: 'app' }],
  options: {
    ...targetOptions,
    follow: flag({ short: 'f', description: 'go on with new lines until Ctrl-C' }),
    tail: integer({
      short: 'n',
      value: 'N',
      description: `only the last N lines of each node (with --follow: ${FOLLOW_TAIL})`,
    }),
    since: text({ value: 'TIME', description: 'only lines since then: 10m (ago), or 2026-01-31T08:00:00Z' }),
    stderr: flag({ description: 'only standard error' }),
  },
  examples: [
    { does: 'everything that is kept', words: 'logs hello' },
    { does: 'follow it on two nodes', words: 'logs hello -f --on burrow-1 --on burrow-2' },
    { does: 'the last ten minutes of standard error', words: 'logs hello --since 10m --stderr' },
  ],
  async *run({ args, options, context }) {
    const nodes = await nodesOf(context, args.app, options, 'all')
    const tail = options.tail ?? (options.follow && options.since === undefined ? FOLLOW_TAIL : undefined)
    const since = options.since === undefined ? undefined : parseSince(options.since)
    const query = {
      follow: String(options.follow) as 'true' | 'false',
      stderr: String(options.stderr) as 'true' | 'false',
      ...(tail === undefined ? {} : { tail }),
      ...(since === undefined ? {} : { since }),
    }
    let failed = 0
    const sources = nodes.map((node) =>
      linesOf(context, node, {
        open: (client) =>
          client.stream(appContract.logs, { params: { app: args.app }, query }, { signal: context.signal }),
        onFailure: (message) => {
          failed++
          context.say(`${printable(node)}  ✗ ${printable(message)}`)
        },
        alone: nodes.length === 1,
      }),
    )
    const width = Math.max(...nodes.map((node) => node.length))
    const merged = options.follow ? inOrderOfArrival(sources) : inOrderOfTime(sources, ({ time }) => time)
    for await (const { cursor: _cursor, ...row } of merged)
      yield { json: row, human: describe(row, { width, alone: nodes.length === 1, context }) }
    if (failed > 0) yield { exitCode: 6 } satisfies StreamLine
  },
})

interface Source {
  readonly open: (client: ApiClient) => AsyncIterable<LogRow>
  readonly onFailure: (message: string) => void
  /** Nothing else is shown: its failure is the command's. */
  readonly alone: boolean
}

async function* linesOf(
  context: CommandContext,
  node: string,
  { open, onFailure, alone }: Source,
): AsyncGenerator<LogRow> {
  try {
    // A node speaks for itself, whatever name it writes.
    for await (const row of open(await context.connectTo(node))) yield { ...row, node }
  } catch (error) {
    if (alone || context.signal.aborted) throw error
    onFailure(toWarrenError(error).message)
  }
}

function describe(
  row: Omit<LogRow, 'cursor'>,
  { width, alone, context }: { width: number; alone: boolean; context: CommandContext },
): string {
  const { style } = context
  const time = style.dim(row.time.slice(11, 19))
  const line = row.stream === 'stderr' ? style.yellow(printable(row.line)) : printable(row.line)
  return alone ? `${time} ${line}` : `${time} ${style.cyan(printable(row.node).padEnd(width))} │ ${line}`
}

function parseSince(text: string): number {
  const ago = parseDuration(text)
  const at = ago === undefined ? Date.parse(text) : Date.now() - ago
  if (Number.isNaN(at))
    throw appErrors.time_invalid(`"${text}" is not a time`, {
      hint: 'Write --since 10m, or --since 2026-01-31T08:00:00Z',
    })
  return at
}
