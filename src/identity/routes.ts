import { implement, type Route } from '../api/index.ts'
import type { Authority } from './authority.ts'
import { revokeKey, trustKey } from './changes.ts'
import { type KeyView, keyContract } from './contract.ts'
import { KEY_BYTES, keyIdOf } from './ed25519.ts'
import { type Envelope, signersOf } from './envelope.ts'
import { identityErrors } from './errors.ts'
import {
  findKey,
  findKeyId,
  type KnownKey,
  keyViewOf,
  readKnownKeys,
  refuseRevoked,
  refuseTakenName,
} from './known-keys.ts'
import { policyRoutes } from './policy-routes.ts'
import { isKeyName } from './public-key-file.ts'
import type { Roster } from './roster/roster.ts'
import { rotateKey } from './rotate-key.ts'

/** As many digests as one revocation can name. */
const MAX_KEPT = 200

/** What the calls on keys and policies work with. */
export interface KeyRoutesOptions {
  readonly roster: Roster
  readonly trustedFolder: string
  readonly authority: Authority
  /** The packages in the store of this node. */
  readonly packages: () => Promise<readonly { readonly digest: string; readonly signature: Envelope | undefined }[]>
  /** Throws `selector_invalid` for a label selector that cannot be read. */
  readonly checkSelector: (selector: string) => void
}

/** The calls on signing keys and policies. */
export function keyRoutes(options: KeyRoutesOptions): Route[] {
  const { roster, trustedFolder, authority, packages } = options
  const read = async () => readKnownKeys({ trustedFolder, roster })
  const viewOf = async (keyId: string): Promise<KeyView> => {
    const { keys } = await read()
    return keyViewOf(findIn(keys, keyId))
  }
  return [
    implement(keyContract.list, async () => {
      const { keys, warnings } = await read()
      return { keys: keys.map(keyViewOf), warnings: [...warnings] }
    }),
    implement(keyContract.unlock, async ({ body }) => {
      await authority.unlock(body.passphrase)
      return { key_id: keyIdOf(await authority.publicKey()) }
    }),
    implement(keyContract.trust, async ({ body }) => {
      const author = authority.author()
      const given = await acceptable(body, { read, roster })
      const before = roster.state.keys.get(given.keyId)
      // What is said already needs no further statement.
      if (before?.name !== given.name || before.expires !== null) await trustKey(author, given)
      return await viewOf(given.keyId)
    }),
    implement(keyContract.rotate, async ({ params, body }) => {
      const author = authority.author()
      const inNetwork = (await read()).keys.filter(({ source }) => source === 'roster')
      const old = findKey(inNetwork, params.key)
      const next = await acceptable(body, { read, roster, follows: old.keyId })
      const policies = await rotateKey(author, { old, next, overlapMs: body.overlap_ms })
      return { old: await viewOf(old.keyId), next: await viewOf(next.keyId), policies }
    }),
    implement(keyContract.revoke, async ({ params, body }) => {
      const author = authority.author()
      const { keys } = await read()
      const keyId = findKeyId(keys, params.key)
      const key = keys.find((each) => each.keyId === keyId)
      const keep = new Set([...body.keep, ...(body.keep_known ? signedBy(key, await packages()) : [])])
      if (keep.size > MAX_KEPT) {
        throw identityErrors.statement_too_large(
          `${keep.size} packages are to be kept; a revocation names ${MAX_KEPT}`,
          {
            hint: 'Name those that run: --keep DIGEST; or sign them with another key first: warren sign FILE --key FILE',
          },
        )
      }
      await revokeKey(author, { keyId, keep: [...keep].sort() })
      return await viewOf(keyId)
    }),
    ...policyRoutes({ ...options, read }),
  ]
}

/** Digests of the packages with a valid signature by this key. */
function signedBy(key: KnownKey | undefined, packages: Awaited<ReturnType<KeyRoutesOptions['packages']>>): string[] {
  const publicKey = key?.publicKey
  if (publicKey === undefined) return []
  return packages
    .filter(({ signature }) => signature !== undefined && signersOf(signature, [publicKey]).length > 0)
    .map(({ digest }) => digest)
}

interface Acceptance {
  readonly read: () => ReturnType<typeof readKnownKeys>
  readonly roster: Roster
  /** Id of the key that it takes the place of; it may have its name. */
  readonly follows?: string
}

/** The key of a request, when the network may come to trust it under that name. */
async function acceptable(
  { public_key: text, name }: { public_key: string; name: string },
  { read, roster, follows }: Acceptance,
): Promise<{ publicKey: Uint8Array; keyId: string; name: string }> {
  const publicKey = new Uint8Array(Buffer.from(text, 'base64'))
  if (publicKey.length !== KEY_BYTES) throw identityErrors.key_invalid('that is not a public key of 32 bytes')
  if (!isKeyName(name)) {
    throw identityErrors.key_invalid(`"${name.replaceAll(/[^\x20-\x7e]/g, '?')}" is no name for a key`, {
      hint: 'Use letters, digits and . _ @ + - (at most 64).',
    })
  }
  const keyId = keyIdOf(publicKey)
  refuseRevoked((await read()).keys, keyId)
  refuseTakenName(roster, { name, except: follows === undefined ? [keyId] : [keyId, follows] })
  return { publicKey, keyId, name }
}

function findIn(keys: readonly KnownKey[], keyId: string): KnownKey {
  const found = keys.find((key) => key.keyId === keyId)
  if (found === undefined) throw identityErrors.key_not_found(`the key ${keyId} is not known here`)
  return found
}
