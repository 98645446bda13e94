import { fingerprintOf } from './ed25519.ts'
import { type Envelope, signersOf } from './envelope.ts'
import { identityErrors } from './errors.ts'
import type { RosterState } from './roster/state.ts'
import { readTrustedFolder } from './trusted-folder.ts'

/** A package signing key that counts here. */
export interface TrustedKey {
  readonly keyId: string
  readonly name: string
  readonly publicKey: Uint8Array
  /** `roster`: trusted in the whole network. `folder`: by a `.pub` file of this node. */
  readonly source: 'roster' | 'folder'
}

/** A package as it is checked: the bytes that are signed, and how it calls itself, for messages. */
export interface SignedPackage {
  readonly recordBytes: Uint8Array
  readonly signature: Envelope | undefined
  readonly name: string
  readonly version: string
}

/** Says whose packages count. */
export interface PackageTrust {
  /**
   * Who, of those trusted, signed this package. Fails with `package_unsigned`, `untrusted_key` or `bad_signature`; an
   * unsigned package passes with a `warning` where the settings do not require signatures.
   */
  check(checked: SignedPackage): Promise<{ signers: TrustedKey[]; warning?: string }>
  /** The keys that count now: of the roster, and of the folder as it is on disk, less those that the roster revoked. */
  keys(): Promise<{ keys: TrustedKey[]; warnings: readonly string[] }>
}

export interface PackageTrustOptions {
  /** Folder of `.pub` files, read anew at each check: a copied file counts at once. */
  readonly trustedFolder: string
  /** The network's roster; without one only the folder counts. */
  readonly roster?: { readonly state: Pick<RosterState, 'keys' | 'revokedKeys'> } | undefined
  readonly settings: { readonly requireSigned: boolean }
}

/** Decides which packages this node accepts, by who signed them. */
export function createPackageTrust({ trustedFolder, roster, settings }: PackageTrustOptions): PackageTrust {
  const keys = async () => {
    const folder = await readTrustedFolder(trustedFolder)
    const found = new Map<string, TrustedKey>()
    for (const { keyId, name, publicKey } of folder.keys) found.set(keyId, { keyId, name, publicKey, source: 'folder' })
    for (const { keyId, name, publicKey } of roster?.state.keys.values() ?? []) {
      found.set(keyId, { keyId, name, publicKey, source: 'roster' })
    }
    // A local file never outvotes a revocation.
    for (const keyId of roster?.state.revokedKeys.keys() ?? []) found.delete(keyId)
    return { keys: [...found.values()], warnings: folder.warnings }
  }
  return {
    keys,
    check: async (checked) => {
      const { signature, name, version } = checked
      if (signature !== undefined) {
        const trusted = (await keys()).keys
        return { signers: checkSignature({ ...checked, signature }, { trusted, revoked: roster?.state.revokedKeys }) }
      }
      if (settings.requireSigned) {
        throw identityErrors.package_unsigned(
          `${name} ${version} is not signed, and this node accepts signed packages only`,
          {
            hint: 'Sign it: warren sign FILE',
          },
        )
      }
      return {
        signers: [],
        warning: `${name} ${version} is not signed; accepted because security.require_signed_packages is false`,
      }
    },
  }
}

function checkSignature(
  { recordBytes, signature, name, version }: SignedPackage & { signature: Envelope },
  { trusted, revoked }: { trusted: readonly TrustedKey[]; revoked: RosterState['revokedKeys'] | undefined },
): TrustedKey[] {
  const what = `${name} ${version}`
  if (Buffer.compare(signature.payload, recordBytes) !== 0) {
    throw identityErrors.bad_signature(`the signature that came with ${what} is of another package`, {
      hint: 'Fetch the package and its .sig again from where they were made.',
    })
  }
  const named = trusted.filter(({ keyId }) => signature.signatures.some(({ keyid }) => keyid === keyId))
  const valid = new Set(
    signersOf(
      signature,
      named.map(({ publicKey }) => publicKey),
    ),
  )
  const forged = named.find(({ publicKey }) => !valid.has(publicKey))
  if (forged !== undefined) {
    throw identityErrors.bad_signature(
      `the signature of ${what} by ${describe(forged)} does not fit: it was changed after signing`,
      {
        hint: 'Fetch the package and its .sig again from where they were made.',
      },
    )
  }
  if (named.length > 0) return named
  const [first] = signature.signatures
  const keyId = first?.keyid ?? ''
  const isRevoked = revoked?.has(keyId) ?? false
  const who = describe({ keyId, name: revoked?.get(keyId) })
  throw identityErrors.untrusted_key(
    `${what} is signed by ${who}, which this network ${isRevoked ? 'has revoked' : 'does not trust'}.\n` +
      `Trusted: ${trusted.map((key) => `${key.name} (${fingerprintOf(key.keyId)})`).join(', ') || 'no key'}.`,
    {
      hint: isRevoked
        ? 'Sign it with a key that is trusted: warren sign FILE --key FILE'
        : 'If it should be, get its .pub file from its owner, then: warren key trust FILE.pub',
      details: { signers: signature.signatures.map(({ keyid }) => keyid), trusted: trusted.map((key) => key.keyId) },
    },
  )
}

function describe({ keyId, name }: { keyId: string; name?: string | undefined }): string {
  return name === undefined ? `a key (ed25519 ${fingerprintOf(keyId)})` : `"${name}" (ed25519 ${fingerprintOf(keyId)})`
}
