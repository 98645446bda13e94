/**
 * relay: a node in its role as a relay, seen from outside: its section of the config, what its state is over the API,
 * and the page that a monitor reads. The relay itself, which passes bytes between nodes that cannot reach each other,
 * is `net/relay`; whether a node serves as one, and which relays it uses, is decided in `net/path`.
 *
 * The daemon wires it: `relaySettings` goes to the network, `relayRoutes` to the router, and `startRelayService` runs
 * beside them. It never sees what is relayed.
 *
 * ```ts
 * const network = createNetwork({ …, relay: relaySettings(config.relay, { isMember, isRelay }) })
 * const service = await startRelayService({ endpoint: config.relay.health, network, counters, clock, startedMs, log })
 * await service.stop()
 * ```
 */
import type { Logger } from '../base/log.ts'
import { type HealthServer, type HealthSource, startHealthServer } from './health.ts'

export { type HealthServer, type HealthSource, healthListener } from './health.ts'
export { relayRoutes } from './routes.ts'
export { type RelayConfig, type RelayRules, relaySettings } from './settings.ts'

/** What runs beside a relay. */
export interface RelayService {
  /** `HOST:PORT` of the page for monitors; null where there is none. */
  readonly health: string | null
  stop(): Promise<void>
}

/** What `startRelayService` needs. */
export interface RelayServiceInit extends HealthSource {
  /** `relay.health` of the config: `HOST:PORT`, or empty. */
  readonly endpoint: string
  readonly log: Logger
}

/** Opens the page for monitors where the config names one. Fails with `port_in_use`, `invalid_value`, `permission_denied`. */
export async function startRelayService({ endpoint, log, ...source }: RelayServiceInit): Promise<RelayService> {
  if (endpoint === '') return { health: null, stop: async () => undefined }
  const server: HealthServer = await startHealthServer(endpoint, source)
  log.info({ address: server.address }, 'a page for monitors is open')
  return { health: server.address, stop: () => server.stop() }
}
