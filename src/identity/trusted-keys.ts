import { fingerprintOf } from './ed25519.ts'
import type { RosterState } from './roster/state.ts'
import { readTrustedFolder } from './trusted-folder.ts'

/** A package signing key that counts here. */
export interface TrustedKey {
  readonly keyId: string
  readonly name: string
  readonly publicKey: Uint8Array
  /** `roster`: trusted in the whole network. `folder`: by a `.pub` file of this node. */
  readonly source: 'roster' | 'folder'
  /** Milliseconds since 1970 from which it counts no more; null: never. */
  readonly expires: number | null
}

/** What trust in packages asks of the roster. */
export interface TrustRoster {
  readonly state: Pick<RosterState, 'keys' | 'revokedKeys' | 'policies'>
  /** The newest time that is known; a clock that is behind it does not make an expired key count again. */
  latestTimeMs(): number
}

/** Where the keys are: the network's roster, where there is one, and a folder of `.pub` files. */
export interface KeyPlaces {
  /** Read anew each time: a copied file counts at once. */
  readonly trustedFolder: string
  readonly roster: TrustRoster | undefined
}

/**
 * The keys that count now, and one sentence for each file of the folder that was skipped. What the roster revoked counts
 * nowhere; what expired there does not count by a file of the folder either.
 */
export async function readTrustedKeys({
  trustedFolder,
  roster,
}: KeyPlaces): Promise<{ keys: TrustedKey[]; warnings: readonly string[] }> {
  const folder = await readTrustedFolder(trustedFolder)
  const found = new Map<string, TrustedKey>()
  for (const { keyId, name, publicKey } of folder.keys) {
    found.set(keyId, { keyId, name, publicKey, source: 'folder', expires: null })
  }
  for (const { keyId, name, publicKey, expires } of roster?.state.keys.values() ?? []) {
    if (isExpired(expires, roster)) found.delete(keyId)
    else found.set(keyId, { keyId, name, publicKey, source: 'roster', expires })
  }
  // A local file never outvotes a revocation.
  for (const keyId of roster?.state.revokedKeys.keys() ?? []) found.delete(keyId)
  return { keys: [...found.values()], warnings: folder.warnings }
}

/** True where a key with this expiry counts no more. */
export function isExpired(expires: number | null, roster: TrustRoster | undefined): boolean {
  return expires !== null && roster !== undefined && roster.latestTimeMs() >= expires
}

/** A key for people: `"ci" (ed25519 7f3a…)`. */
export function describeKey({ keyId, name }: { keyId: string; name?: string | undefined }): string {
  const short = `(ed25519 ${fingerprintOf(keyId)})`
  return name === undefined ? `a key ${short}` : `"${name}" ${short}`
}
