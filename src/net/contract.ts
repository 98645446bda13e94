import { z } from 'zod'
import { defineCall, defineStream, queryFlag } from '../api/index.ts'
import { dhtContract } from './dht/contract.ts'

/** How a connection came about. */
const kind = z.enum(['tcp', 'punched', 'websocket', 'datachannel', 'relayed'])
/** A peer with its name here; null where it has none. */
const named = z.object({ id: z.string(), name: z.string().nullable() })

const path = z.object({
  path: z.enum(['direct', 'relayed']),
  kind,
  via: named.nullable().describe('the relay that it goes over; null for a direct one'),
  lan: z.boolean().describe('the other side is on a network of this machine'),
  why: z.string().nullable().describe('why it is not direct; null where it is'),
})

const peerShape = path.extend({
  /** Null for a peer without a name here. */
  name: z.string().nullable(),
  id: z.string(),
  address: z.string(),
  direction: z.enum(['inbound', 'outbound']),
  latency_ms: z.number().nullable(),
  agent: z.string().nullable(),
  encryption: z.string(),
  key_exchange: z.string().nullable().describe('such as X25519MLKEM768; null where this side is not told'),
  since: z.string(),
})
/** A peer that this node is connected with. */
export type PeerView = z.output<typeof peerShape>

const mapping = z.enum(['none', 'EIM', 'ADM', 'APDM', 'blocked', 'unknown'])
const reachShape = z.object({
  reachability: z.enum(['public', 'private', 'unknown']).describe('whether others can dial this node'),
  nat: z
    .object({
      summary: z.string(),
      udp: z.object({ mapping, filtering: z.enum(['EIF', 'ADF', 'APDF', 'unknown']) }),
      tcp: z.object({ mapping }),
      mapped: z.string().nullable().describe('the IP address at which this node is seen'),
      at: z.string(),
    })
    .nullable()
    .describe('what lies between this node and others; null until it was measured'),
  addresses: z.array(z.string()),
  mapped: z.array(z.string()).describe('addresses that the router forwards to this node'),
  reservations: z
    .array(
      z.object({
        relay: named,
        since: z.string(),
        expires: z.string(),
        rtt_ms: z.number().nullable(),
        mapped_ip: z.string().nullable(),
      }),
    )
    .describe('relays that keep a way to this node open'),
  relays: z.array(named).describe('relays that this node would use, best first'),
  serves: z.boolean().describe('this node serves as a relay'),
  contacts: z.int().nullable().describe('nodes in the private table; null where this node takes no part in it'),
  clocks: z
    .array(z.object({ node: named, offset_ms: z.number(), bound_ms: z.number(), at: z.string() }))
    .describe('how far the clocks of others are ahead of this one, and how sure that is'),
  unreachable: z.array(z.object({ node: named, why: z.string() })).describe('nodes that were tried in vain, and why'),
})

/** A node by name, unique prefix of its id, or id; where `connect` is meant also a multiaddr. */
const target = z.object({ node: z.string().min(1).max(512) })

/** Most pings of one call, a day of one a second. */
const MAX_PINGS = 86_400

/** The calls about peers (NET-9). */
export const netContract = {
  ...dhtContract,
  list: defineCall({
    method: 'GET',
    path: '/v1/peer',
    role: 'viewer',
    summary: 'The peers that this node is connected with',
    query: z.object({ all: queryFlag() }),
    response: z.array(peerShape),
  }),
  reach: defineCall({
    method: 'GET',
    path: '/v1/peer/reach',
    role: 'viewer',
    summary: 'How this node can be reached: NAT, relays, addresses, clocks, and whom it cannot reach',
    response: reachShape,
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
      kind: kind.nullable(),
      via: named.nullable(),
      lan: z.boolean(),
      why: z.string().nullable().describe('why the path is not direct'),
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
