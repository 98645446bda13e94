import { type Author, setPolicy, trustKey } from './changes.ts'
import { identityErrors } from './errors.ts'
import type { KnownKey } from './known-keys.ts'

/** Keys that a policy can name. */
const MAX_POLICY_KEYS = 16

/** A key, and the one that is to follow it. */
export interface Rotation {
  readonly old: KnownKey
  readonly next: { readonly publicKey: Uint8Array; readonly keyId: string; readonly name: string }
  /** For how long both count. */
  readonly overlapMs: number
}

/**
 * Trusts the next key, names it in the policies that name the old one, and lets the old one end; in this order, so that
 * a crash between leaves both valid. A policy that asks for one signature then names both; where it asks for more the
 * next key takes the old one's place, since who has both must not count twice. Gives the names of these policies. Fails
 * with `key_exists` where both are the same key, and as `Roster.append` does.
 */
export async function rotateKey(author: Author, { old, next, overlapMs }: Rotation): Promise<string[]> {
  if (next.keyId === old.keyId || old.publicKey === undefined) {
    throw identityErrors.key_exists(`that is the key "${old.name}" itself`, {
      hint: 'Make the next one: warren keygen NAME',
    })
  }
  const { roster } = author
  const endMs = roster.latestTimeMs() + overlapMs
  await trustKey(author, { publicKey: next.publicKey, name: next.name })
  const changed: string[] = []
  for (const policy of roster.state.policies.values()) {
    if (!policy.keys.includes(old.keyId) || policy.keys.includes(next.keyId)) continue
    const isBoth = policy.threshold === 1 && policy.keys.length < MAX_POLICY_KEYS
    const keys = isBoth
      ? [...policy.keys, next.keyId]
      : policy.keys.map((keyId) => (keyId === old.keyId ? next.keyId : keyId))
    await setPolicy(author, { ...policy, keys })
    changed.push(policy.name)
  }
  const expires = old.expires === null ? endMs : Math.min(old.expires, endMs)
  await trustKey(author, { publicKey: old.publicKey, name: old.name, expires })
  return changed
}
