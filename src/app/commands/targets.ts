import type { ApiClient } from '../../api/index.ts'
import { toWarrenError, type WarrenError } from '../../base/errors.ts'
import { mapLimited } from '../../base/wait.ts'
import { type CommandContext, type CommandResult, flag, list, printable, type Table } from '../../command/index.ts'
import { memberContract } from '../../member/contract.ts'
import { appContract } from '../contract.ts'
import { appErrors } from '../errors.ts'

/** Nodes asked at once; each is one stream through the own daemon. */
const AT_ONCE = 16

/** `--on` and `--all`, the same on every command that has targets. */
export const targetOptions = {
  on: list({ value: 'NODE', description: 'on this node, or on nodes with these labels (site=home); may repeat' }),
  all: flag({ description: 'on every node that has the app' }),
}

export interface Targets {
  readonly on: readonly string[]
  readonly all: boolean
}

/** What came of it on one node. */
export type Outcome<T> =
  | { readonly node: string; readonly value: T }
  | { readonly node: string; readonly error: WarrenError }

/**
 * Names of the nodes that are meant and have the app, by what they said last. Without `--on` and `--all` those that
 * `fallback` says: the node that is spoken to, or every one that has it. Fails with `app_not_found`, `node_not_found`.
 */
export async function nodesOf(
  context: CommandContext,
  app: string,
  { on, all }: Targets,
  fallback: 'self' | 'all',
): Promise<string[]> {
  const { signal } = context
  const toSelf = on.length === 0 && !all && fallback === 'self'
  // A right on this app alone does not open that node's list of nodes.
  if (toSelf && context.node !== undefined) return [context.node]
  const client = await context.connect()
  if (toSelf) {
    const nodes = await client.call(memberContract.list, {}, { signal })
    return nodes.filter(({ state }) => state === 'self').map(({ name }) => name)
  }
  const rows = await client.call(appContract.list, on.length === 0 ? {} : { query: { on: [...on] } }, { signal })
  const found = rows.filter((row) => row.app === app).map(({ node }) => node)
  if (found.length > 0) return found
  const where = on.length === 0 ? 'in this network' : `on ${on.join(', ')}`
  throw appErrors.app_not_found(`no app "${app}" ${where}`, { hint: 'See what is there: warren list' })
}

/** Does the work on each node at once, as far as it goes; one that fails does not keep the others from it. */
export async function onEach<T>(
  context: CommandContext,
  nodes: readonly string[],
  work: (client: ApiClient, node: string) => Promise<T>,
): Promise<Outcome<T>[]> {
  return await mapLimited(nodes, AT_ONCE, async (node) => {
    try {
      return { node, value: await work(await context.connectTo(node), node) }
    } catch (error) {
      if (context.signal.aborted) throw error
      return { node, error: toWarrenError(error) }
    }
  })
}

/**
 * The result of a command that did something on nodes: on one node its own failure; on several a table, and exit code 1
 * where any failed.
 */
export function resultOf<T extends object>(outcomes: readonly Outcome<T>[], tell: (value: T) => string): CommandResult {
  const [only] = outcomes
  if (outcomes.length === 1 && only !== undefined && 'error' in only) throw only.error
  const human: Table = {
    columns: [{ title: 'NODE' }, { title: 'RESULT' }],
    rows: outcomes.map((outcome) => [
      printable(outcome.node),
      'error' in outcome
        ? `✗ ${outcome.error.code}  ${printable(outcome.error.message)}`
        : printable(tell(outcome.value)),
    ]),
  }
  const json = outcomes.map((outcome) =>
    'error' in outcome
      ? { node: outcome.node, ok: false, error: outcome.error }
      : { ok: true, ...outcome.value, node: outcome.node },
  )
  return { json, human, exitCode: outcomes.some((outcome) => 'error' in outcome) ? 1 : 0 }
}

/** One list of what all nodes answered, each row with its node. The first failure fails it. */
export function rowsOf<T extends object>(outcomes: readonly Outcome<readonly T[]>[]): ({ node: string } & T)[] {
  return outcomes.flatMap((outcome) => {
    if ('error' in outcome) throw outcome.error
    return outcome.value.map((row) => ({ node: outcome.node, ...row }))
  })
}
