import { z } from 'zod'
import { defineCall, defineStream } from '../api/contract.ts'

const params = z.object({ app: z.string().min(1).max(63) })
const time = z.string()

/** A row of `list`; the fields are promised to scripts. */
export const appRowSchema = z.object({
  node: z.string(),
  app: z.string(),
  version: z.string().nullable(),
  status: z.enum(['stopped', 'starting', 'running', 'failed']),
  health: z.enum(['none', 'pending', 'healthy', 'unhealthy']),
  pid: z.number().int().nullable(),
  since: time,
  restarts: z.number().int(),
  ports: z.record(z.string(), z.number().int()),
  /** When this was so. */
  seen: time,
})
/** A row of `list`. */
export type AppRow = z.output<typeof appRowSchema>

/** All that is known of an app on its node. */
export const appStatusSchema = appRowSchema.extend({
  package: z.string(),
  digest: z.string().nullable(),
  generation: z.number().int(),
  desired: z.enum(['running', 'stopped']),
  placement: z.string(),
  /** Why it failed or is unhealthy. */
  reason: z.string().nullable(),
  /** How the last run ended, while nothing runs; as a shell has it. */
  exit_code: z.number().int().nullable(),
  exit: z.string().nullable(),
  /** The version that is being switched to. */
  pending: z.string().nullable(),
})
/** What `app status` shows of an app on one node. */
export type AppStatus = z.output<typeof appStatusSchema>

/** An installed version of an app. */
export const appVersionSchema = z.object({
  version: z.string(),
  digest: z.string(),
  installed: time,
  state: z.enum(['installed', 'good', 'bad']),
  active: z.boolean(),
})
/** An installed version of an app. */
export type AppVersion = z.output<typeof appVersionSchema>

/** A deploy, switch or rollback of an app. */
export const appHistorySchema = z.object({
  time,
  kind: z.enum(['deploy', 'switch', 'rollback', 'revert']),
  from: z.string().nullable(),
  to: z.string().nullable(),
  ok: z.boolean(),
  reason: z.string().nullable(),
})
/** A deploy, switch or rollback of an app. */
export type AppHistory = z.output<typeof appHistorySchema>

/** A line of an app; `stream` is `stdout` or `stderr`. */
export const logLineSchema = z.object({
  time,
  node: z.string(),
  app: z.string(),
  stream: z.enum(['stdout', 'stderr']),
  line: z.string(),
  /** A reader that was cut off goes on by it. */
  cursor: z.string(),
})
/** A line of an app. */
export type LogRow = z.output<typeof logLineSchema>

const logQuery = z.object({
  follow: z.enum(['true', 'false']).default('false'),
  cursor: z.string().max(40).optional(),
  tail: z.coerce.number().int().min(0).max(1_000_000).optional(),
  /** Milliseconds since 1970. */
  since: z.coerce.number().optional(),
  stderr: z.enum(['true', 'false']).default('false'),
})

const target = z.string().max(512)
const onTargets = z
  .array(target)
  .max(1000)
  .or(target.transform((one) => [one]))

/** The calls of the folder; all but `list` act on the node that answers. */
export const appContract = {
  list: defineCall({
    method: 'GET',
    path: '/v1/app',
    role: 'viewer',
    summary: 'The apps of the network, as each node said last; of them those that the caller may see',
    filtered: true,
    query: z.object({ on: onTargets.optional().describe('names, ids or label selectors; all nodes where absent') }),
    response: z.array(appRowSchema),
  }),
  status: defineCall({
    method: 'GET',
    path: '/v1/app/{app}',
    role: 'viewer',
    summary: 'All about one app on this node',
    params,
    response: appStatusSchema,
  }),
  start: defineCall({
    method: 'POST',
    path: '/v1/app/{app}/start',
    role: 'operator',
    summary: 'Start an app that was stopped or has ended',
    params,
    response: appStatusSchema,
  }),
  stop: defineCall({
    method: 'POST',
    path: '/v1/app/{app}/stop',
    role: 'operator',
    summary: 'Stop an app; it stays stopped until it is started',
    params,
    response: appStatusSchema,
  }),
  restart: defineCall({
    method: 'POST',
    path: '/v1/app/{app}/restart',
    role: 'operator',
    summary: 'Stop an app and start it again',
    params,
    response: appStatusSchema,
  }),
  remove: defineCall({
    method: 'POST',
    path: '/v1/app/{app}/remove',
    role: 'operator',
    summary: 'Stop an app and remove its versions and logs, with purge also its data',
    params,
    body: z.strictObject({ purge: z.boolean().default(false) }),
    response: z.object({ node: z.string(), app: z.string(), data_kept: z.string().nullable() }),
  }),
  versions: defineCall({
    method: 'GET',
    path: '/v1/app/{app}/version',
    role: 'viewer',
    summary: 'The installed versions of an app, newest first',
    params,
    response: z.array(appVersionSchema),
  }),
  switch: defineCall({
    method: 'POST',
    path: '/v1/app/{app}/switch',
    role: 'operator',
    summary: 'Run another installed version; goes back by itself when that is not healthy',
    params,
    body: z.strictObject({ version: z.string().min(1).max(128) }),
    response: appStatusSchema,
  }),
  rollback: defineCall({
    method: 'POST',
    path: '/v1/app/{app}/rollback',
    role: 'operator',
    summary: 'Run the version that was active before',
    params,
    response: appStatusSchema,
  }),
  history: defineCall({
    method: 'GET',
    path: '/v1/app/{app}/history',
    role: 'viewer',
    summary: 'Deploys, switches and rollbacks of an app, newest first',
    params,
    response: z.array(appHistorySchema),
  }),
  logs: defineStream({
    method: 'GET',
    path: '/v1/app/{app}/logs',
    role: 'viewer',
    summary: 'The lines of an app in the order of time; with follow also those to come',
    params,
    query: logQuery,
    event: logLineSchema,
  }),
}
