import { z } from 'zod'
import { defineCall, ROLES } from '../api/index.ts'

export * from './invite-contract.ts'
export * from './token-contract.ts'
export * from './trust-contract.ts'

/** A node as everybody is shown it; the shape scripts rely on. */
export const nodeView = z.object({
  id: z.string().describe('peer id'),
  name: z.string(),
  addresses: z.array(z.string()).describe('addresses it was last seen at'),
  labels: z.record(z.string(), z.string()),
  role: z.enum(ROLES),
  state: z.enum(['up', 'down', 'self']),
  version: z.string().nullable().describe('its release of Warren; null while unknown'),
  relayed: z.boolean().nullable().describe('whether the connection goes through a relay; null without one'),
  path: z
    .string()
    .nullable()
    .describe('how it is reached: direct, direct (lan), direct, punched, relayed by NAME; null without a connection'),
  why: z
    .string()
    .nullable()
    .describe('why it is not reached directly, or not at all; null where there is nothing to say'),
  latency_ms: z.number().nullable(),
  seen: z.string().nullable().describe('when it was last connected, ISO 8601; null if never'),
  waiting: z.boolean().describe('true: it has no rights until an admin confirms it'),
  expires: z.string().nullable().describe('when its membership ends, ISO 8601; null: never'),
})
/** A node as everybody is shown it. */
export type NodeView = z.output<typeof nodeView>

/** A right narrowed to apps or services, as it is shown. */
export const grantView = z.object({
  role: z.enum(['viewer', 'operator']),
  apps: z.array(z.string()).nullable(),
  services: z.array(z.string()).nullable(),
  expires: z.string().nullable(),
})
/** A right narrowed to apps or services, as it is shown. */
export type GrantView = z.output<typeof grantView>

/** All that the network knows of a node. */
export const nodeInfo = nodeView.extend({
  grants: z.array(grantView),
  authority: z.string().nullable().describe('id of the key that signs its statements; null where it is no admin'),
  invite: z.string().nullable().describe('id of the invite that it joined by'),
  invited_by: z.string().nullable().describe('the admin that made the invite'),
  changed_by: z.string().describe('the admin that said last what it is'),
  revision: z.int(),
})
/** All that the network knows of a node. */
export type NodeInfo = z.output<typeof nodeInfo>

/** Roles that a node can be added with; an admin also brings a key of its own. */
export const ADDED_ROLES = ['relay', 'member', 'viewer', 'operator'] as const

const targets = z.array(z.string()).or(z.string().transform((one) => [one]))
const params = z.object({ node: z.string().min(1).max(128) })
const labels = z.record(z.string(), z.string())
const names = z.array(z.string()).max(16).default([])
const expiresInMs = z.int().min(1).optional().describe('milliseconds from now')

/** The calls on nodes. Those that sign a statement are for this machine's own door: its node is the one that signs. */
export const memberContract = {
  list: defineCall({
    method: 'GET',
    path: '/v1/node',
    role: 'viewer',
    summary: 'The nodes of the network, as this node sees them',
    query: z.object({ on: targets.optional().describe('names, ids or label selectors; all nodes where absent') }),
    response: z.array(nodeView),
  }),
  info: defineCall({
    method: 'GET',
    path: '/v1/node/{node}/info',
    role: 'viewer',
    summary: 'All that the network knows of one node',
    params,
    response: nodeInfo,
  }),
  authority: defineCall({
    method: 'GET',
    path: '/v1/node/authority',
    role: 'admin',
    summary: 'The public key by which this node would sign as an admin; it is made where there is none',
    response: z.object({ id: z.string(), authority: z.string().describe('32 bytes in base64') }),
  }),
  add: defineCall({
    method: 'POST',
    path: '/v1/node',
    role: 'admin',
    localOnly: true,
    summary: 'Adds a node by its peer id, or confirms one that waits, by name or id',
    body: z.strictObject({
      node: z.string().min(1).max(128),
      name: z.string().optional(),
      role: z.enum(ADDED_ROLES).optional(),
      labels: labels.optional(),
      expires_in_ms: expiresInMs,
    }),
    response: nodeInfo,
  }),
  remove: defineCall({
    method: 'POST',
    path: '/v1/node/{node}/remove',
    role: 'admin',
    localOnly: true,
    summary: 'Removes a node for good, then changes the network key',
    params,
    response: z.object({
      id: z.string(),
      name: z.string(),
      network_key: z.int().nullable().describe('number of the new network key; null where it was not changed'),
      problem: z.string().nullable().describe('why the network key was not changed'),
    }),
  }),
  rename: defineCall({
    method: 'POST',
    path: '/v1/node/{node}/rename',
    role: 'admin',
    localOnly: true,
    summary: 'Gives a node another name',
    params,
    body: z.strictObject({ name: z.string().min(1).max(63) }),
    response: nodeInfo,
  }),
  label: defineCall({
    method: 'POST',
    path: '/v1/node/{node}/label',
    role: 'admin',
    localOnly: true,
    summary: 'Sets and removes labels of a node',
    params,
    body: z.strictObject({ set: labels.default({}), remove: z.array(z.string()).default([]) }),
    response: nodeInfo,
  }),
  grant: defineCall({
    method: 'POST',
    path: '/v1/node/{node}/grant',
    role: 'admin',
    localOnly: true,
    summary: 'Gives a node a role, or with apps or services a right narrowed to them',
    params,
    body: z.strictObject({ role: z.enum(ROLES), apps: names, services: names, expires_in_ms: expiresInMs }),
    response: nodeInfo,
  }),
  revoke: defineCall({
    method: 'POST',
    path: '/v1/node/{node}/revoke',
    role: 'admin',
    localOnly: true,
    summary: 'Takes rights of a node back; without role, apps and services all that go beyond a member’s',
    params,
    body: z.strictObject({ role: z.enum(ROLES).optional(), apps: names, services: names }),
    response: nodeInfo,
  }),
}
