import { inOrderOfArrival } from '../../base/merge-streams.ts'
import { type CommandContext, printable, type StreamLine } from '../../command/index.ts'

/** The lines of an app on several nodes since it was started there and as they come, until Ctrl-C. Ends without an error then. */
export async function* followLogs(
  context: CommandContext,
  { app, nodes }: { app: string; nodes: readonly string[] },
): AsyncGenerator<StreamLine> {
  const { appContract } = await import('../../app/contract.ts')
  const width = Math.max(...nodes.map((node) => node.length))
  const open = async (node: string) => {
    const client = await context.connectTo(node)
    // By the clock of that node, which need not be right.
    const { since } = await client.call(appContract.status, { params: { app } }, { signal: context.signal })
    const query = { follow: 'true', since: Date.parse(since) } as const
    return client.stream(appContract.logs, { params: { app }, query }, { signal: context.signal })
  }
  try {
    const streams = await Promise.all(nodes.map(open))
    for await (const { cursor: _cursor, ...row } of inOrderOfArrival(streams)) {
      const name = context.style.dim(`${printable(row.node).padEnd(width)} │`)
      yield { json: row, human: `${name} ${printable(row.line)}` }
    }
  } catch (error) {
    if (!context.signal.aborted) throw error
  }
}
