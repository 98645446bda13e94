import { z } from 'zod'
import { defineCall, ROLES } from '../api/index.ts'

/** An invite as it is shown; never its secret. */
export const inviteView = z.object({
  id: z.string(),
  name: z.string().nullable().describe('name of the node that joins by it; null: it chooses'),
  role: z.enum(ROLES),
  labels: z.record(z.string(), z.string()),
  uses: z.int(),
  joined: z.array(z.object({ id: z.string(), name: z.string(), state: z.enum(['member', 'waiting', 'removed']) })),
  created: z.string(),
  expires: z.string(),
  by: z.string().describe('name of the admin that made it'),
  state: z.enum(['open', 'used', 'expired', 'closed']),
})
/** An invite as it is shown. */
export type InviteView = z.output<typeof inviteView>

/** The calls on invites. */
export const inviteContract = {
  create: defineCall({
    method: 'POST',
    path: '/v1/node/invite',
    role: 'admin',
    localOnly: true,
    summary: 'Makes a join code for a new node',
    body: z.strictObject({
      name: z.string().optional(),
      role: z.enum(ROLES).default('member'),
      labels: z.record(z.string(), z.string()).default({}),
      ttl_ms: z
        .int()
        .min(1000)
        .max(365 * 86_400_000),
      uses: z.int().min(1).max(1000).default(1),
    }),
    response: inviteView.extend({ code: z.string().describe('the join code; shown once, kept nowhere') }),
  }),
  list: defineCall({
    method: 'GET',
    path: '/v1/node/invite',
    role: 'viewer',
    summary: 'The invites of the network, newest first, without their secrets',
    response: z.array(inviteView),
  }),
  close: defineCall({
    method: 'POST',
    path: '/v1/node/invite/{invite}/close',
    role: 'admin',
    localOnly: true,
    summary: 'Ends an invite; who joined by it stays',
    params: z.object({ invite: z.string().min(1).max(64) }),
    response: inviteView,
  }),
}
