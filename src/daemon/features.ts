import { join } from 'node:path'
import { type AppEvents, type Apps, createApps, type Summaries, startSummaries } from '../app/index.ts'
import { EventBus } from '../base/events.ts'
import { createPackageTrust, type Roster } from '../identity/index.ts'
import { parseSelector } from '../member/index.ts'
import { createRolloutRights, createRollouts } from '../rollout/index.ts'
import { createServices } from '../service/index.ts'
import { createTransfer } from '../transfer/index.ts'
import { createNode, type Node, type NodeOptions } from './node.ts'

export interface FeatureOptions extends NodeOptions {
  /** Where the daemon's own socket is: a folder of this user's alone. */
  readonly doorFolder: string
  /** For tests: called at each named step of a deploy, to crash there. */
  readonly faultPoint?: ((name: string) => void | Promise<void>) | undefined
}

/** Everything that a node consists of. */
export type Features = Awaited<ReturnType<typeof createFeatures>>

/**
 * Makes every feature of a node and what joins them, in the order in which each needs the ones before it. Nothing
 * listens or dials yet. What must be ended is put on the stack, which ends it in reverse order.
 */
export async function createFeatures(options: FeatureOptions, stack: AsyncDisposableStack) {
  const node = await createNode(options, stack)
  const rights = createRolloutRights({
    roster: node.roster,
    clock: options.clock,
    maxStaleMs: options.config.trust.max_stale,
  })
  const packages = await createPackages(options, node, stack)
  const { apps, summaries } = createNodeApps(options, { ...node, ...packages, rights }, stack)
  const wasInstalled = (digest: string): boolean =>
    apps.list().some(({ app }) => apps.versions(app).some((each) => each.digest === digest))
  const rollouts = createNodeRollouts(options, { ...node, ...packages, apps, summaries, wasInstalled, rights })
  stack.defer(node.roster.onChange(() => rollouts.rosterChanged()))
  const services = await createNodeServices(options, node, stack)
  return { ...node, ...packages, apps, summaries, rollouts, services }
}

async function createPackages(options: FeatureOptions, node: Node, stack: AsyncDisposableStack) {
  const { config, clock, counters } = options
  const { data, logOf, roster, database, network, directory, tell } = node
  const trust = createPackageTrust({
    trustedFolder: join(config.storage.keys_dir, 'trusted'),
    roster,
    settings: { requireSigned: config.security.require_signed_packages },
    labels: () => roster.state.nodes.get(directory.self.id)?.labels ?? {},
    selects: (selector, labels) => parseSelector(selector)(labels),
    tell,
  })
  const transfer = createTransfer({
    folders: { packages: join(data, 'packages'), store: join(data, 'store') },
    database,
    network,
    checkTrust: (question) => trust.check(question),
    mayServe: (peer) => isMember(roster, peer),
    maxPackageBytes: config.transfer.max_package_bytes,
    clock,
    log: logOf('transfer'),
    counters,
  })
  await transfer.start()
  stack.defer(() => transfer.stop())
  transfer.serve()

  return { trust, transfer }
}

interface Rights {
  readonly rights: ReturnType<typeof createRolloutRights>
}

interface Installed {
  /** Whether a version of this digest is installed here, so that it was checked before. */
  readonly wasInstalled: (digest: string) => boolean
}

type Packages = Awaited<ReturnType<typeof createPackages>>

