import type { ApiClient } from '../../api/index.ts'

/** Names of the apps of the network, for completion. */
export async function appNames(client: ApiClient): Promise<string[]> {
  const { appContract } = await import('../contract.ts')
  return [...new Set((await client.call(appContract.list, {})).map(({ app }) => app))]
}
