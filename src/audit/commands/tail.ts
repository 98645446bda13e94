import { parseDuration } from '../../base/durations.ts'
import { type CommandContext, defineCommand, flag, integer, printable, text } from '../../command/index.ts'
import { type AuditRow, auditContract } from '../contract.ts'
import { auditErrors } from '../errors.ts'
import { fileOption, offlineFile, offlineNames } from './offline-log.ts'

/** Entries that are shown where nothing else is asked for, and with --follow. */
const DEFAULT_TAIL = 50
const FOLLOW_TAIL = 10
const PEER_ID = /12D3KooW[1-9A-HJ-NP-Za-km-z]{44}/g

interface Selection {
  readonly follow: boolean
  readonly tail: number | undefined
  readonly since: number | undefined
}

export const tailCommand = defineCommand({
  name: 'audit tail',
  aliases: ['audit'],
  summary: 'What was decided and changed on a node, by whom',
  description:
    'Every decision on trust, allowed and refused, and every change; oldest first. Without a running daemon the file is read.',
  options: {
    follow: flag({ short: 'f', description: 'go on with new entries until Ctrl-C' }),
    tail: integer({
      short: 'n',
      value: 'N',
      description: `only the last N entries (without --since ${DEFAULT_TAIL}, with --follow ${FOLLOW_TAIL})`,
    }),
    since: text({ value: 'TIME', description: 'only entries since then: 1h (ago), or 2026-01-31T08:00:00Z' }),
    file: fileOption,
  },
  examples: [
    { does: 'the last fifty entries', words: 'audit' },
    { does: 'what is decided as it happens', words: 'audit tail -f' },
    {
      does: 'what was refused in the last hour',
      words: `audit tail --since 1h --json | jq 'select(.outcome == "refused")'`,
    },
  ],
  async *run({ options, context }) {
    const since = options.since === undefined ? undefined : parseSince(options.since)
    const fallback = options.follow ? FOLLOW_TAIL : DEFAULT_TAIL
    const tail = options.tail ?? (since === undefined ? fallback : undefined)
    for await (const row of rowsOf(context, { follow: options.follow, tail, since }, options.file)) {
      yield { json: row, human: describe(row, context) }
    }
  },
})

async function* rowsOf(
  context: CommandContext,
  { follow, tail, since }: Selection,
  file: string | undefined,
): AsyncGenerator<AuditRow> {
  let error: unknown
  if (file === undefined) {
    try {
      const client = await context.connect()
      const query = {
        follow,
        ...(tail === undefined ? {} : { tail }),
        ...(since === undefined ? {} : { since }),
      }
      yield* client.stream(auditContract.list, { query }, { signal: context.signal })
      return
    } catch (thrown) {
      if (follow) throw thrown
      error = thrown
    }
  }
  const found = await offlineFile(context, { file, error })
  const nameOf = await offlineNames(context)
  const { readOffline } = await import('../offline.ts')
  for await (const entry of readOffline(found, { tail, sinceMs: since, signal: context.signal })) {
    yield { ...entry, detail: { ...entry.detail }, by_name: entry.by === null ? null : nameOf(entry.by) }
  }
}

function describe(row: AuditRow, { style }: CommandContext): string {
  const { time, outcome, what, subject, reason, count, by_name } = row
  const colour = outcome === 'allowed' || outcome === 'done' ? style.green : style.red
  const who = shorten(printable(by_name ?? '-'))
  const times = count === undefined ? '' : style.yellow(` ×${count}`)
  const why = reason === undefined ? '' : style.dim(`  ${printable(reason)}`)
  return `${style.dim(`${time.slice(0, 10)} ${time.slice(11, 19)}`)}  ${colour(printable(outcome).padEnd(7))}  ${printable(what).padEnd(11)}  ${style.cyan(who.padEnd(16))}  ${shortenIds(printable(subject))}${times}${shortenIds(why)}`
}

/** An id without a name tells enough by its end: all begin alike. */
function shorten(name: string): string {
  return name.length > 40 ? `…${name.slice(-8)}` : name
}

function shortenIds(text: string): string {
  return text.replaceAll(PEER_ID, (id) => `…${id.slice(-8)}`)
}

function parseSince(value: string): number {
  const ago = parseDuration(value)
  const at = ago === undefined ? Date.parse(value) : Date.now() - ago
  if (Number.isNaN(at)) {
    throw auditErrors.audit_time_invalid(`"${value}" is not a time`, {
      hint: 'Write --since 1h, or --since 2026-01-31T08:00:00Z',
    })
  }
  return at
}
