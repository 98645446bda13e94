import { z } from 'zod'
import { defineCall, defineStream, queryFlag } from '../api/index.ts'

const peerShape = z.object({
  /** Null for a peer without a name here. */
  name: z.string().nullable(),
  id: z.string(),
  path: z.enum(['direct', 'relayed']),
  address: z.string(),
  direction: z.enum(['inbound', 'outbound']),
  latency_ms: z.number().nullable(),
  agent: z.string().nullable(),
  encryption: z.string(),
  since: z.string(),
})

/** A node by name, unique prefix of its id, or id; where `connect` is meant also a multiaddr. */
const target = z.object({ node: z.string().min(1).max(512) })

/** Most pings of one call, a day of one a second. */
const MAX_PINGS = 86_400

/** The calls about peers (NET-9). */
export const netContract = {
  list: defineCall({
    method: 'GET',
    path: '/v1/peer',
    role: 'viewer',
    summary: 'The peers that this node is connected with',
    query: z.object({ all: queryFlag() }),
    response: z.array(peerShape),
  }),
  ping: defineStream({
    method: 'POST',
    path: '/v1/peer/ping',
    role: 'viewer',
    summary: 'Round trips to a node, one event each',
    body: target.extend({
      count: z.int().min(1).max(MAX_PINGS).default(4),
      interval_ms: z.int().min(10).max(3_600_000).default(1_000),
      timeout_ms: z.int().min(1).max(60_000).default(10_000),
    }),
    event: z.object({
      seq: z.int(),
      id: z.string(),
      name: z.string().nullable(),
      latency_ms: z.number().nullable(),
      path: z.enum(['direct', 'relayed']).nullable(),
      address: z.string().nullable(),
      error: z.object({ code: z.string(), message: z.string() }).optional(),
    }),
  }),
  connect: defineCall({
    method: 'POST',
    path: '/v1/peer/connect',
    role: 'admin',
    summary: 'Connect to a node or to an address',
    body: target,
    response: peerShape,
  }),
  disconnect: defineCall({
    method: 'POST',
    path: '/v1/peer/disconnect',
    role: 'admin',
    summary: 'Close the connections with a node and keep them closed until it is connected again',
    body: target,
    response: z.object({ id: z.string(), name: z.string().nullable(), closed: z.int() }),
  }),
}