function createNodeApps(options: FeatureOptions, node: Node & Packages & Rights, stack: AsyncDisposableStack) {
  const { config, clock, counters, log, env, faultPoint } = options
  const { data, logOf, roster, network, directory, transfer, rights } = node
  const events = new EventBus<AppEvents>((error) => log.error({ err: error }, 'a listener of the apps failed'))
  const apps = createApps({
    home: data,
    packages: transfer,
    events,
    // A new node learns its name from its first peer, and an admin may give it another one.
    get nodeName() {
      return directory.self.name
    },
    path: env.PATH ?? DEFAULT_PATH,
    stopGraceMs: config.app.stop_grace,
    logs: { maxBytes: config.app.log_file_size, files: config.app.log_files },
    keepVersions: config.app.keep_versions,
    clock,
    log: logOf('app'),
    counters,
    ...(faultPoint === undefined ? {} : { faultPoint }),
  })
  stack.defer(() => apps.stop())
  const summaries = startSummaries({
    network,
    own: () => apps.list().map(({ app }) => apps.status(app)),
    onChange: (listener) => {
      let rightsBefore = rightsIn(roster)
      const onRoster = (): void => {
        const before = rightsBefore
        rightsBefore = rightsIn(roster)
        if (rightsBefore !== before) listener()
      }
      const ends = [events.on('changed', listener), roster.onChange(onRoster)]
      return () => {
        for (const end of ends) end()
      }
    },
    isMember: (peer) => (roster.roleOf(peer) ?? 'relay') !== 'relay',
    maySee: (peer, app) => rights.maySee(peer, app),
    nameOf: (peer) => directory.nameOf(peer) ?? peer,
    clock,
    log: logOf('app'),
  })
  stack.defer(() => summaries.stop())

  return { apps, summaries }
}

type RolloutParts = Node & Packages & Installed & Rights & { readonly apps: Apps; readonly summaries: Summaries }

function createNodeRollouts(options: FeatureOptions, parts: RolloutParts) {
  const { config, clock, counters, faultPoint } = options
  const { data, logOf, keyring, roster, network, directory, standing, apps, transfer, trust, summaries, tell } = parts
  return createRollouts({
    folder: join(data, 'rollouts'),
    signer: keyring.node,
    networkId: () => roster.networkId,
    network,
    directory,
    rights: parts.rights,
    standing,
    wasInstalled: parts.wasInstalled,
    tell,
    apps,
    transfer,
    trust: {
      check: ({ digest, recordBytes, signature, record: { name, version } }, { app, author }) =>
        trust.check({
          recordBytes,
          signature,
          name,
          version,
          digest,
          app,
          by: author,
        }),
    },
    current: (node, app) => summaries.current(node, app),
    settings: {
      retries: config.deploy.retries,
      retryDelayMs: config.deploy.retry_delay,
      minHealthyMs: config.deploy.min_healthy_time,
      progressDeadlineMs: config.deploy.progress_deadline,
      timeoutMs: config.deploy.timeout,
    },
    clock,
    log: logOf('rollout'),
    counters,
    ...(faultPoint === undefined ? {} : { faultPoint }),
  })
}

async function createNodeServices(options: FeatureOptions, node: Node, stack: AsyncDisposableStack) {
  const { config, clock, counters, doorFolder } = options
  const { data, logOf, roster, network, directory, exchange, tell } = node
  const named = (text: string) => [...roster.state.nodes.values()].find(({ id, name }) => id === text || name === text)
  const services = await createServices({
    folder: join(data, 'services'),
    doorFolder,
    network,
    directory,
    identify: (text) => named(text) ?? directory.resolve(text),
    onRightsChange: (listener) => roster.onChange(listener),
    whenExchanged: (peer) => exchange.whenExchanged(peer),
    whomToAsk: () =>
      directory
        .nodes()
        .flatMap(({ role, name }) => (role === 'admin' ? [name] : []))
        .join(', '),
    settings: config.service,
    tell,
    clock,
    log: logOf('service'),
    counters,
  })
  stack.defer(() => services.stop())
  return services
}

/** Equal for rosters in which everybody may do the same. */
function rightsIn(roster: Roster): string {
  return JSON.stringify([...roster.state.nodes.keys()].map((id) => [id, roster.rightsOf(id)]))
}

/** Carries packages and hears of apps: neither a relay nor a deploy token. */
function isMember(roster: Roster, peer: string): boolean {
  return (roster.roleOf(peer) ?? 'relay') !== 'relay' && roster.state.nodes.get(peer)?.kind !== 'token'
}

/** For a daemon that was started without one. */
const DEFAULT_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
