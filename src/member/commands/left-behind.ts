import type { ApiClient } from '../../api/index.ts'
import { printable } from '../../command/index.ts'
import { tokenContract } from '../contract.ts'

interface Gone {
  readonly id: string
  readonly name: string
}

/**
 * A few lines on the deploy tokens that these admins made and that still work: whoever has their machine may have seen
 * them. Undefined where there is none. Their invites have ended with them.
 */
export async function describeLeftBehind(
  client: ApiClient,
  { admins, signal }: { admins: readonly Gone[]; signal: AbortSignal },
): Promise<string | undefined> {
  // A removed one is told by the end of its id.
  const names = new Set(admins.flatMap(({ id, name }) => [name, `…${id.slice(-8)}`]))
  const tokens = await client.call(tokenContract.list, {}, { signal })
  const valid = tokens.filter(({ by, state }) => names.has(by) && state === 'valid')
  if (valid.length === 0) return undefined
  const ends = valid.map(({ name }) => `  warren token remove ${printable(name)}`)
  return ['Tokens that it made still work. End those that others may have seen:', ...ends].join('\n')
}
