import { z } from 'zod'
import { ROLES } from '../../api/contract.ts'
import { KEY_BYTES } from '../ed25519.ts'
import { publicKeyOfPeer } from '../peer-id.ts'
import { isKeyName } from '../public-key-file.ts'
import { MAX_ADMINS, MAX_TIME_MS } from './constants.ts'

/** Labels of a node: more than this belongs in a config. */
const MAX_LABELS = 32
/** Narrowed grants of a node; whoever needs more needs a role. */
const MAX_GRANTS = 16
/** Names in one grant or policy. */
const MAX_PATTERNS = 16
/** Signing keys that a policy names, and so the most signatures that it can ask for. */
const MAX_POLICY_KEYS = 16
/** Digests that a revocation keeps: 200 of them fit a statement. */
const MAX_KEPT_DIGESTS = 200
/** Hashes in one part of a checkpoint: 200 of them fit a statement, or fewer beside a frontier. */
export const MAX_LIVE_HASHES = 200
/** Logs in one part of a checkpoint: 64 of them fit a statement, or fewer beside live hashes. */
export const MAX_FRONTIER = 64
/** Parts of a checkpoint: what 100 of them name is all that a roster may hold, and the rest name the logs. */
const MAX_CHECKPOINT_PARTS = 128
/** Nodes that may join by one invite. */
const MAX_INVITE_USES = 1000
const NODE_NAME = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/
/** Names of packages, apps and services, as the manifest has them. */
const PATTERN = /^(?:\*|[a-z0-9](?:[a-z0-9._-]{0,61})\*?)$/
const LABEL_KEY = /^[a-z0-9](?:[a-z0-9._/-]{0,61}[a-z0-9])?$/
const LABEL_VALUE = /^[A-Za-z0-9._:/@+-]{0,63}$/

const nodeName = z.string().regex(NODE_NAME, 'must be lower-case letters, digits and hyphens, at most 63, as in DNS')
const pattern = z.string().regex(PATTERN, 'must be the name of an app or service, with * at its end for any rest')
const policyName = z.string().regex(NODE_NAME, 'must be lower-case letters, digits and hyphens, at most 63')
const labelKey = z.string().regex(LABEL_KEY, 'must be lower-case letters, digits and . _ / -, at most 63')
const labelValue = z.string().regex(LABEL_VALUE, 'must be letters, digits and . _ : / @ + -, at most 63')
const hash = z.string().regex(/^[0-9a-f]{64}$/)
const whole = z.int().nonnegative()
const time = whole.max(MAX_TIME_MS)
const peerId = z.string().refine((text) => publicKeyOfPeer(text) !== undefined, 'must be the peer ID of an Ed25519 key')
const publicKey = z.string().transform((text, context) => {
  const bytes = Buffer.from(text, 'base64')
  if (bytes.length === KEY_BYTES && bytes.toString('base64') === text) return new Uint8Array(bytes)
  context.issues.push({ code: 'custom', message: `must be the base64 of ${KEY_BYTES} bytes`, input: text })
  return z.NEVER
})
const labels = z
  .record(labelKey, labelValue)
  .refine((record) => Object.keys(record).length <= MAX_LABELS, `must be at most ${MAX_LABELS} labels`)
/** What says something anew of a subject. */
const revised = {
  revision: whole.min(1),
  /** A statement of the same subject and revision that this one goes before: beyond the highest number there is no next. */
  replaces: hash.nullable().default(null),
}
const cutOff = z.object({ seq: whole, hash })
const patterns = z.array(pattern).min(1).max(MAX_PATTERNS)
const grant = z.object({
  role: z.enum(['viewer', 'operator']),
  apps: patterns.nullable(),
  services: patterns.nullable(),
  expires: time.nullable(),
})
const adminsOf = z
  .array(z.object({ id: peerId, authority: publicKey }))
  .min(1)
  .max(MAX_ADMINS)

/** The first statement of a network; its hash is the network's id. */
export const genesisBody = z.object({
  type: z.literal('genesis'),
  format: z.literal(1),
  root: publicKey,
  admins: adminsOf,
  nonce: z.string().regex(/^[0-9a-f]{32}$/),
  time,
})

