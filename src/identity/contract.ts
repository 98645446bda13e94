import { z } from 'zod'
import { defineCall } from '../api/index.ts'

/** A signing key as everybody is shown it. */
export const keyView = z.object({
  name: z.string(),
  key_id: z.string().describe('SHA-256 of the public key in hex'),
  source: z.enum(['roster', 'folder']).describe('roster: trusted in the whole network; folder: by a file of this node'),
  state: z.enum(['trusted', 'expired', 'revoked']),
  expires: z.string().nullable().describe('ISO 8601; null: never'),
  keep: z.int().describe('packages that are accepted although it is revoked'),
})
/** A signing key as everybody is shown it. */
export type KeyView = z.output<typeof keyView>

/** A policy as everybody is shown it. */
export const policyView = z.object({
  name: z.string(),
  packages: z.array(z.string()),
  labels: z.string().describe('label selector of the nodes on which it holds; empty: all'),
  keys: z.array(z.object({ key_id: z.string(), name: z.string().nullable() })).describe('empty: every trusted key'),
  threshold: z.int(),
  min_version: z.string().nullable(),
})
/** A policy as everybody is shown it. */
export type PolicyView = z.output<typeof policyView>

/** As many as one revocation can name. */
const MAX_KEPT = 200
const digest = z.string().regex(/^[0-9a-f]{64}$/, 'must be the digest of a package: 64 hex digits')
const keyName = z.string().min(1).max(64)
const publicKey = z.string().max(64).describe('32 bytes in base64')
const keyParams = z.object({ key: z.string().min(1).max(64).describe('name, id, or start of an id') })
const policyParams = z.object({ name: z.string().min(1).max(63) })

/** The calls on signing keys. Those that sign a statement are for this machine's own door: its node is the one that signs. */
export const keyContract = {
  list: defineCall({
    method: 'GET',
    path: '/v1/key',
    role: 'viewer',
    summary: 'Whose packages this node accepts, and whose no longer',
    response: z.object({ keys: z.array(keyView), warnings: z.array(z.string()) }),
  }),
  trust: defineCall({
    method: 'POST',
    path: '/v1/key',
    role: 'admin',
    localOnly: true,
    summary: 'Trusts a signing key in the whole network',
    body: z.strictObject({ public_key: publicKey, name: keyName }),
    response: keyView,
  }),
  rotate: defineCall({
    method: 'POST',
    path: '/v1/key/{key}/rotate',
    role: 'admin',
    localOnly: true,
    summary: 'Trusts the key that follows another one, which counts for a while yet',
    params: keyParams,
    body: z.strictObject({ public_key: publicKey, name: keyName, overlap_ms: z.int().min(0) }),
    response: z.object({
      old: keyView,
      next: keyView,
      policies: z.array(z.string()).describe('policies that named the old key and name the next one'),
    }),
  }),
  revoke: defineCall({
    method: 'POST',
    path: '/v1/key/{key}/revoke',
    role: 'admin',
    localOnly: true,
    summary: 'Revokes a signing key in the whole network, for good',
    params: keyParams,
    body: z.strictObject({
      keep: z.array(digest).max(MAX_KEPT).default([]).describe('digests of packages that are accepted all the same'),
      keep_known: z.boolean().default(false).describe('keep also what this node has of it'),
    }),
    response: keyView,
  }),
  unlock: defineCall({
    method: 'POST',
    path: '/v1/key/unlock',
    role: 'admin',
    localOnly: true,
    summary: 'Opens the authority key of this node until its daemon ends',
    body: z.strictObject({ passphrase: z.string().max(1024) }),
    response: z.object({ key_id: z.string() }),
  }),
}

/** The calls on policies. */
export const policyContract = {
  list: defineCall({
    method: 'GET',
    path: '/v1/policy',
    role: 'viewer',
    summary: 'What packages need beyond a signature by any trusted key',
    response: z.array(policyView),
  }),
  set: defineCall({
    method: 'PUT',
    path: '/v1/policy/{name}',
    role: 'admin',
    localOnly: true,
    summary: 'Makes a policy, or puts another one in its place',
    params: policyParams,
    body: z.strictObject({
      packages: z.array(z.string()).min(1).max(16),
      labels: z.string().max(1024).default(''),
      keys: z.array(z.string().min(1).max(64)).max(16).default([]).describe('names, ids, or starts of ids'),
      threshold: z.int().min(1).max(16).default(1),
      min_version: z.string().max(256).nullable().default(null),
    }),
    response: policyView,
  }),
  remove: defineCall({
    method: 'DELETE',
    path: '/v1/policy/{name}',
    role: 'admin',
    localOnly: true,
    summary: 'Ends a policy',
    params: policyParams,
    response: z.object({ name: z.string() }),
  }),
}
