import { z } from 'zod'
import { defineCall } from '../api/index.ts'

const node = z.object({
  id: z.string(),
  /** Null where the node has no name here. */
  name: z.string().nullable(),
})

/** The calls about relays (NET-6). */
export const relayContract = {
  status: defineCall({
    method: 'GET',
    path: '/v1/relay',
    role: 'viewer',
    summary: 'What this node does as a relay, and which relays hold a way to it open',
    response: z.object({
      /** Null where this node is no relay. */
      server: z
        .object({
          reservations: z.array(z.object({ node, since: z.string(), circuits: z.int() })),
          circuits: z.array(z.object({ from: node, to: node, since: z.string(), bytes: z.number() })),
          limits: z.object({
            max_reservations: z.number(),
            max_circuits: z.number(),
            circuits_per_peer: z.number(),
            /** 0 is no limit, here and below. */
            circuit_bytes: z.number(),
            circuit_time_ms: z.number(),
            rate_per_peer: z.number(),
          }),
        })
        .nullable(),
      /** Relays that hold a way to this node open. */
      reservations: z.array(
        z.object({
          relay: node,
          since: z.string(),
          expires: z.string(),
          rtt_ms: z.number().nullable(),
          /** IP address from which the relay sees this node. */
          mapped_ip: z.string().nullable(),
        }),
      ),
      /** Relays that this node would use, best first. */
      relays: z.array(node),
      /** Whether others can dial this node without a relay. */
      reachability: z.enum(['public', 'private', 'unknown']),
    }),
  }),
}