/** The bodies that this release applies. Unknown fields are allowed and ignored: the payload bytes keep them. */
export const BODIES = {
  /** Adds a node or changes it. */
  node: z.object({
    id: peerId,
    name: nodeName,
    role: z.enum(ROLES),
    labels,
    expires: time.nullable(),
    ...revised,
    /** `token`: an identity for a job that deploys; it runs nothing and is nobody's target. */
    kind: z.enum(['node', 'token']).default('node'),
    /** Rights beside the role, narrowed to apps or services. */
    grants: z.array(grant).max(MAX_GRANTS).default([]),
    /** Key id of the invite that it joined by; a later statement by an admin leaves it out. */
    invite: hash.nullable().default(null),
  }),
  /** Removes an id for good. For an admin, `last` is the last entry of its log that is accepted. */
  'node-remove': z.object({ id: peerId, last: cutOff.optional() }),
  /** Lets whoever has the secret of this key join, `uses` times. */
  invite: z.object({
    key: publicKey,
    name: nodeName.nullable(),
    role: z.enum(ROLES),
    labels,
    expires: time,
    uses: whole.min(1).max(MAX_INVITE_USES),
  }),
  /** Ends an invite, by its key id, for good. */
  'invite-close': z.object({ invite: hash }),
  /** Announces the next network key by its check value; members hand the key itself to one another. */
  'network-key': z.object({ check: hash, ...revised }),
  /** Trusts a package signing key, for good or for a time. */
  key: z.object({
    key: publicKey,
    name: z.string().refine(isKeyName),
    ...revised,
    expires: time.nullable().default(null),
  }),
  /** Revokes a signing key, by its id, for good; packages with these digests are accepted all the same. */
  'key-revoke': z.object({ key: hash, keep: z.array(hash).max(MAX_KEPT_DIGESTS).default([]) }),
  /** What packages of these names need on nodes with these labels, beyond a signature by any trusted key. */
  policy: z.object({
    name: policyName,
    packages: patterns,
    /** A label selector; empty: every node. */
    labels: z.string().max(1024),
    /** Ids of the keys whose signatures count; empty: every trusted key. */
    keys: z.array(hash).max(MAX_POLICY_KEYS),
    threshold: whole.min(1).max(MAX_POLICY_KEYS),
    /** Older versions are refused; null: none is. */
    min_version: z.string().max(256).nullable(),
    /** True ends the policy. */
    removed: z.boolean().default(false),
    ...revised,
  }),
  /** The next admin set. `removed` names every admin that leaves it, with the last entry of its log that is accepted. */
  admins: z.object({
    version: whole.min(2),
    previous: hash,
    root: publicKey,
    threshold: z.literal(1),
    admins: adminsOf,
    removed: z.array(cutOff.extend({ id: peerId })).max(MAX_ADMINS),
  }),
  /** By root: of all up to the frontier only the live statements go on to exist. The parts are read as one. */
  checkpoint: z.object({
    /** The same in all parts. */
    id: z.string().regex(/^[0-9a-f]{32}$/),
    /** From 1, in the order of the log. */
    part: whole.min(1).max(MAX_CHECKPOINT_PARTS),
    parts: whole.min(1).max(MAX_CHECKPOINT_PARTS),
    /** The last covered entry of each log but the root's; a log that no part names is not covered. */
    frontier: z.array(cutOff.extend({ author: peerId })).max(MAX_FRONTIER),
    /** Covered statements that go on to exist. */
    live: z.array(hash).max(MAX_LIVE_HASHES),
  }),
} as const

/** The types of statement that this release applies. */
export type StatementType = keyof typeof BODIES
/** A body as it is written, by type. */
export type BodyInput<T extends StatementType = StatementType> = z.input<(typeof BODIES)[T]>
/** A body as it was parsed, by type. */
export type Body<T extends StatementType = StatementType> = z.output<(typeof BODIES)[T]>
/** A parsed body with its type. */
export type KnownBody = { [T in StatementType]: { readonly type: T; readonly body: Body<T> } }[StatementType]

/** True where this release knows the type. */
export function isKnownType(type: string): type is StatementType {
  return Object.hasOwn(BODIES, type)
}

/** The parsed body; undefined where the type is unknown or the body is not of the form that this release knows. */
export function parseBody(type: string, body: unknown): KnownBody | undefined {
  if (!isKnownType(type)) return undefined
  const parsed = BODIES[type].safeParse(body)
  return parsed.success ? ({ type, body: parsed.data } as KnownBody) : undefined
}

/** What is wrong with a body that `parseBody` refuses, for people. */
export function faultsOfBody(type: StatementType, body: unknown): string {
  const parsed = BODIES[type].safeParse(body)
  return parsed.success
    ? ''
    : parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`).join('; ')
}
