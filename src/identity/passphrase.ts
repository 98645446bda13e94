import { resolve } from 'node:path'
import type { Readable } from 'node:stream'
import { readFileBounded } from '../base/files.ts'
import { type Signer, signerFromSeed } from './ed25519.ts'
import { identityErrors } from './errors.ts'
import { readKeyFile } from './key-files.ts'
import { checkSecretFile } from './key-permissions.ts'
import { checkPassphrase } from './protected-key.ts'

/** The longest passphrase in UTF-8, and a line end. */
const MAX_FILE_BYTES = 4098

type Environment = Readonly<Record<string, string | undefined>>

/** Where a passphrase may come from. */
export interface PassphraseSource {
  readonly env: Environment
  /** What relative paths are relative to. */
  readonly cwd: string
  /** Asks a person, without showing what is typed; undefined where there is no terminal. */
  readonly ask?: (prompt: string) => Promise<string | undefined>
}

/** What a command has that can ask. */
export interface Prompting extends Pick<PassphraseSource, 'env' | 'cwd'> {
  readonly stdin: Readable & { readonly isTTY?: boolean | undefined }
  /** Fails with `secret_missing` where nothing is given. */
  readSecret(prompt: string): Promise<string>
}

/**
 * The passphrases of a command: of the environment, or typed at its terminal. `piped`: also a line of standard input,
 * for commands that are about a passphrase; others must not wait for an input that nobody writes to.
 */
export function passphrasesOf(context: Prompting, { piped = false }: { piped?: boolean } = {}): PassphraseSource {
  const { env, cwd, stdin } = context
  const ask = async (prompt: string): Promise<string | undefined> => {
    if (!piped && stdin.isTTY !== true) return undefined
    try {
      return await context.readSecret(prompt)
    } catch (error) {
      if ((error as { code?: unknown }).code === 'secret_missing') return undefined
      throw error
    }
  }
  return { env, cwd, ask }
}

/**
 * The passphrase in WARREN_PASSPHRASE, or the first line of the file that WARREN_PASSPHRASE_FILE names; undefined where
 * neither is set. `prefix` WARREN_NEW: the same of WARREN_NEW_PASSPHRASE. Fails with `key_permissions` where others can
 * read that file, and with `key_not_found` where there is none.
 */
export async function readPassphrase(
  { env, cwd }: Pick<PassphraseSource, 'env' | 'cwd'>,
  prefix: 'WARREN' | 'WARREN_NEW' = 'WARREN',
): Promise<string | undefined> {
  const given = env[`${prefix}_PASSPHRASE`]
  if (given !== undefined && given !== '') return given
  const named = env[`${prefix}_PASSPHRASE_FILE`]
  if (named === undefined || named === '') return undefined
  const path = resolve(cwd, named)
  await checkSecretFile(path)
  const bytes = await readFileBounded(path, MAX_FILE_BYTES)
  if (bytes === undefined) throw identityErrors.key_not_found(`there is no passphrase file at ${path}`)
  return bytes.toString('utf8').split(/\r?\n/, 1)[0]
}

/**
 * Loads a signer, with the passphrase of the environment or of the person asked where it is protected by one. Fails as
 * `loadSigner`: `key_locked` where nobody can be asked, `passphrase_wrong`.
 */
export async function unlockSigner(path: string, source: PassphraseSource): Promise<Signer> {
  const file = await readKeyFile(path)
  return signerFromSeed(await file.open(file.isProtected ? await findPassphrase(path, source) : undefined))
}

/** The passphrase of this key file, from the environment or from the person asked; undefined where there is neither. */
export async function findPassphrase(path: string, source: PassphraseSource): Promise<string | undefined> {
  return (await readPassphrase(source)) ?? (await source.ask?.(`Passphrase of ${path}`))
}

/**
 * A passphrase that a key is to have: WARREN_NEW_PASSPHRASE (or _FILE), for a key that has none yet also
 * WARREN_PASSPHRASE, else asked for twice. Fails with `passphrase_invalid` where it is too short or typed differently,
 * and with `key_locked` where nobody can be asked.
 */
export async function chooseNewPassphrase(
  path: string,
  source: PassphraseSource,
  { isChange = false }: { isChange?: boolean } = {},
): Promise<string> {
  const given =
    (await readPassphrase(source, 'WARREN_NEW')) ?? (isChange ? undefined : await readPassphrase(source, 'WARREN'))
  const next = given ?? (await askTwice(path, source))
  checkPassphrase(next)
  return next
}

async function askTwice(path: string, { ask }: PassphraseSource): Promise<string> {
  const first = await ask?.(`New passphrase of ${path}`)
  if (first === undefined) {
    throw identityErrors.key_locked(`there is no terminal to ask for a passphrase of ${path}`, {
      hint: 'Give it: WARREN_NEW_PASSPHRASE, or a file named by WARREN_NEW_PASSPHRASE_FILE.',
    })
  }
  checkPassphrase(first)
  if ((await ask?.('The same once more')) === first) return first
  throw identityErrors.passphrase_invalid('the two passphrases differ', { hint: 'Nothing was changed; try again.' })
}
