import { randomBytes } from 'node:crypto'
import { fromHex, toHex } from '../base/bytes.ts'
import { readFileBounded } from '../base/files.ts'
import { identityErrors } from './errors.ts'
import { checkSecretFile } from './key-files.ts'
import { writeNewFile } from './new-file.ts'

const NETWORK_KEY_BYTES = 32
/** 64 digits and a line end; more is no network key. */
const MAX_FILE_BYTES = 256

/** A fresh network key as 64 hex digits. */
export function generateNetworkKey(): string {
  return toHex(randomBytes(NETWORK_KEY_BYTES))
}

/** The 32 bytes of a network key in hex; white space around it is allowed. Fails with `network_key_invalid`, never quoting it. */
export function parseNetworkKey(text: string, where = 'the network key'): Uint8Array {
  const key = fromHex(text.trim())
  if (key?.length !== NETWORK_KEY_BYTES) {
    throw identityErrors.network_key_invalid(`${where} is not 64 hex digits`, {
      hint: 'Copy the file keys/network.key from another node of the network, or make a new key: warren psk',
    })
  }
  return key
}

/** Writes a key file (0600, flushed), with a fresh key unless one is given, and gives its 32 bytes. Fails with `key_exists`. */
export async function createNetworkKey(path: string, hex: string = generateNetworkKey()): Promise<Uint8Array> {
  const key = parseNetworkKey(hex)
  await writeNewFile(path, `${toHex(key)}\n`, 0o600)
  return key
}

/** Reads a key file. Fails with `network_key_missing`, `network_key_invalid` or `key_permissions`. */
export async function readNetworkKey(path: string): Promise<Uint8Array> {
  await checkSecretFile(path)
  const text = await readFileBounded(path, MAX_FILE_BYTES).catch(() => Buffer.from('too long'))
  if (text === undefined) {
    throw identityErrors.network_key_missing(`there is no network key at ${path}`, {
      hint: 'Copy the file keys/network.key from another node of the network.',
    })
  }
  return parseNetworkKey(text.toString('latin1'), path)
}
