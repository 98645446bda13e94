import type { TellDecision } from '../base/decisions.ts'
import { toWarrenError } from '../base/errors.ts'
import { fingerprintOf } from './ed25519.ts'
import { type Envelope, signersOf } from './envelope.ts'
import { identityErrors } from './errors.ts'
import { type PolicyPlace, policiesFor, requirePolicy } from './package-policies.ts'
import {
  describeKey,
  isExpired,
  type KeyPlaces,
  readTrustedKeys,
  type TrustedKey,
  type TrustRoster,
} from './trusted-keys.ts'

/** A package as it is checked: the bytes that are signed, and how it calls itself. */
export interface SignedPackage {
  readonly recordBytes: Uint8Array
  readonly signature: Envelope | undefined
  /** Name and version as the record has them. */
  readonly name: string
  readonly version: string
  /** SHA-256 of `recordBytes` in hex. */
  readonly digest: string
  /** What it is to be called here, if not by its own name. */
  readonly app?: string | undefined
  /** Node id of who wants it here, for the audit log. */
  readonly by?: string | undefined
}

/** A trusted key that signed a package. `kept`: it was revoked, and this very package excepted. */
export interface PackageSigner {
  readonly keyId: string
  readonly name: string
  readonly source: 'roster' | 'folder' | 'kept'
}

/** Why a package is accepted. */
export interface PackageVerdict {
  /** All trusted keys that signed it. */
  readonly signers: readonly PackageSigner[]
  /** For a person: what is missing although it is accepted. */
  readonly warning?: string
}

/** Says whose packages count. */
export interface PackageTrust {
  /**
   * Who, of those trusted, signed this package. Fails with `package_unsigned`, `untrusted_key`, `bad_signature`,
   * `policy_refused` or `version_too_old`; an unsigned package that no policy speaks of passes with a `warning` where
   * the settings do not require signatures. Each answer is told.
   */
  check(checked: SignedPackage): Promise<PackageVerdict>
  /** The keys that count now; see `readTrustedKeys`. */
  keys(): Promise<{ keys: TrustedKey[]; warnings: readonly string[] }>
}

export interface PackageTrustOptions extends KeyPlaces {
  readonly settings: { readonly requireSigned: boolean }
  /** Labels of this node. */
  readonly labels: () => Readonly<Record<string, string>>
  readonly selects: PolicyPlace['selects']
  readonly tell: TellDecision
}

/** Decides which packages this node accepts: by who signed them, and by the policies of the network. */
export function createPackageTrust(options: PackageTrustOptions): PackageTrust {
  const { tell } = options
  const keys = () => readTrustedKeys(options)
  return {
    keys,
    check: async (checked) => {
      const { name, version, digest, app = null, by = null } = checked
      const base = { what: 'package', by, subject: `${name} ${version}` } as const
      try {
        const verdict = await judge(checked, { ...options, trusted: (await keys()).keys })
        const signers = verdict.signers.map(({ keyId }) => keyId).join(' ')
        tell({ ...base, outcome: 'allowed', detail: { digest, app, signers } })
        return verdict
      } catch (error) {
        const { code, message } = toWarrenError(error)
        tell({ ...base, outcome: 'refused', reason: `${code}: ${message}`, detail: { digest, app } })
        throw error
      }
    },
  }
}

interface Judgement extends PackageTrustOptions {
  readonly trusted: readonly TrustedKey[]
}

async function judge(checked: SignedPackage, context: Judgement): Promise<PackageVerdict> {
  const { signature, name, version } = checked
  const { settings, trusted, roster } = context
  if (signature === undefined && settings.requireSigned) {
    throw identityErrors.package_unsigned(
      `${name} ${version} is not signed, and this node accepts signed packages only`,
      {
        hint: 'Sign a file: warren sign FILE; a folder: --key FILE.key, with a key that the network trusts (warren keygen)',
      },
    )
  }
  const signers = signature === undefined ? [] : checkSignature({ ...checked, signature }, { trusted, roster })
  const place = { labels: context.labels(), selects: context.selects }
  const nameOf = (keyId: string): string | undefined =>
    roster?.state.keys.get(keyId)?.name ?? roster?.state.revokedKeys.get(keyId)?.name
  for (const policy of policiesFor(roster?.state.policies.values() ?? [], checked, place)) {
    requirePolicy(policy, { ...checked, signers }, nameOf)
  }
  if (signature !== undefined) return { signers }
  const warning = `${name} ${version} is not signed; accepted because security.require_signed_packages is false`
  return { signers, warning }
}

