import { join } from 'node:path'
import { type Duplex, duplexPair } from 'node:stream'
import type { Rights } from '../api/index.ts'
import type { Clock } from '../base/clock.ts'
import type { Counters } from '../base/counters.ts'
import type { TellDecision } from '../base/decisions.ts'
import type { Logger } from '../base/log.ts'
import type { Directory } from '../member/index.ts'
import type { Network } from '../net/index.ts'
import type { PathView, ServiceView } from './contract.ts'
import { type NameServer, startNameServer } from './dns/name-server.ts'
import { openExposed, roleIn } from './exposed.ts'
import { createFinder, type Finder } from './find.ts'
import { listServices, openService } from './protocol/client.ts'
import { startServiceServer } from './protocol/server.ts'
import { createProxies, type Proxies } from './proxies.ts'
import type { ProxyTarget } from './proxy-deps.ts'
import { type Asker, DEFAULT_TO } from './rights.ts'
import { parseTarget } from './service-name.ts'

/** What the services of a node need. */
export interface ServicesOptions {
  /** Holds `exposed.json` and `proxies.json`. */
  readonly folder: string
  /** Where pipes have their sockets: a folder of this user's alone, with room for 11 more letters in its path. */
  readonly doorFolder: string
  readonly network: Network
  readonly directory: Directory
  /** The node or token that a name or id means. Fails where it means none. */
  readonly identify: (text: string) => { readonly id: string }
  /** Calls its listener whenever rights may have changed. */
  readonly onRightsChange: (listener: () => void) => () => void
  /** Resolves once the peer's roster was compared with ours, so that its rights are of today. */
  readonly whenExchanged: (peer: string) => Promise<void>
  /** Names of those who can give rights. */
  readonly whomToAsk: () => string
  /** `service:` of the config. */
  readonly settings: { readonly dns: string; readonly names: Readonly<Record<string, string>> }
  readonly tell: TellDecision
  readonly clock: Clock
  readonly log: Logger
  readonly counters: Counters
}

/** What is to be exposed. */
export interface ExposeRequest {
  readonly name: string
  readonly target: string
  readonly kind: 'tcp' | 'udp'
  readonly to: readonly string[]
}

/** The services of a node, and its ways to those of others. */
export interface Services {
  readonly finder: Finder
  readonly proxies: Proxies
  /** Exposes a target, or replaces what has its name, on the word of `by`: a node id, or `local`. Fails with `invalid_value`, `service_limit`, `node_not_found`. */
  expose(request: ExposeRequest, by?: string): Promise<ServiceView & { replaced: boolean }>
  /** Fails with `service_not_found`. */
  unexpose(name: string, by?: string): Promise<{ name: string; cut: number }>
  /** A stream of a service's bytes or datagrams; fails with the code of a refusal, as the network, and with `timed_out`. */
  open(target: ProxyTarget, signal: AbortSignal): Promise<Duplex>
  pathOf(peer: string): PathView
  /** Sentences for people on what is not as it should be. */
  problems(): string[]
  /** Opens what is kept, and the resolver where the config has one. */
  start(): Promise<void>
  stop(): Promise<void>
}

/** Serves what this node exposes, from now on; proxies and resolver begin with `start`. */
export async function createServices(options: ServicesOptions): Promise<Services> {
  const { folder, network, directory, identify, settings, tell, clock, log } = options
  const exposed = await openExposed({ file: join(folder, 'exposed.json'), clock, log })
  const finder = createFinder({
    directory,
    exposed,
    names: settings.names,
    ask: (peer, how) => listServices(network, peer, how),
  })
  const server = startServiceServer({
    ...options,
    exposed,
    askerOf: (peer) => ({ id: peer, rights: directory.rightsOf(peer) }),
    listFor: (asker) => finder.own(asker),
    nameOf: finder.nameOf,
  })
  const endListening = options.onRightsChange(() => void server.recheck())
  const open = (target: ProxyTarget, signal: AbortSignal): Promise<Duplex> =>
    openService(
      async (protocol, limit) =>
        target.peer === network.id
          ? openOwn(server.serve, network.id)
          : await network.open(target.peer, protocol, { signal: limit }),
      { service: target.service, kind: target.kind },
      { signal },
    )
  const pathOf = (peer: string): PathView => pathTo(network, finder.nameOf, peer)
  const proxies = await createProxies({ ...options, file: join(folder, 'proxies.json'), finder, open, pathOf })
  let names: NameServer | undefined
  let nameProblem: string | undefined

  return {
    finder,
    proxies,
    open,
    pathOf,
    async expose({ name, target, kind, to }, by = 'local') {
      const who = to.length === 0 ? DEFAULT_TO : to.map((word) => roleIn(word) ?? identify(word).id)
      const service = { name, kind, ...parseTarget(target), to: [...new Set(who)] }
      const { replaced } = await exposed.add(service)
      tell({
        what: 'service',
        outcome: 'done',
        by,
        subject: `expose ${name}`,
        detail: { target, to: service.to.join(', ') },
      })
      const view = finder.ownViews(self(directory)).find((each) => each.name === name) as ServiceView
      return { ...view, replaced }
    },
    async unexpose(name, by = 'local') {
      const before = server.connectionsOf(name)
      await exposed.remove(name)
      tell({ what: 'service', outcome: 'done', by, subject: `unexpose ${name}` })
      return { name, cut: before }
    },
    problems: () => [exposed.problem, nameProblem].filter((problem) => problem !== undefined),
    async start() {
      await proxies.start()
      if (settings.dns === '') return
      try {
        names = await startNameServer({ at: settings.dns, names: settings.names, finder, directory, open, clock, log })
      } catch (error) {
        nameProblem = `the resolver for .warren does not answer at ${settings.dns}: ${(error as Error).message}`
        log.error({ err: error }, nameProblem)
      }
    },
    async stop() {
      endListening()
      await names?.stop()
      await proxies.stop()
      server.stop()
    },
  }
}

/** This machine's own people, who can reach its ports in any case. */
function self(directory: Directory): Asker {
  return { id: directory.self.id, rights: OWNER }
}

const OWNER: Rights = { role: 'admin', grants: [] }

/** A stream to this node's own server, so that a name means the same on every node. */
function openOwn(serve: (stream: Duplex, asker: () => Asker) => Promise<void>, id: string): Duplex {
  const [near, far] = duplexPair()
  for (const [one, other] of [
    [near, far],
    [far, near],
  ] as const)
    one.once('close', () => void other.destroy())
  void serve(far, () => ({ id, rights: OWNER }))
  return near
}

function pathTo(network: Network, nameOf: (id: string) => string, peer: string): PathView {
  const none = { latency_ms: null, carrier: null, via: null, why: null }
  if (peer === network.id) return { path: 'self', ...none }
  const { state, kind, via, why } = network.path(peer)
  const relayed = state === 'relayed'
  const used = network.connections().find((connection) => connection.peer === peer && connection.relayed === relayed)
  const names = { carrier: kind, via: via === null ? null : nameOf(via) }
  return { path: state, latency_ms: used?.latencyMs ?? null, ...names, why }
}
