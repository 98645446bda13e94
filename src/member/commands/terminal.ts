import type { Readable } from 'node:stream'
import type { ApiClient } from '../../api/index.ts'
import { baseErrors } from '../../base/errors.ts'
import { type CommandContext, printable } from '../../command/index.ts'
import { memberContract } from '../contract.ts'

/** True where a person reads the results: standard output is a terminal. */
export function isTerminal(): boolean {
  return process.stdout.isTTY === true
}

/** Asks where a person types; a script is taken at its word. Fails with `cancelled` where the answer is not yes. */
export async function confirmAtTerminal(
  { stdin, confirm }: Pick<CommandContext, 'stdin' | 'confirm'>,
  question: string,
): Promise<void> {
  if ((stdin as Readable & { isTTY?: boolean }).isTTY !== true || (await confirm(question))) return
  throw baseErrors.cancelled('nothing was changed')
}

/** Asks before a node that is an admin stops being one, which is for good. Fails as `confirmAtTerminal`. */
export async function confirmEndOfAdmin(context: CommandContext, client: ApiClient, node: string): Promise<void> {
  const info = await client.call(memberContract.info, { params: { node } }, { signal: context.signal })
  if (info.role !== 'admin') return
  const question = `${printable(info.name)} stops being an admin, and can never be one again under this identity. Go on?`
  await confirmAtTerminal(context, question)
}
