import { once } from 'node:events'
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Clock } from '../base/clock.ts'
import type { Counters } from '../base/counters.ts'
import { baseErrors } from '../base/errors.ts'
import type { Network } from '../net/index.ts'
import { parseEndpoint } from './endpoint.ts'
import { type Gauge, writeMetrics } from './metrics.ts'

/** A monitor sends a line and some headers. */
const MAX_HEADER_BYTES = 8 * 1024
const REQUEST_TIMEOUT_MS = 5_000
/** A monitor or three, and room for those that hang. */
const MAX_CONNECTIONS = 64

/** What the pages show. */
export interface HealthSource {
  readonly network: Pick<Network, 'reach' | 'connections' | 'addresses'>
  readonly counters: Counters
  readonly clock: Clock
  /** `clock.monotonicMs()` when the node began to start. */
  readonly startedMs: number
}

/** A page for monitors that is open. */
export interface HealthServer {
  /** `HOST:PORT` at which it listens. */
  readonly address: string
  /** Closes it and all its connections. */
  stop(): Promise<void>
}

/**
 * Answers `GET /healthz` with 200 where the node serves as a relay and listens, with 503 where not (OBS-2), for a server
 * that others run: what it shows is for everybody. Everything else is 404.
 */
export function healthListener(source: HealthSource): RequestListener {
  return (request, response) => answer(request, response, { source, metrics: false })
}

/**
 * The page for monitors at `HOST:PORT`: `/healthz`, and `/metrics` for Prometheus. On a wildcard address `/metrics` is
 * for this machine alone; who names an address wants it there. Fails with `port_in_use`, `invalid_value`, or
 * `permission_denied`.
 */
export async function startHealthServer(endpoint: string, source: HealthSource): Promise<HealthServer> {
  const wanted = parseEndpoint(endpoint)
  if (wanted === undefined) throw baseErrors.invalid_value(`relay.health: "${endpoint}" is not HOST:PORT`)
  const isWildcard = ['0.0.0.0', '::', '*'].includes(wanted.host)
  const server = createServer({ maxHeaderSize: MAX_HEADER_BYTES, requestTimeout: REQUEST_TIMEOUT_MS })
  server.maxConnections = MAX_CONNECTIONS
  server.on('request', (request, response) => {
    const metrics = !isWildcard || isLoopback(request.socket.remoteAddress)
    answer(request, response, { source, metrics })
  })
  server.listen(wanted.port, wanted.host === '*' ? '::' : wanted.host)
  await Promise.race([once(server, 'listening'), once(server, 'error').then(([error]) => Promise.reject(error))]).catch(
    (error: unknown) => {
      throw listenError(endpoint, error as NodeJS.ErrnoException)
    },
  )
  const { address, port, family } = server.address() as AddressInfo
  return {
    address: family === 'IPv6' ? `[${address}]:${port}` : `${address}:${port}`,
    async stop() {
      if (!server.listening) return
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
    },
  }
}

function listenError(endpoint: string, cause: NodeJS.ErrnoException): Error {
  const hint = 'See and change it: warren config get relay.health'
  if (cause.code === 'EADDRINUSE') {
    return baseErrors.port_in_use(`relay.health: another program listens on ${endpoint}`, { cause, hint })
  }
  if (cause.code === 'EACCES') {
    return baseErrors.permission_denied(`relay.health: ${endpoint} needs more rights`, { cause, hint })
  }
  return baseErrors.invalid_value(`relay.health: cannot listen on ${endpoint}: ${cause.message}`, { cause, hint })
}

interface AnswerOptions {
  readonly source: HealthSource
  readonly metrics: boolean
}

function answer(request: IncomingMessage, response: ServerResponse, options: AnswerOptions): void {
  const { status, body, type = 'text/plain' } = pageOf(request, options)
  response.writeHead(status, { 'content-type': `${type}; charset=utf-8`, 'cache-control': 'no-store' })
  response.end(body)
}

interface Page {
  readonly status: number
  readonly body: string
  readonly type?: string
}

function pageOf(request: IncomingMessage, { source, metrics }: AnswerOptions): Page {
  const path = (request.url ?? '').split('?')[0]
  if (request.method !== 'GET' && request.method !== 'HEAD') return { status: 405, body: 'only GET\n' }
  if (path === '/healthz') {
    const { isServing, body } = healthOf(source)
    return { status: isServing ? 200 : 503, body: `${JSON.stringify(body)}\n`, type: 'application/json' }
  }
  if (path !== '/metrics') return { status: 404, body: 'nothing here\n' }
  if (!metrics) return { status: 403, body: 'metrics are for this machine alone\n' }
  const body = writeMetrics(source.counters.entries(), gaugesOf(source))
  return { status: 200, body, type: 'text/plain; version=0.0.4' }
}

function healthOf(source: HealthSource) {
  const isServing = source.network.reach().relay !== null && source.network.addresses().length > 0
  return {
    isServing,
    body: {
      status: isServing ? 'ok' : 'unavailable',
      uptime_seconds: uptimeSeconds(source),
      connected_peers: connectedPeers(source),
    },
  }
}

function gaugesOf(source: HealthSource): Gauge[] {
  const { relay, reservations } = source.network.reach()
  return [
    { name: 'uptime_seconds', help: 'Seconds since the node started.', value: uptimeSeconds(source) },
    { name: 'connected_peers', help: 'Nodes that this one is connected with.', value: connectedPeers(source) },
    { name: 'relay_serving', help: '1 where this node serves as a relay.', value: relay === null ? 0 : 1 },
    {
      name: 'relay_reservations_held',
      help: 'Nodes that hold a reservation here.',
      value: relay?.reservations.length ?? 0,
    },
    { name: 'relay_circuits_open', help: 'Relayed connections over this node.', value: relay?.circuits.length ?? 0 },
    {
      name: 'relay_client_reservations_held',
      help: 'Relays that hold a way to this node open.',
      value: reservations.length,
    },
  ]
}

function uptimeSeconds({ clock, startedMs }: HealthSource): number {
  return Math.floor((clock.monotonicMs() - startedMs) / 1000)
}

function connectedPeers({ network }: HealthSource): number {
  return new Set(network.connections().map(({ peer }) => peer)).size
}

function isLoopback(address: string | undefined): boolean {
  return address !== undefined && /^(::ffff:)?127\.|^::1$/.test(address)
}
