import { basename } from 'node:path'
import { readFileBounded } from '../base/files.ts'
import { KEY_BYTES, keyIdOf } from './ed25519.ts'
import { identityErrors } from './errors.ts'

/** One line of three words; more than this is no key file. */
const MAX_FILE_BYTES = 1024
/** What a key may be called: letters, digits and `. _ @ + -`, inside also a space; it is shown on terminals. */
const KEY_NAME = /^[A-Za-z0-9](?:[A-Za-z0-9._@+ -]{0,62}[A-Za-z0-9._@+-])?$/

/** A public key and what its owner calls it. */
export interface PublicKeyFile {
  readonly publicKey: Uint8Array
  readonly keyId: string
  readonly name: string
}

/** True where a key may have this name. */
export function isKeyName(name: string): boolean {
  return KEY_NAME.test(name)
}

/** The line of a `.pub` file: `ed25519 BASE64 NAME`. */
export function formatPublicKey(publicKey: Uint8Array, name: string): string {
  return `ed25519 ${Buffer.from(publicKey).toString('base64')} ${name}\n`
}

/** Parses the text of a `.pub` file; `path` is for messages, and its base name is the key's name where none is given. Fails with `key_invalid`. */
export function parsePublicKey(text: string, path: string): PublicKeyFile {
  const fault = (what: string) =>
    identityErrors.key_invalid(`${path}: ${what}`, { hint: 'A .pub file is one line: ed25519 BASE64 NAME' })
  const line = text.replace(/\r?\n$/, '')
  const [, type, encoded, comment] = /^(\S+) +(\S+)(?: +(.*?))? *$/.exec(line) ?? []
  if (type === undefined || encoded === undefined || /[\r\n]/.test(line)) throw fault('this is not a public key line')
  if (type !== 'ed25519') throw fault('the key is not of type ed25519')
  const publicKey = new Uint8Array(Buffer.from(encoded, 'base64'))
  if (publicKey.length !== KEY_BYTES || Buffer.from(publicKey).toString('base64') !== encoded) {
    throw fault('the second word is not the base64 of 32 bytes')
  }
  const name = comment === undefined || comment === '' ? basename(path, '.pub') : comment
  if (!isKeyName(name)) throw fault('the name has letters that are not allowed, or is longer than 64')
  return { publicKey, keyId: keyIdOf(publicKey), name }
}

/** Reads a `.pub` file. Fails with `key_not_found` or `key_invalid`. */
export async function readPublicKeyFile(path: string): Promise<PublicKeyFile> {
  const bytes = await readFileBounded(path, MAX_FILE_BYTES)
  if (bytes === undefined) throw identityErrors.key_not_found(`there is no public key at ${path}`)
  return parsePublicKey(bytes.toString('utf8'), path)
}
