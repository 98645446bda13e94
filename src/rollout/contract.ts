import { z } from 'zod'
import { defineCall, defineStream } from '../api/contract.ts'
import { appOfDocument, appOfRequest } from './subject.ts'
import { MAX_WAIT_MS, OUTCOME_STATES, PHASES, ROLLOUT_STATES } from './words.ts'

const packageSchema = z.object({ name: z.string(), version: z.string(), digest: z.string().regex(/^[0-9a-f]{64}$/) })
/** Targets: 1,000 ids fit, and selectors that are long and many do not, since each is held against every node. */
const MAX_TARGETS_TEXT = 64 * 1024
const targetsSchema = z
  .array(z.string().max(512))
  .max(1000)
  .refine((targets) => targets.join().length <= MAX_TARGETS_TEXT, 'are too many and too long')
const waitMs = z.int().min(0).max(MAX_WAIT_MS)

/** What a deploy asks for; what is left out is filled in from the daemon's section `deploy`. */
export const requestSchema = z.strictObject({
  package: packageSchema,
  /** Instance name; the package's name by default. */
  app: z.string().optional(),
  on: targetsSchema.default([]),
  all: z.boolean().default(false),
  /** Sizes of the waves; the last one repeats. Empty: one wave. */
  batch: z.array(z.int().min(1)).max(1000).default([]),
  max_unavailable: z.int().min(0).max(1000).default(0),
  rollback: z.boolean().default(true),
  retries: z.int().min(0).max(100).optional(),
  retry_delay_ms: waitMs.optional(),
  /** Nodes besides the author that hold the package. */
  sources: z.array(z.string()).max(16).default([]),
  /** Nodes that have not heard of an admin for `trust.max_stale` install the package all the same. */
  accept_stale: z.boolean().default(false),
})
/** A request as the daemon has parsed it. */
export type RolloutRequest = z.output<typeof requestSchema>

const envelopeSchema = z.looseObject({ payload: z.string(), payloadType: z.string(), signatures: z.array(z.unknown()) })

const planSchema = z.object({
  app: z.string(),
  package: packageSchema,
  generation: z.int(),
  waves: z.array(z.array(z.string())),
  nodes: z.array(
    z.object({
      node: z.string(),
      id: z.string(),
      /** From 1. */
      wave: z.int(),
      state: z.enum(['up', 'down', 'self']),
      /** Version that runs there, as the node said last; null where none does. */
      current: z.string().nullable(),
      change: z.enum(['install', 'replace', 'none']),
    }),
  ),
})

const resultSchema = z.object({
  node: z.string(),
  ok: z.boolean(),
  version: z.string().nullable(),
  state: z.enum(OUTCOME_STATES),
  /** From 1. */
  wave: z.int(),
  reason: z.string().optional(),
})

/** One step of one node. */
const progressSchema = z.object({
  node: z.string(),
  phase: z.enum(PHASES),
  bytes: z.int(),
  total: z.int(),
  /** Bytes that other nodes sent for it; the rest was here already. */
  moved: z.int(),
  wave: z.int(),
  error: z.string().optional(),
})

/** The last line: what came of it. */
const endSchema = z.object({
  done: z.literal(true),
  ok: z.boolean(),
  /** The wait ended, not the rollout. */
  timed_out: z.boolean(),
  id: z.string(),
  short: z.string(),
  app: z.string(),
  version: z.string(),
  state: z.enum(ROLLOUT_STATES),
  reason: z.string().nullable(),
  results: z.array(resultSchema),
})

const eventSchema = z.union([endSchema, progressSchema])
/** A line of `deploy` and `rollout watch`. */
export type RolloutEvent = z.output<typeof eventSchema>
/** The last line. */
export type RolloutEnd = z.output<typeof endSchema>
/** Any line but the last. */
export type RolloutProgress = z.output<typeof progressSchema>

const rowSchema = z.object({
  id: z.string(),
  short: z.string(),
  app: z.string(),
  package: packageSchema,
  state: z.enum(ROLLOUT_STATES),
  author: z.string(),
  created: z.iso.datetime(),
  expires: z.iso.datetime(),
  nodes: z.int(),
  healthy: z.int(),
})
/** A row of `rollout list`. */
export type RolloutRow = z.output<typeof rowSchema>

const statusSchema = rowSchema.extend({
  generation: z.int(),
  settled: z.boolean(),
  ok: z.boolean(),
  reason: z.string().nullable(),
  waves: z.array(z.array(z.string())),
  results: z.array(resultSchema.extend({ id: z.string(), phase: z.enum(PHASES).nullable() })),
})
/** The answer of `rollout status`. */
export type RolloutStatus = z.output<typeof statusSchema>
/** The answer of `deploy --plan`. */
export type RolloutPlan = z.output<typeof planSchema>

const idParams = z.object({ id: z.string().min(1).max(64) })

/** Rollouts over the API. */
export const rolloutContract = {
  plan: defineCall({
    method: 'POST',
    path: '/v1/rollout/plan',
    role: 'viewer',
    summary: 'What a deploy would change, node by node; moves nothing',
    subject: appOfRequest,
    body: requestSchema,
    response: planSchema,
  }),
  sign: defineCall({
    method: 'POST',
    path: '/v1/rollout/sign',
    role: 'admin',
    localOnly: true,
    summary: 'A rollout document for the request, signed by this node; moves nothing',
    body: requestSchema,
    response: z.object({ id: z.string(), envelope: envelopeSchema }),
  }),
  submit: defineStream({
    method: 'POST',
    path: '/v1/rollout',
    role: 'operator',
    summary: 'Begin a signed rollout and follow it; it goes on when the caller leaves',
    subject: appOfDocument,
    body: z.strictObject({ envelope: envelopeSchema, timeout_ms: waitMs.optional() }),
    event: eventSchema,
  }),
  list: defineCall({
    method: 'GET',
    path: '/v1/rollout',
    role: 'viewer',
    summary: 'The rollouts that this node knows, newest first; of them those that the caller may see',
    filtered: true,
    response: z.array(rowSchema),
  }),
  status: defineCall({
    method: 'GET',
    path: '/v1/rollout/{id}',
    role: 'viewer',
    summary: 'One rollout, node by node; the id may be a unique start',
    filtered: true,
    params: idParams,
    response: statusSchema,
  }),
  watch: defineStream({
    method: 'GET',
    path: '/v1/rollout/{id}/watch',
    role: 'viewer',
    summary: 'Follow a rollout until nothing more is expected of it',
    filtered: true,
    params: idParams,
    query: z.object({ timeout_ms: z.coerce.number().int().min(0).max(MAX_WAIT_MS).optional() }),
    event: eventSchema,
  }),
  signHalt: defineCall({
    method: 'POST',
    path: '/v1/rollout/halt/sign',
    role: 'admin',
    localOnly: true,
    summary: 'A halt of a rollout, signed by this node',
    body: z.strictObject({
      /** The whole id: this node may not hold the rollout itself. */
      id: z.string().regex(/^[0-9a-f]{64}$/),
      revert: z.boolean().default(false),
      reason: z.string().max(500).optional(),
    }),
    response: z.object({ envelope: envelopeSchema }),
  }),
  halt: defineCall({
    method: 'POST',
    path: '/v1/rollout/halt',
    role: 'operator',
    summary: 'Halt a rollout by a signed statement',
    filtered: true,
    body: z.strictObject({ envelope: envelopeSchema }),
    response: statusSchema,
  }),
}
