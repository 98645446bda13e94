import { basename, join, resolve } from 'node:path'
import { pathExists } from '../../base/files.ts'
import type { CommandContext } from '../../command/index.ts'
import {
  findHomeFolders,
  fingerprintOf,
  KEY_FILES,
  passphrasesOf,
  readPublicKeyFile,
  type Signer,
  unlockSigner,
} from '../../identity/index.ts'
import { bundleErrors } from '../errors.ts'

/** A key to sign with, and what people call it. */
export interface NamedSigner {
  readonly signer: Signer
  /** `alice (ed25519 7f3a…)`. */
  readonly title: string
}

/**
 * The key of `--key`, else the home's signing key; undefined where neither is there. Its passphrase, where it has one,
 * is the environment's or asked for. Fails as `unlockSigner`.
 */
export async function findSigner(context: CommandContext, key: string | undefined): Promise<NamedSigner | undefined> {
  const path = key === undefined ? join(await keysFolderOf(context), KEY_FILES.signing) : resolve(context.cwd, key)
  if (key === undefined && !(await pathExists(path))) return undefined
  const signer = await unlockSigner(path, passphrasesOf(context))
  const publicFile = path.replace(/(\.key)?$/, '.pub')
  const name = await readPublicKeyFile(publicFile).then(
    (file) => (file.keyId === signer.keyId ? file.name : undefined),
    () => undefined,
  )
  return { signer, title: `${name ?? basename(path, '.key')} (ed25519 ${fingerprintOf(signer.keyId)})` }
}

/** As `findSigner`; fails with `signing_key_missing` where there is none. */
export async function requireSigner(context: CommandContext, key: string | undefined): Promise<NamedSigner> {
  const found = await findSigner(context, key)
  if (found !== undefined) return found
  throw bundleErrors.signing_key_missing(`there is no signing key in ${await keysFolderOf(context)}`, {
    hint: 'Make one: warren keygen NAME, then give it with --key NAME.key; or make a network: warren init',
  })
}

async function keysFolderOf(context: CommandContext): Promise<string> {
  const { config, env, cwd } = context
  return (await findHomeFolders({ home: await context.nodeHome(), config, env, cwd })).keysFolder
}
