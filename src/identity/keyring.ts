import { join } from 'node:path'
import { WarrenError } from '../base/errors.ts'
import { pathExists } from '../base/files.ts'
import { type Signer, signerFromSeed } from './ed25519.ts'
import { identityErrors } from './errors.ts'
import { rawPrivateKey } from './key-files.ts'
import { checkKeysFolder } from './key-permissions.ts'
import { parseNetworkKey, readNetworkKey } from './network-key.ts'
import { peerIdOf } from './peer-id.ts'

export { TRUSTED_FOLDER } from './key-permissions.ts'

/** Names of the files in a home's `keys/`. */
export const KEY_FILES = {
  node: 'node.key',
  authority: 'authority.key',
  signing: 'signing.key',
  signingPublic: 'signing.pub',
  network: 'network.key',
} as const

/** The keys of a home. */
export interface Keyring {
  readonly nodeId: string
  readonly node: Signer
  /** Seed of the node key, for the network host. */
  readonly nodeSeed: Uint8Array
  readonly networkKey: Uint8Array
}

/**
 * Loads what a node needs of a home's keys to start, after checking that nobody else can read or replace any of them.
 * Fails with `key_permissions`, `key_invalid`, `key_locked`, `network_key_invalid`, `network_key_missing`, and with
 * `key_not_found` where there is no node key. A `networkKey` (64 hex digits) stands in for the file.
 */
export async function openKeyring(folder: string, { networkKey = '' }: { networkKey?: string } = {}): Promise<Keyring> {
  await checkKeysFolder(folder)
  const nodePath = join(folder, KEY_FILES.node)
  if (!(await pathExists(nodePath))) {
    throw identityErrors.key_not_found(`there is no node key at ${nodePath}`, { hint: 'Make a network: warren init' })
  }
  const nodeSeed = await readNodeSeed(nodePath)
  const node = signerFromSeed(nodeSeed)
  return {
    nodeId: peerIdOf(node.publicKey),
    node,
    nodeSeed,
    networkKey: networkKey === '' ? await readNetworkKey(join(folder, KEY_FILES.network)) : parseNetworkKey(networkKey),
  }
}

/** A node starts by itself, so nobody can be asked for a passphrase. */
async function readNodeSeed(path: string): Promise<Uint8Array> {
  try {
    return await rawPrivateKey(path)
  } catch (error) {
    if (!(error instanceof WarrenError) || error.code !== 'key_locked') throw error
    throw identityErrors.key_locked(`${path} is protected by a passphrase, and a node key cannot be`, {
      hint: `warren key unprotect ${path}`,
    })
  }
}
