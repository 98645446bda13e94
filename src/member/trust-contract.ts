import { z } from 'zod'
import { defineCall, defineStream } from '../api/index.ts'

/** The trust of the network as this node sees it. */
export const trustStatus = z.object({
  network: z.string().describe('id of the network'),
  digest: z.string().describe('equal on two nodes exactly where they believe the same'),
  statements: z.int(),
  admins: z.array(
    z.object({
      id: z.string(),
      name: z.string(),
      authority: z.string().describe('id of the key that signs its statements'),
      statements: z.int().describe('how many its log holds'),
      sign_of_life: z.string().nullable().describe('when it last signed that it is there; null while none was heard'),
    }),
  ),
  /** Of the admin that was heard last. */
  sign_of_life: z.string().nullable(),
  silent_ms: z.number().nullable().describe('milliseconds since the newest sign of life; null while none was heard'),
  stale: z.boolean().describe('true: silent for longer than trust.max_stale, so new packages are refused'),
  standing: z.object({ current: z.boolean(), why: z.string() }),
  missing: z
    .array(z.object({ author: z.string(), seq: z.int() }))
    .describe('what admins have signed and is not here yet'),
  network_key: z.object({ revision: z.int(), since: z.string().nullable(), by: z.string().nullable() }),
  authority: z.enum(['none', 'open', 'locked']).describe('whether this node can sign as an admin'),
  head_confirmed: z.boolean().describe('false: the home may be older than its log; it signs nothing until it is sure'),
  alarms: z.array(z.object({ code: z.string(), subject: z.string(), message: z.string() })),
})
/** The trust of the network as this node sees it. */
export type TrustStatus = z.output<typeof trustStatus>

/** A statement of the roster in words. */
export const statementView = z.object({
  author: z.string().describe('name of the admin, or root'),
  author_id: z.string(),
  seq: z.int(),
  time: z.string(),
  type: z.string(),
  what: z.string(),
})
/** A statement of the roster in words. */
export type StatementView = z.output<typeof statementView>

/** Statements for the root key to sign. */
export const rootDraft = z.object({
  payloads: z.array(z.string()).describe('in base64, in the order in which they are to be signed'),
  admin: z.string().describe('id of the node that made the draft'),
})

const draftOf = z
  .array(z.string().max(64 * 1024))
  .min(1)
  .max(200)

/** The calls on trust as a whole. */
export const trustContract = {
  status: defineCall({
    method: 'GET',
    path: '/v1/trust',
    role: 'viewer',
    summary: 'The trust of the network as this node sees it',
    response: trustStatus,
  }),
  log: defineCall({
    method: 'GET',
    path: '/v1/trust/log',
    role: 'viewer',
    summary: 'The statements of the roster in words, oldest first',
    query: z.object({
      node: z.string().max(128).optional().describe('only those of this admin, or of root'),
      tail: z.coerce.number().int().min(1).max(20_000).default(100),
    }),
    response: z.array(statementView),
  }),
  draftRecovery: defineCall({
    method: 'POST',
    path: '/v1/trust/recovery/draft',
    role: 'admin',
    localOnly: true,
    summary: 'The statements by which the root key makes this node an admin and removes others',
    body: z.strictObject({
      remove: z
        .array(z.object({ node: z.string().min(1).max(128), keep_until: z.int().min(0).optional() }))
        .max(64)
        .default([]),
      new_root: z.string().max(64).optional().describe('the next root public key in base64'),
    }),
    response: rootDraft.extend({ remove: z.array(z.object({ id: z.string(), name: z.string() })) }),
  }),
  draftCheckpoint: defineCall({
    method: 'POST',
    path: '/v1/trust/checkpoint/draft',
    role: 'admin',
    localOnly: true,
    summary: 'The statements by which the root key drops what no longer counts',
    response: rootDraft,
  }),
  submit: defineCall({
    method: 'POST',
    path: '/v1/trust/submit',
    role: 'admin',
    localOnly: true,
    maxBodyBytes: 8 * 1024 * 1024,
    summary: 'Takes statements that the root key has signed',
    body: z.strictObject({ envelopes: draftOf.describe('signed envelopes as JSON texts') }),
    response: z.object({ statements: z.int(), held: z.int().describe('how many the roster holds afterwards') }),
  }),
  export: defineStream({
    method: 'GET',
    path: '/v1/trust/statement',
    role: 'viewer',
    summary: 'The genesis and every statement that this node holds, in an order in which they can be taken in',
    event: z.object({ envelope: z.string().describe('a signed envelope as JSON text') }),
  }),
  import: defineCall({
    method: 'POST',
    path: '/v1/trust/statement',
    role: 'admin',
    localOnly: true,
    maxBodyBytes: 8 * 1024 * 1024,
    summary: 'Takes statements of another node, each checked as if it came over the network',
    body: z.strictObject({ envelopes: draftOf.describe('signed envelopes as JSON texts') }),
    response: z.object({
      added: z.int(),
      refused: z.array(z.string()).describe('why each that was refused was'),
      waiting: z.int().describe('those that follow one which has not come yet'),
    }),
  }),
  finishRecovery: defineCall({
    method: 'POST',
    path: '/v1/trust/recovery/finish',
    role: 'admin',
    localOnly: true,
    summary: 'Removes nodes for good as the admin that this node has become, then changes the network key',
    body: z.strictObject({ remove: z.array(z.string().max(128)).max(64) }),
    response: z.object({ removed: z.array(z.string()), network_key: z.int() }),
  }),
  acceptHead: defineCall({
    method: 'POST',
    path: '/v1/trust/accept-head',
    role: 'admin',
    localOnly: true,
    summary: 'Says that no statement of this node is missing here, so that it signs again',
    response: z.object({ seq: z.int().describe('the last statement of this node, from which it goes on') }),
  }),
  rotateKey: defineCall({
    method: 'POST',
    path: '/v1/trust/rotate-key',
    role: 'admin',
    localOnly: true,
    summary: 'Changes the network key',
    response: z.object({ network_key: z.int().describe('number of the new network key') }),
  }),
}
