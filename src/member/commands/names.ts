import type { ApiClient } from '../../api/index.ts'

/** Names of the nodes of the network, for completion. */
export async function nodeNames(client: ApiClient): Promise<string[]> {
  const { memberContract } = await import('../contract.ts')
  return (await client.call(memberContract.list, {})).map(({ name }) => name)
}
