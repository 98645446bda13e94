import type { Connection } from '@libp2p/interface'
import { EventBus } from '../base/events.ts'
import { identityErrors, peerIdOf, type Signer, signerFromSeed } from '../identity/index.ts'
import { AddressBook } from './address-book.ts'
import { AdmissionDesk } from './admission-desk.ts'
import { BoundedLog } from './bounded-log.ts'
import { ConnectionTable } from './connections.ts'
import { Connector } from './connector.ts'
import { HELD, MAX_NETWORK_KEYS, PING_TIMEOUT_MS } from './constants.ts'
import { createDht, type Dht } from './dht/index.ts'
import { Dialler } from './dialler.ts'
import { Discoveries } from './discoveries.ts'
import { netErrors } from './errors.ts'
import type { HostKit } from './host.ts'
import { checkIpv6Ports, listenError } from './listening.ts'
import { multicastProblem } from './multicast.ts'
import { createPassageDesk } from './passage-desk.ts'
import { ownSubnets } from './path/address-words.ts'
import { Paths } from './path/paths.ts'
import { Requests } from './path/requests.ts'
import { PeerAgents } from './peer-agents.ts'
import { ProtocolTable } from './protocols.ts'
import type {
  Direction,
  GateVerdict,
  HandleOptions,
  Network,
  NetworkEvents,
  NetworkInit,
  Refusal,
  SignalOptions,
  Stream,
} from './types.ts'

type HostFile = typeof import('./host.ts')

/** Members that a look-around in the table begins with, besides relays and configured peers. */
const MAX_SEEDS = 20

/** A network that is not started; nothing of libp2p is loaded before `start`. See `Network` for what it promises. */
export function createNetwork(init: NetworkInit): Network {
  return new Libp2pNetwork(init)
}

class Libp2pNetwork implements Network {
  readonly id: string
  readonly events: EventBus<NetworkEvents>
  readonly #init: NetworkInit
  readonly #book = new AddressBook()
  readonly #protocols: ProtocolTable
  readonly #table: ConnectionTable
  readonly #dialler: Dialler
  readonly #paths: Paths
  readonly #requests: Requests
  readonly #desk: AdmissionDesk
  readonly #passages: AdmissionDesk | undefined
  readonly #agents = new PeerAgents()
  readonly #connector: Connector
  readonly #discoveries: Discoveries
  /** Peers that a person has disconnected. */
  readonly #held = new Set<string>()
  readonly #refusalLog: BoundedLog
  readonly #signer: Signer
  #kit: HostKit | undefined
  #dht: Dht | null = null
  #hostFile: HostFile | undefined
  #state: 'new' | 'started' | 'stopped' = 'new'

