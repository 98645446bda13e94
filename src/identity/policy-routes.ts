import { implement, type Route } from '../api/index.ts'
import { compareVersions } from '../base/semver.ts'
import type { Authority } from './authority.ts'
import { removePolicy, setPolicy } from './changes.ts'
import { policyContract } from './contract.ts'
import { identityErrors } from './errors.ts'
import { findKey, type KnownKey } from './known-keys.ts'
import { policyViewOf } from './policy-view.ts'
import type { Roster } from './roster/roster.ts'
import type { RosterPolicy } from './roster/state.ts'

interface PolicyRoutesOptions {
  readonly roster: Roster
  readonly authority: Authority
  readonly checkSelector: (selector: string) => void
  readonly read: () => Promise<{ readonly keys: readonly KnownKey[] }>
}

/** The calls on policies. */
export function policyRoutes({ roster, authority, checkSelector, read }: PolicyRoutesOptions): Route[] {
  return [
    implement(policyContract.list, () =>
      [...roster.state.policies.values()].map((policy) => policyViewOf(policy, roster.state)),
    ),
    implement(policyContract.set, async ({ params, body }) => {
      const author = authority.author()
      const { packages, labels, threshold, min_version: minVersion } = body
      if (labels !== '') checkSelector(labels)
      // A key that only this node trusts would count nowhere else.
      const keys = (await read()).keys.filter(({ source }) => source === 'roster')
      const ids = [...new Set(body.keys.map((key) => findKey(keys, key).keyId))]
      requireSense({ keys: ids, threshold, minVersion })
      await setPolicy(author, { name: params.name, packages, labels, keys: ids, threshold, minVersion })
      const made = roster.state.policies.get(params.name)
      if (made === undefined) throw identityErrors.policy_unknown(`the policy "${params.name}" did not come to count`)
      return policyViewOf(made, roster.state)
    }),
    implement(policyContract.remove, async ({ params }) => {
      await removePolicy(authority.author(), params.name)
      return { name: params.name }
    }),
  ]
}

/** A policy that nothing can fulfil would be found out at the next deploy only. */
function requireSense({ keys, threshold, minVersion }: Pick<RosterPolicy, 'keys' | 'threshold' | 'minVersion'>): void {
  if (keys.length > 0 && threshold > keys.length) {
    throw identityErrors.policy_invalid(
      `${threshold} signatures are asked for, and only ${keys.length} keys are named`,
      {
        hint: 'Name more keys, or lower --threshold.',
      },
    )
  }
  if (minVersion !== null && compareVersions(minVersion, minVersion) === undefined) {
    throw identityErrors.policy_invalid(`"${minVersion.replaceAll(/[^\x20-\x7e]/g, '?')}" is no version`, {
      hint: 'A version is three numbers, such as 1.4.0 (semver.org).',
    })
  }
}
