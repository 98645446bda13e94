import { createPrivateKey, generateKeyPairSync, type KeyObject } from 'node:crypto'
import { realpath } from 'node:fs/promises'
import { readFileBounded, writeFileAtomic } from '../base/files.ts'
import { KEY_BYTES, privateKeyOf, type Signer, signerFromKey, signerFromSeed } from './ed25519.ts'
import { identityErrors } from './errors.ts'
import { checkSecretFile } from './key-permissions.ts'
import { writeNewFile } from './new-file.ts'
import { isProtectedKey, parseProtectedKey, type ScryptCost, sealKey } from './protected-key.ts'

export { checkSecretFile } from './key-permissions.ts'

/** A PEM PKCS#8 Ed25519 key is 119 bytes, a protected one about 400; more than this is no key file. */
const MAX_KEY_FILE_BYTES = 4096

/** A private key file that was read. Its public key is known without a passphrase. */
export interface KeyFile {
  readonly publicKey: Uint8Array
  readonly keyId: string
  /** True where only a passphrase opens it. */
  readonly isProtected: boolean
  /** The seed of 32 bytes. Fails with `key_locked` where it is protected and none is given, and with `passphrase_wrong`. */
  open(passphrase?: string): Promise<Uint8Array>
}

/**
 * Reads a private key: PEM PKCS#8, Ed25519, or one protected by a passphrase. Fails with `key_not_found`, `key_invalid`,
 * or `key_permissions` where the file is open to other users or they could replace it.
 */
export async function readKeyFile(path: string): Promise<KeyFile> {
  await checkSecretFile(path)
  const bytes = await readFileBounded(path, MAX_KEY_FILE_BYTES)
  if (bytes === undefined) throw identityErrors.key_not_found(`there is no key at ${path}`)
  if (!isProtectedKey(bytes)) {
    const key = parsePem(bytes, path)
    const { publicKey, keyId } = signerFromKey(key)
    const seed = new Uint8Array(key.export({ format: 'der', type: 'pkcs8' }).subarray(-KEY_BYTES))
    return { publicKey, keyId, isProtected: false, open: async () => seed }
  }
  const { publicKey, keyId, open } = parseProtectedKey(bytes, path)
  return {
    publicKey,
    keyId,
    isProtected: true,
    open: async (passphrase) => {
      if (passphrase !== undefined) return await open(passphrase)
      throw identityErrors.key_locked(`${path} is protected by a passphrase`, {
        hint: 'Run this at a terminal, or give it: WARREN_PASSPHRASE, or a file named by WARREN_PASSPHRASE_FILE.',
      })
    },
  }
}

/** Loads a private key as a signer. Fails as `readKeyFile`, and as opening it. */
export async function loadSigner(
  path: string,
  { passphrase }: { passphrase?: string | undefined } = {},
): Promise<Signer> {
  const file = await readKeyFile(path)
  return signerFromSeed(await file.open(passphrase))
}

/**
 * Makes a new key, or that of a seed of 32 bytes, and writes it (0600, flushed), protected where there is a passphrase. Fails with `key_exists` where
 * anything is at that path, and with `passphrase_invalid`.
 */
export async function createSigner(
  path: string,
  { passphrase, seed }: { passphrase?: string | undefined; seed?: Uint8Array | undefined } = {},
): Promise<Signer> {
  const privateKey = seed === undefined ? generateKeyPairSync('ed25519').privateKey : privateKeyOf(seed)
  const der = privateKey.export({ format: 'der', type: 'pkcs8' })
  const text =
    passphrase === undefined
      ? privateKey.export({ format: 'pem', type: 'pkcs8' })
      : await sealKey(der.subarray(-KEY_BYTES), { passphrase })
  await writeNewFile(path, text, 0o600)
  return signerFromKey(privateKey)
}

/** The seed of 32 bytes of a private key file, for libraries that take keys raw. Fails as `loadSigner`. */
export async function rawPrivateKey(path: string): Promise<Uint8Array> {
  return await (await readKeyFile(path)).open()
}

/**
 * Protects a key file by a passphrase, or by another one where it is protected already. The file is replaced whole or
 * not at all; the plain bytes of before may still stand in free blocks of the disk and in backups. Fails as
 * `loadSigner`, and with `passphrase_invalid`.
 */
export async function protectKeyFile(
  path: string,
  { now, next, cost }: { now?: string | undefined; next: string; cost?: ScryptCost },
): Promise<void> {
  const seed = await (await readKeyFile(path)).open(now)
  await replaceKey(path, await sealKey(seed, { passphrase: next, ...(cost === undefined ? {} : { cost }) }))
}

/** Takes the passphrase off a key file; nothing happens to one that has none. Fails as `loadSigner`. */
export async function unprotectKeyFile(path: string, { now }: { now?: string | undefined }): Promise<void> {
  const file = await readKeyFile(path)
  if (!file.isProtected) return
  await replaceKey(path, pemOf(await file.open(now)))
}

async function replaceKey(path: string, text: string): Promise<void> {
  // A link stays a link; what it names is replaced.
  await writeFileAtomic(await realpath(path), text, { mode: 0o600 })
}

function pemOf(seed: Uint8Array): string {
  return privateKeyOf(seed).export({ format: 'pem', type: 'pkcs8' }).toString()
}

function parsePem(bytes: Buffer, path: string): KeyObject {
  let key: KeyObject
  try {
    key = createPrivateKey(bytes)
  } catch {
    // The parser's own message may quote the file, so it is not passed on.
    throw identityErrors.key_invalid(`${path} is not a private key in PEM form`, {
      hint: 'Restore the file from a backup; a key cannot be made a second time.',
    })
  }
  if (key.asymmetricKeyType !== 'ed25519') {
    throw identityErrors.key_invalid(`${path} holds a key of type ${key.asymmetricKeyType}, not ed25519`)
  }
  return key
}
