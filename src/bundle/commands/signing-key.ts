import { basename, join, resolve } from 'node:path'
import { pathExists } from '../../base/files.ts'
import { fingerprintOf, loadSigner, readPublicKeyFile, type Signer } from '../../identity/index.ts'
import { bundleErrors } from '../errors.ts'

/** A key to sign with, and what people call it. */
export interface NamedSigner {
  readonly signer: Signer
  /** `alice (ed25519 7f3a…)`. */
  readonly title: string
}

/** The key of `--key`, else the home's signing key; undefined where neither is there. */
export async function findSigner({
  home,
  cwd,
  key,
}: {
  home: string
  cwd: string
  key: string | undefined
}): Promise<NamedSigner | undefined> {
  const path = key === undefined ? join(home, 'keys', 'signing.key') : resolve(cwd, key)
  if (key === undefined && !(await pathExists(path))) return undefined
  const signer = await loadSigner(path)
  const publicFile = path.replace(/(\.key)?$/, '.pub')
  const name = await readPublicKeyFile(publicFile).then(
    (file) => (file.keyId === signer.keyId ? file.name : undefined),
    () => undefined,
  )
  return { signer, title: `${name ?? basename(path, '.key')} (ed25519 ${fingerprintOf(signer.keyId)})` }
}

/** As `findSigner`; fails with `signing_key_missing` where there is none. */
export async function requireSigner(where: Parameters<typeof findSigner>[0]): Promise<NamedSigner> {
  const found = await findSigner(where)
  if (found !== undefined) return found
  throw bundleErrors.signing_key_missing(`there is no signing key in ${join(where.home, 'keys')}`, {
    hint: 'Make one: warren keygen NAME, then give it with --key NAME.key; or make a network: warren init',
  })
}