interface KnownKeys {
  readonly trusted: readonly TrustedKey[]
  readonly roster: TrustRoster | undefined
}

function checkSignature(checked: SignedPackage & { signature: Envelope }, known: KnownKeys): PackageSigner[] {
  const { recordBytes, signature, name, version } = checked
  const what = `${name} ${version}`
  const hint = 'Fetch the package and its .sig again from where they were made.'
  if (Buffer.compare(signature.payload, recordBytes) !== 0) {
    throw identityErrors.bad_signature(`the signature that came with ${what} is of another package`, { hint })
  }
  const named = known.trusted.filter(({ keyId }) => signature.signatures.some(({ keyid }) => keyid === keyId))
  const publicKeys = named.map(({ publicKey }) => publicKey)
  const valid = new Set(signersOf(signature, publicKeys))
  const forged = named.find(({ publicKey }) => !valid.has(publicKey))
  if (forged !== undefined) {
    throw identityErrors.bad_signature(
      `the signature of ${what} by ${describeKey(forged)} does not fit: it was changed after signing`,
      { hint },
    )
  }
  const signers = [
    ...named.map(({ keyId, name: who, source }) => ({ keyId, name: who, source })),
    ...kept(checked, known),
  ]
  if (signers.length === 0) throw untrusted(checked, known)
  return signers
}

/** Keys that were revoked but for packages that the revocation names: by their digest, so there is nothing to verify. */
function kept({ signature, digest }: SignedPackage & { signature: Envelope }, { roster }: KnownKeys): PackageSigner[] {
  return signature.signatures.flatMap(({ keyid }) => {
    const revoked = roster?.state.revokedKeys.get(keyid)
    if (revoked === undefined || !revoked.keep.has(digest)) return []
    return [{ keyId: keyid, name: revoked.name ?? fingerprintOf(keyid), source: 'kept' as const }]
  })
}

function untrusted({ signature, name, version }: SignedPackage & { signature: Envelope }, known: KnownKeys): Error {
  const { trusted, roster } = known
  const keyIds = signature.signatures.map(({ keyid }) => keyid)
  const revoked = keyIds.find((keyId) => roster?.state.revokedKeys.has(keyId))
  const expired = keyIds.find((keyId) => isExpired(roster?.state.keys.get(keyId)?.expires ?? null, roster))
  const keyId = revoked ?? expired ?? keyIds[0] ?? ''
  const who = describeKey({
    keyId,
    name: roster?.state.revokedKeys.get(keyId)?.name ?? roster?.state.keys.get(keyId)?.name,
  })
  const fate =
    revoked !== undefined
      ? 'which this network has revoked'
      : expired !== undefined
        ? `which this network trusted until ${new Date(roster?.state.keys.get(keyId)?.expires ?? 0).toISOString()}`
        : 'which this network does not trust'
  return identityErrors.untrusted_key(
    `${name} ${version} is signed by ${who}, ${fate}.\n` +
      `Trusted: ${trusted.map((key) => `${key.name} (${fingerprintOf(key.keyId)})`).join(', ') || 'no key'}.`,
    {
      hint:
        revoked !== undefined || expired !== undefined
          ? 'Sign it with a key that is trusted: warren sign FILE --key FILE'
          : 'If it should be, get its .pub file from its owner, then on an admin: warren key trust FILE.pub',
      details: { signers: keyIds, trusted: trusted.map((key) => key.keyId) },
    },
  )
}
