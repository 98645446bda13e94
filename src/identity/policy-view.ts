import type { PolicyView } from './contract.ts'
import type { RosterPolicy, RosterState } from './roster/state.ts'

/** A policy, as everybody is shown it. */
export function policyViewOf(
  policy: RosterPolicy,
  { keys, revokedKeys }: Pick<RosterState, 'keys' | 'revokedKeys'>,
): PolicyView {
  const { name, packages, labels, threshold, minVersion } = policy
  const named = policy.keys.map((keyId) => ({
    key_id: keyId,
    name: keys.get(keyId)?.name ?? revokedKeys.get(keyId)?.name ?? null,
  }))
  return { name, packages: [...packages], labels, keys: named, threshold, min_version: minVersion }
}
