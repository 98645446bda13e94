import { compareVersions } from '../base/semver.ts'
import { identityErrors } from './errors.ts'
import type { RosterPolicy } from './roster/state.ts'
import { describeKey } from './trusted-keys.ts'

/** A package as policies look at it. */
export interface PolicySubject {
  readonly name: string
  readonly version: string
  /** What it is called where it is installed, if not by its own name. */
  readonly app?: string | undefined
  /** Who signed it, of those that are trusted. */
  readonly signers: readonly { readonly keyId: string; readonly name: string }[]
}

/** The node on which a package is to be installed. */
export interface PolicyPlace {
  readonly labels: Readonly<Record<string, string>>
  /** True where a label selector selects these labels; may throw for one that it cannot read. */
  readonly selects: (selector: string, labels: Readonly<Record<string, string>>) => boolean
}

/** The policies that speak of this package on this node. One whose selector cannot be read does, to be safe. */
export function policiesFor(
  policies: Iterable<RosterPolicy>,
  { name, app }: Pick<PolicySubject, 'name' | 'app'>,
  { labels, selects }: PolicyPlace,
): RosterPolicy[] {
  const isNamed = (pattern: string): boolean => [name, app].some((word) => word !== undefined && matches(pattern, word))
  const isHere = ({ labels: selector }: RosterPolicy): boolean => {
    if (selector === '') return true
    try {
      return selects(selector, labels)
    } catch {
      return true
    }
  }
  return [...policies].filter((policy) => policy.packages.some(isNamed) && isHere(policy))
}

/**
 * Holds a package against a policy that speaks of it. Fails with `version_too_old`, and with `policy_refused` naming the
 * policy, what it asks for and who signed. `nameOf` gives the name of a key, where it has one.
 */
export function requirePolicy(
  policy: RosterPolicy,
  subject: PolicySubject,
  nameOf: (keyId: string) => string | undefined,
): void {
  const { name, version, signers } = subject
  const { minVersion, keys, threshold } = policy
  // What cannot be compared is not known to be new enough.
  if (minVersion !== null && (compareVersions(version, minVersion) ?? -1) < 0) {
    throw identityErrors.version_too_old(
      `${name} ${version} is older than ${minVersion}, the lowest version that the policy "${policy.name}" allows`,
      {
        hint: `Install a newer one; or an admin changes the policy: warren policy set ${policy.name} ...`,
        details: { policy: policy.name, version, min_version: minVersion },
      },
    )
  }
  const counted = keys.length === 0 ? signers : signers.filter(({ keyId }) => keys.includes(keyId))
  if (counted.length >= threshold) return
  const signatures = threshold === 1 ? 'a signature' : `${threshold} signatures`
  const named = keys.map((keyId) => describeKey({ keyId, name: nameOf(keyId) })).join(', ')
  const whose = keys.length === 0 ? (threshold === 1 ? 'a trusted key' : 'trusted keys') : `of ${named}`
  throw identityErrors.policy_refused(
    `the policy "${policy.name}" asks for ${signatures} ${keys.length === 0 ? `by ${whose}` : whose}; ` +
      `${name} ${version} is signed by ${signers.map(describeKey).join(', ') || 'no trusted key'}`,
    {
      hint: 'Whoever is missing adds a signature: warren sign FILE --key FILE.key',
      details: {
        policy: policy.name,
        threshold,
        keys: [...keys],
        signers: signers.map(({ keyId }) => keyId),
      },
    },
  )
}

function matches(pattern: string, word: string): boolean {
  return pattern.endsWith('*') ? word.startsWith(pattern.slice(0, -1)) : pattern === word
}
