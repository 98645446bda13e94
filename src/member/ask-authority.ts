import { createClient } from '../api/index.ts'
import type { Network } from '../net/index.ts'
import { memberContract } from './contract.ts'
import type { Directory } from './directory.ts'
import { memberErrors } from './errors.ts'
import { API_PROTOCOL } from './protocol/peer-door.ts'

/** A node makes the key where it has none, and answers at once. */
const ASK_TIMEOUT_MS = 10_000

/**
 * Asks a node for the public key by which it would sign as an admin. The connection proves that the node itself answers.
 * Fails with `node_unreachable`, and as the node does.
 */
export function createAskAuthority({ network, directory }: { network: Network; directory: Directory }) {
  return async (node: string, signal: AbortSignal): Promise<Uint8Array> => {
    const within = AbortSignal.any([signal, AbortSignal.timeout(ASK_TIMEOUT_MS)])
    const name = directory.nameOf(node) ?? node
    const client = createClient({
      open: () =>
        network.open(node, API_PROTOCOL, { signal: within }).catch((cause) => {
          throw memberErrors.node_unreachable(`${name} cannot be reached, and only it can make the key of an admin`, {
            cause,
            hint: 'Try again when it is up: warren nodes',
          })
        }),
    })
    const { id, authority } = await client.call(memberContract.authority, {}, { signal: within })
    if (id !== node) throw memberErrors.node_unreachable(`another node than ${name} has answered for it`)
    return new Uint8Array(Buffer.from(authority, 'base64'))
  }
}
