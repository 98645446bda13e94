import { defineCommand, list, printable } from '../../command/index.ts'
import { type AppRow, appContract } from '../contract.ts'
import { describeAge, describePorts } from './words.ts'

/** Older than this, a row says when its node was heard last. */
const FRESH_MS = 90_000

export const listCommand = defineCommand({
  name: 'app list',
  aliases: ['list'],
  summary: 'Apps across the nodes',
  description: 'Answered at once from what each node said last; SEEN tells the age of the word of a node that is away.',
  options: { on: list({ value: 'NODE', description: 'only this node, or nodes with these labels; may repeat' }) },
  examples: [
    { does: 'every app on every node', words: 'list' },
    { does: 'one node', words: 'list --on burrow-2' },
    { does: 'what is not healthy', words: 'list --json | jq \'.[] | select(.health != "healthy")\'' },
  ],
  async run({ options, context }) {
    const client = await context.connect()
    const rows = await client.call(appContract.list, options.on.length === 0 ? {} : { query: { on: options.on } }, {
      signal: context.signal,
    })
    return {
      json: rows,
      human: {
        columns: [
          { title: 'NODE' },
          { title: 'APP' },
          { title: 'VERSION' },
          { title: 'STATUS' },
          { title: 'HEALTH' },
          { title: 'PID', align: 'right' },
          { title: 'UP', align: 'right' },
          { title: 'RESTARTS', align: 'right' },
          { title: 'PORTS' },
          { title: 'SEEN' },
        ],
        rows: rows.map(cellsOf),
        empty: 'No apps yet. Deploy one: warren deploy FOLDER --all',
      },
    }
  },
})

function cellsOf(row: AppRow): string[] {
  const { node, app, version, status, health, pid, since, restarts, ports, seen } = row
  const stale = Date.now() - Date.parse(seen) > FRESH_MS
  return [
    node,
    app,
    version ?? '-',
    status,
    health === 'none' ? '-' : health,
    pid === null ? '-' : String(pid),
    describeAge(since),
    String(restarts),
    describePorts(ports) || '-',
    stale ? `${describeAge(seen)} ago` : 'now',
  ].map(printable)
}
