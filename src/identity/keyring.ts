import { join } from 'node:path'
import { pathExists } from '../base/files.ts'
import type { Signer } from './ed25519.ts'
import { identityErrors } from './errors.ts'
import { checkKeysFolder, loadSigner, rawPrivateKey } from './key-files.ts'
import { parseNetworkKey, readNetworkKey } from './network-key.ts'
import { peerIdOf } from './peer-id.ts'

/** Folder of `.pub` files in a home's `keys/`. */
export const TRUSTED_FOLDER = 'trusted'
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
  /** Only on admins. */
  readonly authority: Signer | undefined
  readonly signing: Signer | undefined
  readonly networkKey: Uint8Array
}

/**
 * Loads a home's keys, after checking that nobody else can read or replace them. Fails with `key_permissions`,
 * `key_invalid`, `network_key_invalid`, `network_key_missing`, and with `key_not_found` where there is no node key.
 * A `networkKey` (64 hex digits) stands in for the file.
 */
export async function openKeyring(folder: string, { networkKey = '' }: { networkKey?: string } = {}): Promise<Keyring> {
  await checkKeysFolder(folder)
  const nodePath = join(folder, KEY_FILES.node)
  if (!(await pathExists(nodePath))) {
    throw identityErrors.key_not_found(`there is no node key at ${nodePath}`, { hint: 'Make a network: warren init' })
  }
  const optional = async (file: string): Promise<Signer | undefined> => {
    const path = join(folder, file)
    return (await pathExists(path)) ? loadSigner(path) : undefined
  }
  const node = await loadSigner(nodePath)
  return {
    nodeId: peerIdOf(node.publicKey),
    node,
    nodeSeed: await rawPrivateKey(nodePath),
    authority: await optional(KEY_FILES.authority),
    signing: await optional(KEY_FILES.signing),
    networkKey: networkKey === '' ? await readNetworkKey(join(folder, KEY_FILES.network)) : parseNetworkKey(networkKey),
  }
}
