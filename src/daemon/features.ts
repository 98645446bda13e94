import { join } from 'node:path'
import { roleIncludes } from '../api/index.ts'
import { type AppEvents, createApps, startSummaries } from '../app/index.ts'
import type { Clock } from '../base/clock.ts'
import type { Counters } from '../base/counters.ts'
import { openStateDatabase } from '../base/database.ts'
import { EventBus } from '../base/events.ts'
import type { Logger } from '../base/log.ts'
import type { ConfigValues } from '../config/index.ts'
import { createPackageTrust, openKeyring, Roster } from '../identity/index.ts'
import { createDirectory, createGate, startRosterExchange } from '../member/index.ts'
import { createNetwork } from '../net/index.ts'
import { createRollouts } from '../rollout/index.ts'
import { createTransfer } from '../transfer/index.ts'
import type { sections } from './sections.ts'

export interface FeatureOptions {
  readonly config: ConfigValues<typeof sections>
  readonly log: Logger
  readonly clock: Clock
  readonly counters: Counters
  readonly version: string
  readonly env: Readonly<Record<string, string | undefined>>
}

export type Features = Awaited<ReturnType<typeof createFeatures>>

/**
 * Makes every feature of a node and what joins them, in the order in which each needs the ones before it. Nothing
 * listens or dials yet. What must be ended is put on the stack, which ends it in reverse order.
 */
export async function createFeatures(options: FeatureOptions, stack: AsyncDisposableStack) {
  const { config, log, clock, counters, version } = options
  const data = config.storage.data_dir
  const logOf = (folder: string): Logger => log.child({ folder })

  const keyring = await openKeyring(config.storage.keys_dir)
  const roster = await Roster.open({ folder: join(data, 'roster'), clock, log: logOf('identity') })
  const database = openStateDatabase(join(data, 'state.db'), { nowMs: clock.now() })
  stack.defer(() => database.close())
  if (database.setAside !== undefined)
    log.warn({ file: database.setAside }, 'the index was unreadable; it is made again')

  const gate = await createGate({
    mode: config.net.gate,
    roster,
    file: config.net.authorized_peers,
    staticPeers: new Set(config.net.peers.map((address) => address.split('/p2p/')[1] ?? '')),
    log: logOf('member'),
  })
  stack.defer(() => gate.stop())
  const network = createNetwork({
    privateKey: keyring.nodeSeed,
    listen: config.net.listen,
    announce: config.net.announce,
    agent: `warren/${version}`,
    gate,
    proof: { networkId: () => roster.networkId, keys: () => [keyring.networkKey] },
    staticPeers: config.net.peers,
    mdns: config.net.mdns,
    clock,
    log: logOf('net'),
    counters,
  })
  stack.defer(() => network.stop())
  stack.defer(gate.onChange(() => network.recheck()))

  const directory = createDirectory({ roster, network, clock, version })
  stack.defer(() => directory.stop())
  const exchange = startRosterExchange({ network, roster, log: logOf('member'), counters })
  stack.defer(() => exchange.stop())

  const trust = createPackageTrust({
    trustedFolder: join(config.storage.keys_dir, 'trusted'),
    roster,
    settings: { requireSigned: config.security.require_signed_packages },
  })
  const transfer = createTransfer({
    folders: { packages: join(data, 'packages'), store: join(data, 'store') },
    database,
    network,
    checkTrust: (question) => trust.check(question),
    mayServe: (peer) => (roster.roleOf(peer) ?? 'relay') !== 'relay',
    maxPackageBytes: config.transfer.max_package_bytes,
    clock,
    log: logOf('transfer'),
    counters,
  })
  await transfer.start()
  stack.defer(() => transfer.stop())
  transfer.serve()

  const isMember = (peer: string): boolean => (roster.roleOf(peer) ?? 'relay') !== 'relay'
  const events = new EventBus<AppEvents>((error) => log.error({ err: error }, 'a listener of the apps failed'))
  const apps = createApps({
    home: data,
    packages: transfer,
    events,
    nodeName: directory.self.name,
    path: options.env.PATH ?? DEFAULT_PATH,
    stopGraceMs: config.app.stop_grace,
    logs: { maxBytes: config.app.log_file_size, files: config.app.log_files },
    keepVersions: config.app.keep_versions,
    clock,
    log: logOf('app'),
    counters,
  })
  stack.defer(() => apps.stop())
  const summaries = startSummaries({
    network,
    own: () => apps.list().map(({ app }) => apps.status(app)),
    onChange: (listener) => events.on('changed', listener),
    isMember,
    nameOf: (peer) => directory.nodes().find(({ id }) => id === peer)?.name ?? peer,
    clock,
    log: logOf('app'),
  })
  stack.defer(() => summaries.stop())

  const rollouts = createRollouts({
    folder: join(data, 'rollouts'),
    signer: keyring.node,
    networkId: () => roster.networkId,
    network,
    directory,
    mayDeploy: (node) => roleIncludes(roster.roleOf(node) ?? 'relay', 'operator'),
    apps,
    transfer,
    trust: {
      check: ({ recordBytes, signature, record: { name, version: release } }) =>
        trust.check({ recordBytes, signature, name, version: release }),
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
  })
  stack.defer(roster.onChange(() => rollouts.rosterChanged()))
  return { network, directory, roster, exchange, transfer, apps, summaries, rollouts }
}

/** For a daemon that was started without one. */
const DEFAULT_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
