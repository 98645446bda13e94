import { createPrivateKey, generateKeyPairSync, type KeyObject } from 'node:crypto'
import { stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { readFileBounded } from '../base/files.ts'
import { type Signer, signerFromKey } from './ed25519.ts'
import { identityErrors } from './errors.ts'
import { writeNewFile } from './new-file.ts'

/** A PEM PKCS#8 Ed25519 key is 119 bytes; more than this is no key file. */
const MAX_KEY_FILE_BYTES = 4096
const SEED_BYTES = 32

/**
 * Loads a private key (PEM PKCS#8, Ed25519). Fails with `key_not_found`, `key_invalid`, or `key_permissions` where the
 * file is open to other users or its folder lets them replace it. The hint names the command that mends it.
 */
export async function loadSigner(path: string): Promise<Signer> {
  return signerFromKey(await readPrivateKey(path))
}

/** Makes a new key and writes it (0600, flushed). Fails with `key_exists` where anything is at that path. */
export async function createSigner(path: string): Promise<Signer> {
  const { privateKey } = generateKeyPairSync('ed25519')
  await writeNewFile(path, privateKey.export({ format: 'pem', type: 'pkcs8' }), 0o600)
  return signerFromKey(privateKey)
}

/** The seed of 32 bytes of a private key file, for libraries that take keys raw. Fails as `loadSigner`. */
export async function rawPrivateKey(path: string): Promise<Uint8Array> {
  const key = await readPrivateKey(path)
  return new Uint8Array(key.export({ format: 'der', type: 'pkcs8' }).subarray(-SEED_BYTES))
}

/** Refuses a secret file that others can read, or that stands where others can replace it, with `key_permissions`. */
export async function checkSecretFile(path: string): Promise<void> {
  const file = await stat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined
    throw error
  })
  if (file === undefined) return
  if ((file.mode & 0o077) !== 0) {
    throw identityErrors.key_permissions(`${path} has mode ${modeOf(file.mode)}: other users can read or change it`, {
      hint: `chmod 600 ${path}`,
    })
  }
  const folder = await stat(dirname(path))
  const sticky = (folder.mode & 0o1000) !== 0
  if ((folder.mode & 0o022) !== 0 && !sticky) {
    throw identityErrors.key_permissions(
      `${dirname(path)} has mode ${modeOf(folder.mode)}: others can replace keys in it`,
      {
        hint: `chmod 700 ${dirname(path)}`,
      },
    )
  }
}

/** Refuses a keys folder that is open to other users with `key_permissions`; a folder that is missing passes. */
export async function checkKeysFolder(folder: string): Promise<void> {
  const found = await stat(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined
    throw error
  })
  if (found !== undefined && (found.mode & 0o077) !== 0) {
    throw identityErrors.key_permissions(`${folder} has mode ${modeOf(found.mode)}: it must be its owner's alone`, {
      hint: `chmod 700 ${folder}`,
    })
  }
}

async function readPrivateKey(path: string): Promise<KeyObject> {
  await checkSecretFile(path)
  const pem = await readFileBounded(path, MAX_KEY_FILE_BYTES)
  if (pem === undefined) throw identityErrors.key_not_found(`there is no key at ${path}`)
  let key: KeyObject
  try {
    key = createPrivateKey(pem)
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

function modeOf(mode: number): string {
  return (mode & 0o7777).toString(8).padStart(4, '0')
}
