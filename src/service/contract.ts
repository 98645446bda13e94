import { z } from 'zod'
import { defineCall, defineStream, queryFlag } from '../api/index.ts'
import { MAX_NAMED } from './limits.ts'

const name = z.string().min(1).max(63)
const kind = z.enum(['tcp', 'udp'])
const node = z.string().min(1).max(128)
const localPort = z.int().min(0).max(65_535)

/** TCP or UDP. */
export type ServiceKind = z.output<typeof kind>

/** A service as it is shown. */
export const serviceView = z.object({
  node: z.string().describe('name of the node that exposes it'),
  name: z.string(),
  kind,
  port: z.int().describe('of its target, which a proxy prefers too'),
  target: z.string().nullable().describe('host and port; null for who may not see it'),
  to: z.array(z.string()).describe('roles, nodes and tokens that may connect, besides admins and grants'),
  allowed: z.boolean().describe('whether the node that asks may connect'),
})
/** A service as it is shown. */
export type ServiceView = z.output<typeof serviceView>

const path = z.object({
  /** `none`: not connected now; the next connection dials. */
  path: z.enum(['self', 'direct', 'relayed', 'none']),
  /** Milliseconds of the last round trip. */
  latency_ms: z.number().nullable(),
  /** What carries it, such as `tcp` or `punched`. */
  carrier: z.string().nullable(),
  /** Name of the relay that it goes over. */
  via: z.string().nullable(),
  /** Why it is not direct, or why there is none, where that is known. */
  why: z.string().nullable(),
})
/** The way to a node, as a proxy shows it. */
export type PathView = z.output<typeof path>

/** A proxy as it is shown. */
export const proxyView = z.object({
  id: z.string(),
  node: z.string(),
  service: z.string(),
  kind,
  local: z.array(z.string()).describe('where it listens; for a pipe the path of its socket'),
  kept: z.boolean().describe('true: it is there again after a restart of the daemon'),
  connections: z.int().describe('open now'),
  total: z.int().describe('since the daemon started'),
  bytes_in: z.number().describe('from the service'),
  bytes_out: z.number().describe('to the service'),
  problem: z.string().nullable().describe('why it does not listen, or why the last connection failed'),
  ...path.shape,
})
/** A proxy as it is shown. */
export type ProxyView = z.output<typeof proxyView>

const wanted = z.strictObject({
  node: node.describe('a node; NODE/SERVICE; or a name out of service.names'),
  service: name.optional(),
  port: localPort.optional().describe('0: any; absent: that of the service where it is free'),
  bind: z.array(z.string().max(64)).max(8).optional().describe('addresses to listen on; default: loopback'),
})

const failure = z.object({ code: z.string(), message: z.string(), hint: z.string().nullable() })

/** The calls on services and proxies. A proxy is opened by this machine's own people only: it acts with its rights. */
export const serviceContract = {
  list: defineCall({
    method: 'GET',
    path: '/v1/service',
    role: 'viewer',
    summary: 'The services of the connected nodes, of one node, or of this one; a peer is told of this one’s only',
    query: z.object({ node: node.optional(), own: queryFlag() }),
    response: z.object({
      services: z.array(serviceView),
      silent: z.array(z.object({ node: z.string(), reason: z.string() })).describe('nodes that did not answer in time'),
    }),
  }),
  expose: defineCall({
    method: 'POST',
    path: '/v1/service',
    role: 'admin',
    summary: 'Exposes a port of this node, or one that it can reach, under a name; the same name is replaced',
    body: z.strictObject({
      name,
      target: z.string().max(262).describe('PORT, HOST:PORT or [IPV6]:PORT'),
      kind: kind.default('tcp'),
      to: z.array(z.string().min(1).max(128)).max(MAX_NAMED).default([]).describe('empty: operators'),
    }),
    response: serviceView.extend({ replaced: z.boolean() }),
  }),
  unexpose: defineCall({
    method: 'POST',
    path: '/v1/service/{service}/remove',
    role: 'admin',
    summary: 'Exposes a service no longer, and cuts its connections',
    params: z.object({ service: name }),
    response: z.object({ name: z.string(), cut: z.int() }),
  }),
  proxy: defineStream({
    method: 'POST',
    path: '/v1/service/proxy',
    role: 'admin',
    localOnly: true,
    summary: 'Listens here for a service of another node as long as this stream lives, and tells how it goes',
    body: wanted.extend({ pipe: z.boolean().default(false).describe('one connection, over a Unix socket') }),
    event: z.discriminatedUnion('event', [
      proxyView.extend({ event: z.literal('open') }),
      path.extend({ event: z.literal('path') }),
      failure.extend({ event: z.literal('failed') }),
    ]),
  }),
  keep: defineCall({
    method: 'POST',
    path: '/v1/service/proxy/keep',
    role: 'admin',
    localOnly: true,
    summary: 'Listens here for a service of another node, also after restarts, until it is closed',
    body: wanted,
    response: proxyView,
  }),
  proxies: defineCall({
    method: 'GET',
    path: '/v1/service/proxy',
    role: 'viewer',
    summary: 'The proxies that this node has open',
    response: z.array(proxyView),
  }),
  close: defineCall({
    method: 'POST',
    path: '/v1/service/proxy/{proxy}/close',
    role: 'admin',
    localOnly: true,
    summary: 'Closes a proxy and its connections; `all` closes each',
    params: z.object({ proxy: z.string().min(1).max(32) }),
    response: z.object({ closed: z.array(z.string()) }),
  }),
}
