import { writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { createRouter, localDoorOf, openApiOf, type Rights, type Router } from '../api/index.ts'
import { appRoutes } from '../app/index.ts'
import { auditRoutes } from '../audit/index.ts'
import { systemClock } from '../base/clock.ts'
import { Counters } from '../base/counters.ts'
import { createLogger } from '../base/create-logger.ts'
import type { Logger } from '../base/log.ts'
import { version } from '../base/version.ts'
import { loadConfig } from '../config/index.ts'
import { keyRoutes } from '../identity/index.ts'
import { createForwarder, memberRoutes, openPeerDoor, parseSelector } from '../member/index.ts'
import { netRoutes } from '../net/index.ts'
import { lockHome, startLocalServer } from '../ops/index.ts'
import { relayRoutes, startRelayService } from '../relay/index.ts'
import { rolloutRoutes } from '../rollout/index.ts'
import { serviceRoutes } from '../service/index.ts'
import { transferRoutes } from '../transfer/index.ts'
import { checkNode } from './doctor.ts'
import { createFeatures, type FeatureOptions, type Features } from './features.ts'
import { requireNode } from './home.ts'
import { daemonRoutes } from './routes.ts'
import { sections } from './sections.ts'

export interface DaemonOptions {
  readonly home: string
  readonly configFile: string | undefined
  readonly env: Readonly<Record<string, string | undefined>>
  /** Listens here instead of where the config says; empty: as the config says. */
  readonly listen: readonly string[]
  /** For tests: called at each named step of a deploy, to crash there. */
  readonly faultPoint?: (name: string) => void | Promise<void>
}

/** Whoever may open the socket in the home owns its keys. */
const PERSON: Rights = { role: 'admin', grants: [] }

/** A daemon that has started. */
export interface RunningDaemon {
  /** Resolves when everything has stopped. */
  readonly stopped: Promise<void>
  /** Stops everything in reverse order of start; apps go on. Safe to call twice. */
  stop(): Promise<void>
}

/**
 * Starts the daemon of a home: takes its lock, reads its config and keys, starts the features in order, and answers on
 * its socket once all of them run. What had started is stopped again when a later step fails. Fails with
 * `home_not_found`, `daemon_already_running`, `config_invalid`, and as each feature does.
 */
export async function startDaemon(options: DaemonOptions): Promise<RunningDaemon> {
  const { home, env } = options
  await requireNode(home, options.configFile)
  const startedMs = performance.now()
  const stack = new AsyncDisposableStack()
  const stopped = Promise.withResolvers<void>()
  let stopping: Promise<void> | undefined
  const stop = (): Promise<void> => {
    stopping ??= stack.disposeAsync().then(stopped.resolve, stopped.reject)
    return stopping
  }
  try {
    const lock = lockHome(home)
    stack.defer(() => lock.release())
    const flags = options.listen.length === 0 ? {} : { 'net.listen': [...options.listen] }
    const config = await loadConfig({
      sections,
      home,
      env,
      flags,
      ...(options.configFile === undefined ? {} : { file: options.configFile }),
    })
    const log = createLogger(config.values.logging)
    for (const warning of config.warnings) log.warn({ folder: 'config' }, warning)
    await writeFile(join(home, 'run', 'daemon.pid'), `${process.pid}\n`)

    const counters = new Counters()
    const features = await createFeatures(
      {
        config: config.values,
        log,
        clock: systemClock,
        counters,
        version,
        env,
        doorFolder: dirname(localDoorOf(home, env).socket),
        faultPoint: options.faultPoint,
      },
      stack,
    )
    const { network, directory, roster, exchange, apps, rollouts, services } = features
    const router = createNodeRouter({ ...features, config: config.values, log, startedMs, stop })
    await network.start()
    const { health: endpoint } = config.values.relay
    const service = await startRelayService({ endpoint, network, counters, clock: systemClock, startedMs, log })
    stack.defer(() => service.stop())
    await apps.start()
    await rollouts.start()
    // Side by side: a turn whose version is on trial ends only when the apps stop, else with the time of the trial.
    stack.defer(async () => void (await Promise.all([rollouts.stop(), apps.stop()])))
    await services.start()
    // Not before the apps are found again: until then a log would seem empty, and an app not to be there.
    const whenExchanged = (peer: string) => exchange.whenExchanged(peer)
    stack.defer(openPeerDoor({ network, router, rightsOf: (peer) => roster.rightsOf(peer), whenExchanged }))
    const forward = createForwarder({ network, directory })
    const door = await startLocalServer({
      home,
      env,
      handle(request, response) {
        const node = request.headers['warren-node']
        const answer = () => void router.handle(request, response, { door: 'local', id: network.id, rights: PERSON })
        if (typeof node === 'string') void forward(request, response, { node, answer })
        else answer()
      },
    })
    stack.defer(() => door.stop())
    features.tell({ ...OWN, subject: `started, release ${version}`, detail: rulesOf(config.values) })
    stack.defer(() => features.tell({ ...OWN, subject: 'stopped' }))
    log.info({ name: directory.self.name, id: network.id, ms: Math.round(performance.now() - startedMs) }, 'ready')
    return { stopped: stopped.promise, stop }
  } catch (error) {
    await stack.disposeAsync()
    throw error
  }
}

const OWN = { what: 'daemon', outcome: 'done', by: 'local' } as const

/** The settings that decisions on trust depend on. */
function rulesOf({ net, security, trust }: FeatureOptions['config']) {
  return {
    gate: net.gate,
    require_signed_packages: security.require_signed_packages,
    max_stale_ms: trust.max_stale,
  }
}

type RouterParts = Features & {
  readonly config: FeatureOptions['config']
  readonly log: Logger
  readonly startedMs: number
  readonly stop: () => Promise<void>
}

/** The one router behind every door of this node. */
function createNodeRouter(parts: RouterParts): Router {
  const { config, network, directory, transfer, apps, summaries, rollouts, audit, log } = parts
  let openApi: Record<string, unknown> | undefined
  const admins = () => directory.nodes().filter(({ role }) => role === 'admin')
  const router: Router = createRouter({
    log: log.child({ folder: 'api' }),
    whomToAsk: () =>
      admins()
        .map(({ name }) => name)
        .join(', '),
    tell: parts.tell,
    routes: [
      ...daemonRoutes({
        ...parts,
        problems: () => problemsOf(parts),
        examine: () => checkNode({ ...parts, clock: systemClock, problems: () => problemsOf(parts) }),
        version,
        // Made once: it takes longer than any other answer, and whoever may look may ask for it again and again.
        openApi: () => {
          openApi ??= openApiOf(
            router.routes.map(({ call }) => call),
            { title: 'Warren', version },
          )
          return openApi
        },
      }),
      ...memberRoutes({ ...parts, clock: systemClock, maxStaleMs: config.trust.max_stale }),
      ...keyRoutes({
        ...parts,
        trustedFolder: join(config.storage.keys_dir, 'trusted'),
        packages: () => transfer.list(),
        checkSelector: (selector) => void parseSelector(selector),
      }),
      ...auditRoutes({ audit, heads: parts.auditHeads, nameOf: (id) => directory.nameOf(id) ?? id }),
      ...netRoutes({
        network,
        clock: systemClock,
        resolve: (text) => directory.resolve(text).id,
        nameOf: (peer) => directory.nameOf(peer) ?? null,
        known: () => directory.nodes().map(({ id }) => id),
      }),
      ...relayRoutes({ network, nameOf: (id) => directory.nameOf(id) ?? null }),
      ...transferRoutes(transfer),
      ...appRoutes(apps, { summaries, directory }),
      ...rolloutRoutes(rollouts),
      ...serviceRoutes(parts.services, { clock: systemClock }),
    ],
  })
  return router
}

/** What a person should look at besides the apps. */
function problemsOf(parts: Features): string[] {
  const { roster, admitted, audit, auditHeads, directory, authority, network, standing } = parts
  const mayLack = roster.state.admins.has(network.id) && !roster.ownLogConfirmed(network.id)
  return [
    standing.isCurrent() ? [] : `no rollout begins here, and no node is served: ${standing.why()}`,
    ...roster.state.alarms.map(({ message }) => message),
    admitted.problem() ?? [],
    audit.problem() ?? [],
    ...parts.services.problems(),
    auditHeads.rewound().map((id) => `the audit log of ${directory.nameOf(id) ?? id} was rewound or rewritten`),
    mayLack ? 'this home may be an older copy of itself, so it signs nothing: warren trust status' : [],
    authority.isLocked() ? 'authority.key is locked: warren key unlock' : [],
  ].flat()
}
