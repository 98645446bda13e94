import { type Check, lookAt } from '../base/check.ts'
import { checkKeysFolder } from './key-permissions.ts'
import { openKeyring } from './keyring.ts'
import type { Roster } from './roster/roster.ts'

interface IdentityCheckOptions {
  readonly keysFolder: string
  /** The network key of the config, where it holds one. */
  readonly networkKey?: string | undefined
  /** Left out where no daemon holds it open. */
  readonly roster?: Roster | undefined
}

/** Looks at the keys of this node, who may read them, and what the roster says of the node. */
export async function checkIdentity({ keysFolder, networkKey, roster }: IdentityCheckOptions): Promise<Check[]> {
  const permissions = await lookAt('permissions', async () => {
    await checkKeysFolder(keysFolder)
    return { outcome: 'ok', message: `only its owner can read ${keysFolder}` }
  })
  const identity = await lookAt('identity', async () => {
    const { nodeId } = await openKeyring(keysFolder, networkKey === undefined ? {} : { networkKey })
    if (roster === undefined) return { outcome: 'ok', message: nodeId }
    const node = roster.state.nodes.get(nodeId)
    if (roster.state.removed.has(nodeId)) {
      return {
        outcome: 'failed',
        message: `${nodeId} was removed from the network`,
        hint: 'Join anew: warren join CODE',
      }
    }
    if (node === undefined) {
      return { outcome: 'failed', message: `${nodeId} is not in the roster`, hint: 'On an admin: warren invite' }
    }
    if (node.waiting) {
      return {
        outcome: 'failed',
        message: `${node.name} waits for an admin`,
        hint: `On an admin: warren node add ${node.name}`,
      }
    }
    const role = roster.roleOf(nodeId)
    if (role !== undefined) return { outcome: 'ok', message: `${node.name}, ${role}, ${nodeId}` }
    return {
      outcome: 'failed',
      message: `the membership of ${node.name} has run out`,
      hint: `On an admin: warren node add ${node.name}`,
    }
  })
  return [identity, permissions]
}
