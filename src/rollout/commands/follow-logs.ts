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
    for await (const row of merge(streams)) {
      const name = context.style.dim(`${printable(row.node).padEnd(width)} │`)
      yield { json: row, human: `${name} ${printable(row.line)}` }
    }
  } catch (error) {
    if (!context.signal.aborted) throw error
  }
}

/** The items of all streams as they come; the first failure ends it. */
export async function* merge<T>(streams: readonly AsyncIterable<T>[]): AsyncGenerator<T> {
  const iterators = streams.map((stream) => stream[Symbol.asyncIterator]())
  const advance = (index: number) => (iterators[index] as AsyncIterator<T>).next().then((result) => ({ index, result }))
  const pending = new Map(iterators.map((_, index) => [index, advance(index)]))
  try {
    while (pending.size > 0) {
      const { index, result } = await Promise.race(pending.values())
      if (result.done === true) pending.delete(index)
      else {
        pending.set(index, advance(index))
        yield result.value
      }
    }
  } finally {
    // A stream that waits for its next line ends when the request is given up, not before: nobody waits for it here.
    for (const iterator of iterators) void iterator.return?.()?.catch(() => undefined)
    for (const last of pending.values()) last.catch(() => undefined)
  }
}
