import { createHash, hkdfSync, randomBytes } from 'node:crypto'
import { fromHex, toHex } from '../base/bytes.ts'
import { readFileBounded, writeFileAtomic } from '../base/files.ts'
import { identityErrors } from './errors.ts'
import { checkSecretFile } from './key-files.ts'
import { writeNewFile } from './new-file.ts'

const NETWORK_KEY_BYTES = 32
/** 64 digits and a line end; more is no network key. */
const MAX_FILE_BYTES = 256

/** Files of network keys in a home's `keys/`. */
export const NETWORK_KEY_FILES = {
  /** The newest one held. */
  newest: 'network.key',
  /** The one before, until it is forgotten. */
  previous: 'network.previous.key',
  /** One that was made and may not be announced yet. */
  next: 'network.next.key',
} as const

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

/** What the roster announces a network key by, in hex: it tells the key from others, and nothing about it. */
export function networkKeyCheck(key: Uint8Array): string {
  const derived = hkdfSync('sha256', key, '', 'warren network key check v1', NETWORK_KEY_BYTES)
  return createHash('sha256').update(new Uint8Array(derived)).digest('hex')
}

/** Writes a key file (0600, flushed), with a fresh key unless one is given, and gives its 32 bytes. Fails with `key_exists`. */
export async function createNetworkKey(path: string, hex: string = generateNetworkKey()): Promise<Uint8Array> {
  const key = parseNetworkKey(hex)
  await writeNewFile(path, `${toHex(key)}\n`, 0o600)
  return key
}

/** Writes a key file (0600, flushed) in place of what is there; a crash leaves the one or the other. */
export async function replaceNetworkKey(path: string, key: Uint8Array): Promise<void> {
  await writeFileAtomic(path, `${toHex(key)}\n`, { mode: 0o600 })
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
