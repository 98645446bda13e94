import type { KeyView } from './contract.ts'
import { identityErrors } from './errors.ts'
import { isExpired, type KeyPlaces, readTrustedKeys, type TrustedKey, type TrustRoster } from './trusted-keys.ts'

/** Shortest start of a key id that is looked up. */
const MIN_PREFIX = 4
const KEY_ID = /^[0-9a-f]{64}$/

/** A signing key that is or was trusted here. */
export interface KnownKey extends Pick<TrustedKey, 'keyId' | 'name' | 'source' | 'expires'> {
  readonly state: 'trusted' | 'expired' | 'revoked'
  /** Undefined for a key of which only the revocation is known. */
  readonly publicKey: Uint8Array | undefined
  /** Packages that are accepted although it is revoked. */
  readonly keep: number
}

/** Every signing key that is known here, sorted by name; and one sentence for each file that was skipped. */
export async function readKnownKeys(places: KeyPlaces): Promise<{ keys: KnownKey[]; warnings: readonly string[] }> {
  const { roster } = places
  const { keys, warnings } = await readTrustedKeys(places)
  const known: KnownKey[] = keys.map((key) => ({ ...key, state: 'trusted', keep: 0 }))
  for (const { keyId, name, publicKey, expires } of roster?.state.keys.values() ?? []) {
    if (!isExpired(expires, roster)) continue
    known.push({ keyId, name, publicKey, expires, source: 'roster', state: 'expired', keep: 0 })
  }
  for (const [keyId, { name, keep }] of roster?.state.revokedKeys ?? []) {
    const base = { keyId, name: name ?? keyId.slice(0, 8), publicKey: undefined, expires: null } as const
    known.push({ ...base, source: 'roster', state: 'revoked', keep: keep.size })
  }
  const sorted = known.toSorted(
    (a, b) => a.name.localeCompare(b.name, 'en', { numeric: true }) || (a.keyId < b.keyId ? -1 : 1),
  )
  return { keys: sorted, warnings }
}

/** A key that is or was trusted, as everybody is shown it. */
export function keyViewOf({ name, keyId, source, state, expires, keep }: KnownKey): KeyView {
  return {
    name,
    key_id: keyId,
    source,
    state,
    expires: expires === null ? null : new Date(expires).toISOString(),
    keep,
  }
}

/**
 * The key of this name, id or start of an id, among those that are not revoked. Of several of one name it is the one
 * that does not end: while a key is followed by another, both may have it. Fails with `key_not_found`, `key_ambiguous`
 * or `key_revoked`.
 */
export function findKey(keys: readonly KnownKey[], text: string): KnownKey {
  const live = keys.filter(({ state }) => state !== 'revoked')
  const byId = live.find(({ keyId }) => keyId === text)
  if (byId !== undefined) return byId
  const named = live.filter(({ name }) => name === text)
  const lasting = named.filter(({ expires }) => expires === null)
  const byName = lasting.length === 1 ? lasting : named
  const found = byName.length > 0 ? byName : live.filter(({ keyId }) => isStart(text, keyId))
  const [first] = found
  if (found.length === 1 && first !== undefined) return first
  if (found.length > 1) {
    throw identityErrors.key_ambiguous(`"${text}" is the name or start of ${found.length} keys`, {
      hint: `Give more of the id: ${found.map(({ keyId }) => keyId.slice(0, 12)).join(', ')}`,
    })
  }
  refuseRevoked(keys, text)
  throw identityErrors.key_not_found(`no signing key "${text}" is known here`, { hint: 'See them: warren key list' })
}

/** The id of the key of this name, id or start of an id; an id in full need not be known. Fails as `findKey`. */
export function findKeyId(keys: readonly KnownKey[], text: string): string {
  if (KEY_ID.test(text) && !keys.some(({ keyId }) => keyId === text)) return text
  return findKey(keys, text).keyId
}

/** Fails with `key_revoked` where the key of this name or id was revoked. */
export function refuseRevoked(keys: readonly KnownKey[], text: string): void {
  const revoked = keys.find(({ state, keyId, name }) => state === 'revoked' && (keyId === text || name === text))
  if (revoked === undefined) return
  throw identityErrors.key_revoked(`the key "${revoked.name}" (ed25519 ${revoked.keyId.slice(0, 4)}…) was revoked`, {
    hint: 'That is for good. Make another key: warren keygen NAME',
  })
}

/** Fails with `key_name_taken` where a key of the network that counts, and is none of `except`, has this name. */
export function refuseTakenName(
  roster: TrustRoster,
  { name, except }: { name: string; except: readonly string[] },
): void {
  for (const key of roster.state.keys.values()) {
    if (key.name !== name || except.includes(key.keyId) || isExpired(key.expires, roster)) continue
    throw identityErrors.key_name_taken(`"${name}" is the name of another key (ed25519 ${key.keyId.slice(0, 4)}…)`, {
      hint: 'Give it another name: --name NAME; or let it follow that key: warren key rotate OLD FILE.pub',
    })
  }
}

function isStart(text: string, keyId: string): boolean {
  return text.length >= MIN_PREFIX && keyId.startsWith(text.toLowerCase().replace(/…$/, ''))
}
