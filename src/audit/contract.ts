import { z } from 'zod'
import { defineCall, defineStream, queryFlag } from '../api/index.ts'

/** A line of the audit log as it is shown. */
export const auditEntrySchema = z.object({
  seq: z.number().int().describe('counts from 1'),
  time: z.string(),
  prev: z.string().describe('hash of the entry before'),
  what: z
    .string()
    .describe('connection, call, statement, join, network-key, package, rollout, stream, config, daemon, audit'),
  outcome: z.string().describe('allowed, refused, done or failed'),
  by: z.string().nullable().describe('node id; "local" for a person on the machine, "root"; null for strangers'),
  by_name: z.string().nullable().describe('name of that node'),
  subject: z.string(),
  reason: z.string().optional(),
  detail: z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()])).optional(),
  count: z.number().int().optional().describe('so many equal decisions that this line stands for'),
  hash: z.string(),
})
/** A line of the audit log as it is shown. */
export type AuditRow = z.output<typeof auditEntrySchema>

const headSchema = z.object({ seq: z.number().int(), hash: z.string(), time: z.string() })

/** Two heads of one node's log that contradict each other. */
export const rewindSchema = z.object({
  node: z.string(),
  name: z.string(),
  seen: z.string().describe('when this node heard the second one'),
  before: headSchema,
  after: headSchema,
})

/** Whether the audit log of a node is what was written. */
export const auditVerdictSchema = z.object({
  ok: z.boolean(),
  entries: z.number().int(),
  first: z.object({ seq: z.number().int(), time: z.string() }).nullable(),
  last: z.object({ seq: z.number().int(), time: z.string(), hash: z.string() }).nullable(),
  torn_bytes: z.number().int().describe('of a last line that a crash cut off; no fault'),
  problems: z.array(
    z.object({
      seq: z.number().int().nullable(),
      file: z.string().nullable(),
      line: z.number().int().nullable(),
      problem: z.string(),
    }),
  ),
  peers: z.array(
    z.object({
      node: z.string(),
      name: z.string(),
      heads: z.number().int().describe('heads of this log that it keeps'),
      newest: z.number().int().nullable(),
      ok: z.boolean(),
      problem: z.string().nullable(),
    }),
  ),
  witnessed: z.array(rewindSchema).describe('logs of other nodes that this node saw cut or rewritten'),
})
/** Whether the audit log of a node is what was written. */
export type AuditVerdictView = z.output<typeof auditVerdictSchema>

export const auditContract = {
  list: defineStream({
    method: 'GET',
    path: '/v1/audit',
    role: 'admin',
    summary: 'The entries of the audit log of this node in their order; with follow also those to come',
    query: z.object({
      follow: queryFlag(),
      tail: z.coerce.number().int().min(0).max(10_000_000).optional().describe('only so many of the last'),
      since: z.coerce.number().optional().describe('only entries since then, milliseconds since 1970'),
      cursor: z.coerce.number().int().min(0).optional().describe('only entries after the one of this number'),
    }),
    event: auditEntrySchema,
  }),
  verify: defineCall({
    method: 'GET',
    path: '/v1/audit/verify',
    role: 'admin',
    summary: 'Whether the audit log of this node is what was written; with peers also by what they keep of it',
    query: z.object({ peers: queryFlag() }),
    response: auditVerdictSchema,
  }),
  heads: defineCall({
    method: 'GET',
    path: '/v1/audit/head',
    role: 'viewer',
    summary: 'What this node keeps of the audit logs of others',
    response: z.array(
      z.object({
        node: z.string(),
        name: z.string(),
        heads: z.number().int(),
        newest: headSchema.nullable(),
        rewinds: z.array(rewindSchema),
      }),
    ),
  }),
}
