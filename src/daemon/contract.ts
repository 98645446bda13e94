import { z } from 'zod'
import { defineCall } from '../api/index.ts'

/** A node at a glance; the shape scripts rely on. */
export const daemonStatus = z.object({
  id: z.string().describe('peer id of this node'),
  name: z.string(),
  version: z.string(),
  pid: z.number().int(),
  uptime_seconds: z.number(),
  peers: z.number().int().describe('connected nodes'),
  apps: z.number().int().describe('apps installed here'),
  state: z.enum(['starting', 'running', 'stopping']),
  network: z.string().describe('id of the network'),
  role: z.string(),
  addresses: z.array(z.string()),
  placement: z.string().describe('how apps are kept together on this machine'),
  problems: z.array(z.string()).describe('what a person should look at'),
})

export const daemonContract = {
  status: defineCall({
    method: 'GET',
    path: '/v1/daemon/status',
    role: 'viewer',
    summary: 'This node at a glance',
    response: daemonStatus,
  }),
  doctor: defineCall({
    method: 'GET',
    path: '/v1/daemon/doctor',
    role: 'viewer',
    summary: 'What is wrong with this node and its machine, and how to mend it',
    response: z.array(
      z.object({
        name: z.string().describe('what was looked at'),
        outcome: z.enum(['ok', 'warning', 'failed', 'skipped']),
        message: z.string(),
        hint: z.string().optional().describe('what mends it'),
      }),
    ),
  }),
  stop: defineCall({
    method: 'POST',
    path: '/v1/daemon/stop',
    role: 'admin',
    localOnly: true,
    summary: 'Ends the daemon; apps go on unless they are to stop too',
    body: z.object({ apps: z.boolean().default(false).describe('stop all apps first') }),
    response: z.object({ pid: z.number().int(), apps_stopped: z.array(z.string()) }),
  }),
  openapi: defineCall({
    method: 'GET',
    path: '/v1/daemon/openapi',
    role: 'viewer',
    summary: 'The OpenAPI document of this release',
    response: z.record(z.string(), z.unknown()),
  }),
}