  constructor(init: NetworkInit) {
    const { clock, counters } = init
    const log = init.log.child({ folder: 'net' })
    this.#init = { ...init, log }
    this.#signer = signerFromSeed(init.privateKey)
    this.id = peerIdOf(this.#signer.publicKey)
    this.events = new EventBus((error) => log.error({ error: String(error) }, 'a listener of the network failed'))
    this.#refusalLog = new BoundedLog(log, clock)
    this.#protocols = new ProtocolTable({
      clock,
      log,
      counters,
      mayServe: init.mayServe,
      onRefused: (refused) => this.events.emit('served_refused', refused),
    })
    const server = init.admission
    this.#desk = new AdmissionDesk({ server, clock, log, counters, onRefused: (refusal) => this.#onRefused(refusal) })
    this.#passages = createPassageDesk({
      rules: server?.passages,
      relay: {
        serves: () => this.#paths.serves(),
        passage: (wish) => this.#paths.passage(wish),
      },
      clock,
      log,
      counters,
      onRefused: (refusal) => this.#onRefused(refusal),
    })
    this.#table = this.#createTable()
    this.#dialler = this.#createDialler()
    this.#discoveries = new Discoveries({
      book: this.#book,
      subnets: ownSubnets,
      isConnected: (peer) => this.#table.isConnected(peer),
      want: (peer) => this.#dialler.want(peer, peer),
      clock,
    })
    this.#connector = new Connector({
      table: this.#table,
      paths: () => this.#paths,
      running: () => this.#running(),
      allow: (peer, direction) => this.#allow(peer, direction),
      nameOf: (peer) => init.nameOf?.(peer) ?? peer,
    })
    this.#requests = new Requests({
      table: this.#table,
      connect: (peer, options) => this.#connector.connect(peer, options),
      find: (peer, options) => this.#connector.find(peer, options),
      nameOf: (peer) => init.nameOf?.(peer) ?? peer,
      clock,
      counters,
    })
    this.#paths = new Paths({
      network: this.#init,
      self: this.id,
      signer: this.#signer,
      book: this.#book,
      table: this.#table,
      handle: (...handling) => this.handle(...handling),
      opener: this.#requests,
      addresses: () => this.addresses(),
      mayDial: (peer) => this.#allow(peer, 'outbound').allowed,
      mayAnswer: (peer) => this.#allow(peer, 'inbound').allowed,
      mayAsk: (peer) => this.#desk.isOpen(peer),
      onAgent: (peer, agent) => this.#agents.note(peer, agent),
      want: (peer, delayMs) => this.#dialler.want(peer, peer, delayMs),
      retry: (peer, delayMs) => this.#dialler.retry(peer, delayMs),
      retryAll: () => this.#dialler.retryNow(),
      dial: (address, options) => this.#connector.dial(address, options),
      lookUp: async (peer, options) => (await this.#dht?.findPeer(peer, options)) ?? [],
    })
  }

  addresses(): string[] {
    return this.#kit?.host.getMultiaddrs().map(String) ?? []
  }

  get dht(): Dht | null {
    return this.#dht
  }

  addressesOf(peer: string): readonly string[] {
    return this.#table.isConnected(peer) ? this.#paths.ownWordsOf(peer) : []
  }

  async start({ signal }: SignalOptions = {}): Promise<void> {
    if (this.#state !== 'new') throw netErrors.network_not_running('a network is started once')
    this.#checkKeys()
    this.#hostFile = await import('./host.ts')
    signal?.throwIfAborted()
    const { parseAddress, peerOfAddress } = this.#hostFile
    const statics = this.#init.staticPeers.map((text) => parseAddress(text))
    const kit = await this.#hostFile.createHost({
      network: this.#init,
      self: this.id,
      gate: { allow: (peer, direction) => this.#allow(peer, direction) },
      proof: this.#init.proof,
      desk: this.#desk,
      passages: this.#passages,
      ways: this.#init.transports,
      outer: this.#init.webCertificate,
      doors: { health: this.#init.health, stun: (socket) => this.#paths.answerStun(socket) },
      onRefused: (refusal) => this.#onRefused(refusal),
      onDiscovered: (peer, addresses) => this.#onDiscovered(peer, addresses),
    })
    this.#kit = kit
    const { host } = kit
    host.addEventListener('connection:open', ({ detail }: CustomEvent<Connection>) => this.#table.add(detail))
    try {
      await checkIpv6Ports(this.#init.listen)
      await this.#paths.load()
      await host.start()
      await this.#protocols.attach(host)
      signal?.throwIfAborted()
    } catch (error) {
      await host.stop()
      throw listenError(error)
    }
    if (this.#state !== 'new') {
      await host.stop()
      throw netErrors.network_not_running('the network was stopped while it started')
    }
    this.#state = 'started'
    this.#table.start()
    for (const address of statics) this.#wantStatic(address.toString(), peerOfAddress(address))
    await this.#paths.start(kit)
    this.#dht = this.#createDht(kit)
    await this.#dht?.start()
    this.#dialler.start()
    if (this.#init.mdns) this.#warnWithoutMulticast()
  }

  async stop(): Promise<void> {
    const running = this.#state === 'started'
    this.#state = 'stopped'
    this.#dialler.stop()
    if (!running) return
    await this.#dht?.stop()
    // Relays and those who use this one are told first.
    await this.#paths.stop()
    this.#table.resetStreams()
    this.#table.stop()
    await this.#kit?.host.stop()
  }

  async connect(target: string, options: SignalOptions = {}): Promise<string> {
    this.#running()
    const peer = this.#connector.targetPeer(target)
    if (peer !== undefined) this.#held.delete(peer)
    return this.#connector.connect(target, options)
  }

  async disconnect(peer: string): Promise<void> {
    this.#held.add(peer)
    await this.#table.closePeer(peer)
  }

  async open(peer: string, protocol: string, options: SignalOptions = {}): Promise<Stream> {
    this.#running()
    return this.#requests.open(peer, protocol, options)
  }

  handle(protocol: string, handler: (stream: Stream) => void | Promise<void>, options: HandleOptions = {}): () => void {
    return this.#protocols.handle(protocol, handler, options)
  }

  connections() {
    return this.#table.list()
  }

  path(peer: string) {
    const info = this.#paths.path(peer)
    // What failed before says nothing any more.
    return info.state === 'none' && this.#held.has(peer) ? { ...info, why: HELD } : info
  }

  reach() {
    return this.#paths.reach()
  }

  async ping(peer: string, { signal, timeoutMs = PING_TIMEOUT_MS }: SignalOptions & { timeoutMs?: number } = {}) {
    this.#running()
    return this.#requests.ping(peer, { signal, timeoutMs })
  }

  async addAddress(peer: string, addresses: readonly string[]): Promise<void> {
    const { parseAddress, parsePeerId } = await import('./host.ts')
    const id = parsePeerId(peer).toString()
    if (id === this.id) return
    const parsed = addresses.map((text) => parseAddress(text).toString())
    const changed = this.#book.add(id, parsed, 'given')
    if (changed || !this.#table.isConnected(id)) this.#dialler.want(id, id)
  }

  forget(peer: string): void {
    this.#dialler.unwant(peer)
    this.#book.remove(peer)
    this.#paths.forget(peer)
  }

  recheck(): void {
    this.#table.recheck()
    this.#paths.gateChanged()
    this.#dht?.recheck()
    this.#dialler.retryNow()
  }

  #createTable(): ConnectionTable {
    const { clock, log, counters } = this.#init
    return new ConnectionTable({
      self: this.id,
      clock,
      log,
      counters,
      allow: (peer, direction) => this.#allow(peer, direction),
      agentOf: (peer) => this.#agents.of(peer),
      onConnected: (peer) => {
        log.info({ peer }, 'connected')
        this.#dialler.onConnected(peer)
        this.#paths.connected(peer)
        this.events.emit('connected', { peer })
      },
      onDisconnected: (peer) => this.#onDisconnected(peer),
      onRefused: (refusal) => this.#onRefused(refusal),
      onSuspect: (peer) => this.#paths.suspect(peer),
      onPath: (peer) => this.#paths.pathChanged(peer),
      describe: (connection) => (this.#kit as HostKit).describeConnection(connection),
    })
  }

  #createDht({ host }: HostKit): Dht | null {
    const { dht, clock, log, counters, staticPeers, relay } = this.#init
    if (dht === undefined) return null
    return createDht({
      host,
      signer: this.#signer,
      isMember: (peer) => dht.isMember(peer),
      connected: () => this.#table.peers(),
      isConnected: (peer) => this.#table.isConnected(peer),
      addressesOf: (peer) => this.#paths.candidates(peer),
      connect: async (peer, { addresses }) => {
        this.#book.add(peer, addresses, 'learned')
        await this.#dialler.connect(peer)
        return this.#table.mustPrefer(peer)
      },
      seeds: () => [...(relay?.servers ?? []), ...staticPeers, ...this.#paths.known().slice(0, MAX_SEEDS)],
      reach: (seed, options) => this.#dialler.connect(seed, options),
      events: this.events,
      clock,
      log,
      counters,
    })
  }

  #createDialler(): Dialler {
    const { clock, log, counters, staticPeers } = this.#init
    return new Dialler({
      clock,
      log,
      counters,
      connect: (target, options) => this.#connector.connect(target, options),
      isConnected: (peer) => this.#table.isConnected(peer),
      mayDial: (peer) => this.#allow(peer, 'outbound').allowed,
      isLone: () => this.#table.peers().length === 0,
      isImportant: (target) => staticPeers.some((address) => address === target || address.endsWith(`/p2p/${target}`)),
      isRelay: (target) => this.#paths.isRelay(target),
    })
  }

  #checkKeys(): void {
    const keys = this.#init.proof.keys()
    if (keys.length > 0 && keys.length <= MAX_NETWORK_KEYS) return
    throw identityErrors.network_key_missing(
      keys.length === 0
        ? 'this node has no network key'
        : `${keys.length} network keys; at most ${MAX_NETWORK_KEYS} count`,
      { hint: 'Make a network: warren init   Or enter one: warren join CODE' },
    )
  }

  #wantStatic(address: string, peer: string | undefined): void {
    if (peer === this.id) return
    if (peer !== undefined) this.#book.add(peer, [address], 'given')
    this.#dialler.want(peer ?? address, peer)
  }

  #running(): { kit: HostKit; file: HostFile } {
    if (this.#state === 'started' && this.#kit !== undefined && this.#hostFile !== undefined) {
      return { kit: this.#kit, file: this.#hostFile }
    }
    throw netErrors.network_not_running('the network of this node is not running')
  }

  #allow(peer: string, direction: Direction): GateVerdict {
    if (peer === this.id) return { allowed: false, reason: 'that is this node itself' }
    if (this.#held.has(peer)) return { allowed: false, reason: HELD }
    return this.#init.gate.allow(peer, direction)
  }

  #onDisconnected(peer: string): void {
    this.#init.log.info({ peer }, 'disconnected')
    this.#agents.forget(peer)
    this.#dialler.onDisconnected(peer)
    this.events.emit('disconnected', { peer })
  }

  #onRefused(refusal: Refusal): void {
    this.#init.counters.add('net_refused', 1, { cause: refusal.cause })
    this.#refusalLog.warn(refusal, 'a connection was refused')
    this.events.emit('refused', refusal)
  }

  #onDiscovered(peer: string, addresses: string[]): void {
    if (peer === this.id) return
    this.events.emit('discovered', { peer, addresses })
    if (!this.#allow(peer, 'outbound').allowed) return
    this.#discoveries.heard(peer, addresses)
  }

  #warnWithoutMulticast(): void {
    void multicastProblem().then((problem) => {
      if (problem !== undefined) {
        this.#init.log.warn({ problem }, 'no multicast: nodes on the local network are not found; see net.peers')
      }
    })
  }
}
