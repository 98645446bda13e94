import { inOrderOfArrival } from '../../base/merge-streams.ts'
import { type CommandContext, printable, type StreamLine } from '../../command/index.ts'

/** Lines of the last run that are shown before the new ones. */
const TAIL_LINES = 10

/** The lines of an app on several nodes as they come, until Ctrl-C. Ends without an error then. */
export async function* followLogs(
  context: CommandContext,
  { app, nodes }: { app: string; nodes: readonly string[] },
): AsyncGenerator<StreamLine> {
  const { appContract } = await import('../../app/contract.ts')
  const width = Math.max(...nodes.map((node) => node.length))
  const open = async (node: string) => {
    const client = await context.connectTo(node)
    const query = { follow: 'true', tail: TAIL_LINES } as const
    return client.stream(appContract.logs, { params: { app }, query }, { signal: context.signal })
  }
  try {
    const streams = await Promise.all(nodes.map(open))
    for await (const row of inOrderOfArrival(streams)) {
      const name = context.style.dim(`${printable(row.node).padEnd(width)} │`)
      yield { json: row, human: `${name} ${printable(row.line)}` }
    }
  } catch (error) {
    if (!context.signal.aborted) throw error
  }
}
