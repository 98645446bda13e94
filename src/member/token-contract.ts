import { z } from 'zod'
import { defineCall, ROLES } from '../api/index.ts'

/** A deploy token as it is shown; never its secret. */
export const tokenView = z.object({
  id: z.string().describe('peer id that its holder acts under'),
  name: z.string(),
  role: z.enum(ROLES).describe('what it may do, everywhere or on its apps'),
  apps: z.array(z.string()).nullable().describe('the apps that it is for; null: all'),
  expires: z.string().nullable(),
  by: z.string().describe('name of the admin that made it'),
  state: z.enum(['valid', 'expired']),
})
/** A deploy token as it is shown. */
export type TokenView = z.output<typeof tokenView>

/** The calls on deploy tokens. */
export const tokenContract = {
  create: defineCall({
    method: 'POST',
    path: '/v1/token',
    role: 'admin',
    localOnly: true,
    summary: 'Makes a deploy token: an identity for a job that deploys',
    body: z.strictObject({
      name: z.string().min(1).max(63),
      role: z.enum(['viewer', 'operator']),
      apps: z.array(z.string()).max(16).default([]),
      expires_in_ms: z.int().min(1000).optional(),
    }),
    response: tokenView.extend({ token: z.string().describe('shown once, kept nowhere') }),
  }),
  list: defineCall({
    method: 'GET',
    path: '/v1/token',
    role: 'viewer',
    summary: 'The deploy tokens of the network, without their secrets',
    response: z.array(tokenView),
  }),
  remove: defineCall({
    method: 'POST',
    path: '/v1/token/{token}/remove',
    role: 'admin',
    localOnly: true,
    summary: 'Ends a deploy token for good, then changes the network key',
    params: z.object({ token: z.string().min(1).max(128) }),
    response: z.object({
      id: z.string(),
      name: z.string(),
      network_key: z.int().nullable().describe('number of the new network key; null where it was not changed'),
      problem: z.string().nullable().describe('why the network key was not changed'),
    }),
  }),
}
