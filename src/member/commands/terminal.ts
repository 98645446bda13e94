import type { Readable } from 'node:stream'
import { baseErrors } from '../../base/errors.ts'
import type { CommandContext } from '../../command/index.ts'

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
