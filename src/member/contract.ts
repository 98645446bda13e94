import { z } from 'zod'
import { defineCall, ROLES } from '../api/index.ts'

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
  latency_ms: z.number().nullable(),
  seen: z.string().nullable().describe('when it was last connected, ISO 8601; null if never'),
})
/** A node as everybody is shown it. */
export type NodeView = z.output<typeof nodeView>

const targets = z.array(z.string()).or(z.string().transform((one) => [one]))

export const memberContract = {
  list: defineCall({
    method: 'GET',
    path: '/v1/node',
    role: 'viewer',
    summary: 'The nodes of the network, as this node sees them',
    query: z.object({ on: targets.optional().describe('names, ids or label selectors; all nodes where absent') }),
    response: z.array(nodeView),
  }),
}
