import { join } from 'node:path'
import { openAudit } from '../audit/index.ts'
import type { Clock } from '../base/clock.ts'
import type { Counters } from '../base/counters.ts'
import { openStateDatabase } from '../base/database.ts'
import type { TellDecision } from '../base/decisions.ts'
import type { Logger } from '../base/log.ts'
import type { ConfigValues } from '../config/index.ts'
import { createAuthority, openKeyring, Roster, readPassphrase } from '../identity/index.ts'
import {
  createAdmission,
  createDirectory,
  createGate,
  createNetworkKeys,
  createStanding,
  startKeyHandOver,
  startRosterSync,
} from '../member/index.ts'
import { createNetwork, type Gate } from '../net/index.ts'
import { healthListener, relaySettings } from '../relay/index.ts'
import { startAuditTrail } from './audit-trail.ts'
import { watchAdmission } from './not-admitted.ts'
import type { sections } from './sections.ts'

/** What a peer waits at most until this node has compared its roster and may serve it. */
const SERVE_WAIT_MS = 5000

export interface NodeOptions {
  readonly config: ConfigValues<typeof sections>
  readonly log: Logger
  readonly clock: Clock
  readonly counters: Counters
  readonly version: string
  readonly env: Readonly<Record<string, string | undefined>>
}

/** A node without its features: who it is, its index, its connections, and the members of its network. */
export type Node = Awaited<ReturnType<typeof createNode>>

/**
 * Opens keys, audit log, roster and index, and makes the network with its rules. Nothing listens or dials yet. What must
 * be ended is put on the stack, which ends it in reverse order.
 */
export async function createNode(options: NodeOptions, stack: AsyncDisposableStack) {
  const { config, clock, counters, version } = options
  const self = await openSelf(options, stack)
  const { data, logOf, keyring, roster, audit, tell, authority } = self
  const author = () => authority.authorOrUndefined()

  const standing = createStanding({ roster, selfId: keyring.nodeId, clock })
  stack.defer(() => standing.stop())
  const networkKeys = await createNetworkKeys({
    keysFolder: config.storage.keys_dir,
    current: keyring.networkKey,
    roster,
    clock,
    log: logOf('member'),
  })
  stack.defer(() => networkKeys.stop())
  const gate = await createGate({
    mode: config.net.gate,
    roster,
    file: config.net.authorized_peers,
    staticPeers: new Set(
      [...config.net.peers, ...config.relay.servers].map((address) => address.split('/p2p/')[1] ?? ''),
    ),
    log: logOf('member'),
    tell,
  })
  stack.defer(() => gate.stop())
  const network = createNetwork({
    privateKey: keyring.nodeSeed,
    agent: `warren/${version}`,
    gate,
    proof: { networkId: () => roster.networkId, keys: () => networkKeys.keys() },
    admission: createAdmission({
      roster,
      selfId: keyring.nodeId,
      standing,
      author,
      keys: () => networkKeys.handOver(),
      clock,
      log: logOf('member'),
      tell,
    }),
    mayServe: () => standing.whenCurrent(SERVE_WAIT_MS),
    ...waysOf(options, { ...self, gate }),
    nameOf: (peer) => roster.state.nodes.get(peer)?.name ?? null,
    health: (request, response) => health(request, response),
    clock,
    log: logOf('net'),
    counters,
  })
  stack.defer(() => network.stop())
  const health = healthListener({ network, counters, clock, startedMs: clock.monotonicMs() })
  stack.defer(gate.onChange(() => network.recheck()))

  const directory = createDirectory({ roster, network, clock, version })
  stack.defer(() => directory.stop())
  const privateKey = keyring.nodeSeed
  stack.defer(
    startKeyHandOver({ network, keys: networkKeys, roster, privateKey, clock, log: logOf('member'), counters, tell }),
  )
  const exchange = startRosterSync({ network, roster, standing, author, log: logOf('member'), counters, clock })
  stack.defer(() => exchange.stop())
  const trail = startAuditTrail({
    audit,
    tell,
    network,
    roster,
    folder: join(data, 'audit', 'heads'),
    clock,
    log: logOf('audit'),
  })
  stack.defer(() => trail.stop())

  const admitted = watchAdmission({ network, nameOf: (id) => directory.nameOf(id) })
  stack.defer(() => admitted.stop())

  return { ...self, admitted, gate, standing, networkKeys, network, directory, exchange, auditHeads: trail.heads }
}

/** How the network finds and makes ways to other nodes. */
function waysOf(
  { config }: NodeOptions,
  { data, keyring, roster, gate }: Awaited<ReturnType<typeof openSelf>> & { gate: Gate },
) {
  const isToken = (peer: string): boolean => roster.state.nodes.get(peer)?.kind === 'token'
  const isNode = (peer: string): boolean => roster.roleOf(peer) !== undefined && !isToken(peer)
  const isAdmitted = (peer: string): boolean =>
    isNode(peer) || (config.net.gate !== 'roster' && gate.allow(peer, 'outbound').allowed)
  return {
    listen: config.net.listen,
    announce: config.net.announce,
    staticPeers: config.net.peers,
    mdns: config.net.mdns,
    transports: config.net.transports,
    webCertificate: webCertificateOf(config.net),
    reach: {
      force: config.net.force_reachability,
      stunServers: config.net.stun_servers,
      portMapping: config.net.port_mapping,
    },
    relay: {
      ...relaySettings(config.relay, {
        isMember: (peer) => roster.roleOf(peer) !== undefined,
        isRelay: (peer) => roster.roleOf(peer) === 'relay',
      }),
      reserve: !isToken(keyring.nodeId),
    },
    dht: config.net.dht && !isToken(keyring.nodeId) ? { isMember: isAdmitted } : undefined,
    recordsFile: join(data, 'addresses'),
  }
}

function webCertificateOf({ tls_certificate: certificate, tls_key: key }: NodeOptions['config']['net']) {
  return certificate === '' || key === '' ? undefined : { certificate, key }
}

/** What a node has on its own disk. */
async function openSelf({ config, log, clock, env }: NodeOptions, stack: AsyncDisposableStack) {
  const data = config.storage.data_dir
  const logOf = (folder: string): Logger => log.child({ folder })
  const keyring = await openKeyring(config.storage.keys_dir, { networkKey: config.net.network_key })
  const { nodeId, node: signer } = keyring
  const audit = await openAudit({ file: join(data, 'audit.log'), signer, nodeId, clock, log: logOf('audit') })
  stack.defer(() => audit.stop())
  const roster = await Roster.open({ folder: join(data, 'roster'), clock, log: logOf('identity') })
  const authority = await createAuthority({
    keysFolder: config.storage.keys_dir,
    roster,
    nodeId,
    passphrase: await readPassphrase({ env, cwd: process.cwd() }),
    log: logOf('identity'),
  })
  const database = openStateDatabase(join(data, 'state.db'), { nowMs: clock.now() })
  stack.defer(() => database.close())
  if (database.setAside !== undefined)
    log.warn({ file: database.setAside }, 'the index was unreadable; it is made again')
  const tell: TellDecision = (decision) => audit.tell(decision)
  return { data, logOf, keyring, audit, tell, roster, authority, database }
}
