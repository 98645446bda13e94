import { z } from 'zod'
import { ROLES } from '../../api/contract.ts'
import { KEY_BYTES } from '../ed25519.ts'
import { publicKeyOfPeer } from '../peer-id.ts'
import { isKeyName } from '../public-key-file.ts'
import { MAX_ADMINS } from './constants.ts'

/** Labels of a node: more than this belongs in a config. */
const MAX_LABELS = 32
const NODE_NAME = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/
const LABEL_KEY = /^[a-z0-9](?:[a-z0-9._/-]{0,61}[a-z0-9])?$/
const LABEL_VALUE = /^[A-Za-z0-9._:/@+-]{0,63}$/

const nodeName = z.string().regex(NODE_NAME, 'must be lower-case letters, digits and hyphens, at most 63, as in DNS')
const labelKey = z.string().regex(LABEL_KEY, 'must be lower-case letters, digits and . _ / -, at most 63')
const labelValue = z.string().regex(LABEL_VALUE, 'must be letters, digits and . _ : / @ + -, at most 63')
const hash = z.string().regex(/^[0-9a-f]{64}$/)
const whole = z.int().nonnegative()
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
const cutOff = z.object({ seq: whole, hash })
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
  time: whole,
})

/** The bodies that this release applies. Unknown fields are allowed and ignored: the payload bytes keep them. */
export const BODIES = {
  /** Adds a node or changes it. */
  node: z.object({
    id: peerId,
    name: nodeName,
    role: z.enum(ROLES),
    labels,
    expires: whole.nullable(),
    revision: whole.min(1),
  }),
  /** Removes an id for good. For an admin, `last` is the last entry of its log that is accepted. */
  'node-remove': z.object({ id: peerId, last: cutOff.optional() }),
  /** Trusts a package signing key. */
  key: z.object({ key: publicKey, name: z.string().refine(isKeyName), revision: whole.min(1) }),
  /** Revokes a signing key, by its id, for good. */
  'key-revoke': z.object({ key: hash }),
  /** The next admin set. `removed` names every admin that leaves it, with the last entry of its log that is accepted. */
  admins: z.object({
    version: whole.min(2),
    previous: hash,
    root: publicKey,
    threshold: z.literal(1),
    admins: adminsOf,
    removed: z.array(cutOff.extend({ id: peerId })).max(MAX_ADMINS),
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
