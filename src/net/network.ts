import type { Connection, IdentifyResult, Stream as Libp2pStream } from '@libp2p/interface'
import { EventBus } from '../base/events.ts'
import { withTimeout } from '../base/wait.ts'
import { identityErrors, peerIdOf, signerFromSeed } from '../identity/index.ts'
import { AddressBook } from './address-book.ts'
import { AdmissionDesk } from './admission-desk.ts'
import { BoundedLog } from './bounded-log.ts'
import { ConnectionTable } from './connections.ts'
import {
  DIAL_TIMEOUT_MS,
  MAX_ADDRESSES_PER_PEER,
  MAX_NETWORK_KEYS,
  OPEN_TIMEOUT_MS,
  PING_TIMEOUT_MS,
} from './constants.ts'
import { dialError } from './dial-errors.ts'
import { Dialler } from './dialler.ts'
import { netErrors } from './errors.ts'
import type { Host } from './host.ts'
import { checkIpv6Ports, listenError } from './listening.ts'
import { multicastProblem } from './multicast.ts'
import { pingConnection } from './ping.ts'
import { ProtocolTable } from './protocols.ts'
import { wrapStream } from './stream.ts'
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

/** What another program calls itself is shown to people: this much of it, and nothing that moves a cursor. */
const MAX_AGENT_CHARACTERS = 64

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
  readonly #desk: AdmissionDesk
  readonly #agents = new Map<string, string>()
  readonly #listening = new Map<string, readonly string[]>()
  /** Peers that a person has disconnected. */
  readonly #held = new Set<string>()
  #host: Host | undefined
  readonly #refusalLog: BoundedLog
  #hostFile: HostFile | undefined
  #state: 'new' | 'started' | 'stopped' = 'new'

  constructor(init: NetworkInit) {
    const { clock, counters } = init
    const log = init.log.child({ folder: 'net' })
    this.#init = { ...init, log }
    this.id = peerIdOf(signerFromSeed(init.privateKey).publicKey)
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
    this.#table = new ConnectionTable({
      self: this.id,
      clock,
      log,
      counters,
      allow: (peer, direction) => this.#allow(peer, direction),
      agentOf: (peer) => this.#agents.get(peer) ?? null,
      onConnected: (peer) => {
        log.info({ peer }, 'connected')
        this.events.emit('connected', { peer })
      },
      onDisconnected: (peer) => this.#onDisconnected(peer),
      onRefused: (refusal) => this.#onRefused(refusal),
    })
    this.#dialler = new Dialler({
      clock,
      log,
      counters,
      connect: (target) => this.#connect(target),
      isConnected: (peer) => this.#table.isConnected(peer),
      mayDial: (peer) => this.#allow(peer, 'outbound').allowed,
    })
  }

  addresses(): string[] {
    return this.#host?.getMultiaddrs().map(String) ?? []
  }

  addressesOf(peer: string): readonly string[] {
    return this.#listening.get(peer) ?? []
  }

  async start({ signal }: SignalOptions = {}): Promise<void> {
    if (this.#state !== 'new') throw netErrors.network_not_running('a network is started once')
    this.#checkKeys()
    this.#hostFile = await import('./host.ts')
    signal?.throwIfAborted()
    const { parseAddress, peerOfAddress } = this.#hostFile
    const statics = this.#init.staticPeers.map((text) => parseAddress(text))
    const host = await this.#hostFile.createHost({
      network: this.#init,
      self: this.id,
      gate: { allow: (peer, direction) => this.#allow(peer, direction) },
      proof: this.#init.proof,
      desk: this.#desk,
      onRefused: (refusal) => this.#onRefused(refusal),
      onDiscovered: (peer, addresses) => this.#onDiscovered(peer, addresses),
    })
    this.#watch(host)
    try {
      await checkIpv6Ports(this.#init.listen)
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
    this.#host = host
    this.#state = 'started'
    this.#table.start()
    for (const address of statics) this.#wantStatic(address.toString(), peerOfAddress(address))
    this.#dialler.start()
    if (this.#init.mdns) this.#warnWithoutMulticast()
  }

  async stop(): Promise<void> {
    const running = this.#state === 'started'
    this.#state = 'stopped'
    this.#dialler.stop()
    if (!running) return
    this.#table.resetStreams()
    this.#table.stop()
    await this.#host?.stop()
  }

  async connect(target: string, options: SignalOptions = {}): Promise<string> {
    this.#running()
    const peer = this.#targetPeer(target)
    if (peer !== undefined) this.#held.delete(peer)
    return this.#connect(target, options)
  }

  async disconnect(peer: string): Promise<void> {
    this.#held.add(peer)
    await this.#table.closePeer(peer)
  }

  async open(peer: string, protocol: string, { signal }: SignalOptions = {}): Promise<Stream> {
    const connection = await this.#connectionWith(peer, signal)
    const inner = await withTimeout(
      `opening a stream to ${peer}`,
      OPEN_TIMEOUT_MS,
      (inner) =>
        connection.newStream(protocol, {
          signal: inner,
          maxOutboundStreams: Number.MAX_SAFE_INTEGER,
          runOnLimitedConnection: true,
        }),
      { signal, clock: this.#init.clock },
    ).catch((error: unknown) => {
      if (signal?.aborted) throw signal.reason
      throw openError(error, peer, protocol)
    })
    return wrapStream(inner as Libp2pStream, { peer, protocol })
  }

  handle(protocol: string, handler: (stream: Stream) => void | Promise<void>, options: HandleOptions = {}): () => void {
    return this.#protocols.handle(protocol, handler, options)
  }

  connections() {
    return this.#table.list()
  }

  async ping(peer: string, { signal, timeoutMs = PING_TIMEOUT_MS }: SignalOptions & { timeoutMs?: number } = {}) {
    const { clock } = this.#init
    return pingConnection(await this.#connectionWith(peer, signal), { timeoutMs, signal, clock })
  }

  async addAddress(peer: string, addresses: readonly string[]): Promise<void> {
    const { parseAddress, parsePeerId } = await import('./host.ts')
    const id = parsePeerId(peer).toString()
    if (id === this.id) return
    const changed = this.#book.add(
      id,
      addresses.map((text) => parseAddress(text).toString()),
    )
    if (changed || !this.#table.isConnected(id)) this.#dialler.want(id, id)
  }

  forget(peer: string): void {
    this.#dialler.unwant(peer)
    this.#book.remove(peer)
  }

  recheck(): void {
    this.#table.recheck()
    this.#dialler.retryNow()
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

  #watch(host: Host): void {
    host.addEventListener('connection:open', ({ detail }: CustomEvent<Connection>) => this.#table.add(detail))
    host.addEventListener('peer:identify', ({ detail }: CustomEvent<IdentifyResult>) => {
      const listens = detail.listenAddrs.slice(0, MAX_ADDRESSES_PER_PEER).map(String)
      this.#listening.set(detail.peerId.toString(), listens)
      const agent = (detail.agentVersion ?? '').replaceAll(/[^\x20-\x7e]/g, '').slice(0, MAX_AGENT_CHARACTERS)
      if (agent !== '') this.#agents.set(detail.peerId.toString(), agent)
    })
  }

  #wantStatic(address: string, peer: string | undefined): void {
    if (peer === this.id) return
    if (peer !== undefined) this.#book.add(peer, [address])
    this.#dialler.want(peer ?? address, peer)
  }

  async #connectionWith(peer: string, signal: AbortSignal | undefined): Promise<Connection> {
    this.#running()
    const open = this.#table.preferred(peer)
    if (open !== undefined) return open
    await this.#connect(peer, { signal })
    const connection = this.#table.preferred(peer)
    if (connection === undefined) throw netErrors.peer_unreachable(`${peer} closed the connection at once`)
    return connection
  }

  /** As `connect`, but respects what a person has disconnected. */
  async #connect(target: string, { signal }: SignalOptions = {}): Promise<string> {
    const { host, file } = this.#running()
    const peer = this.#targetPeer(target)
    if (peer !== undefined) {
      const verdict = this.#allow(peer, 'outbound')
      if (!verdict.allowed) {
        throw netErrors.peer_not_allowed(`${peer}: ${verdict.reason}`, { hint: 'See who is admitted: warren nodes' })
      }
      if (this.#table.preferred(peer) !== undefined) return peer
    }
    const bound = AbortSignal.timeout(DIAL_TIMEOUT_MS)
    const both = signal === undefined ? bound : AbortSignal.any([signal, bound])
    try {
      if (target.startsWith('/')) return await this.#dial(host, file.parseAddress(target), both)
      return await this.#dialPeer(target, both)
    } catch (error) {
      if (signal?.aborted) throw signal.reason
      throw dialError(error, target)
    }
  }

  /** The addresses that were given first; what the local network and the peer itself have told only if they fail. */
  async #dialPeer(peer: string, signal: AbortSignal): Promise<string> {
    const { host, file } = this.#running()
    const id = file.parsePeerId(peer)
    const given = this.#book.of(peer).map((text) => file.addressOfPeer(text, peer))
    if (given.length === 0) return this.#dial(host, id, signal)
    try {
      return await this.#dial(host, given, signal)
    } catch (thrown) {
      const error = dialError(thrown, peer)
      if (error.code !== 'peer_unreachable' || signal.aborted) throw error
      return this.#dial(host, id, signal).catch((second: unknown) => {
        throw dialError(second, peer).code === 'peer_unreachable' ? error : second
      })
    }
  }

  async #dial(host: Host, target: Parameters<Host['dial']>[0], signal: AbortSignal): Promise<string> {
    const connection = await host.dial(target, { signal })
    await this.#table.ready(connection)
    return connection.remotePeer.toString()
  }

  #targetPeer(target: string): string | undefined {
    const { file } = this.#running()
    if (!target.startsWith('/')) return file.parsePeerId(target).toString()
    return file.peerOfAddress(file.parseAddress(target))
  }

  #running(): { host: Host; file: HostFile } {
    if (this.#state === 'started' && this.#host !== undefined && this.#hostFile !== undefined) {
      return { host: this.#host, file: this.#hostFile }
    }
    throw netErrors.network_not_running('the network of this node is not running')
  }

  #allow(peer: string, direction: Direction): GateVerdict {
    if (this.#held.has(peer)) return { allowed: false, reason: 'it was disconnected by hand' }
    return this.#init.gate.allow(peer, direction)
  }

  #onDisconnected(peer: string): void {
    this.#init.log.info({ peer }, 'disconnected')
    this.#agents.delete(peer)
    this.#listening.delete(peer)
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
    if (!this.#allow(peer, 'outbound').allowed || this.#table.isConnected(peer)) return
    this.#dialler.want(peer, peer)
  }

  #warnWithoutMulticast(): void {
    void multicastProblem().then((problem) => {
      if (problem !== undefined) {
        this.#init.log.warn({ problem }, 'no multicast: nodes on the local network are not found; see net.peers')
      }
    })
  }
}

function openError(error: unknown, peer: string, protocol: string): Error {
  if (error instanceof Error && error.name === 'UnsupportedProtocolError') {
    return netErrors.protocol_unsupported(`${peer} does not speak ${protocol}`, {
      hint: 'Compare the versions: warren nodes',
      cause: error,
    })
  }
  return dialError(error, peer)
}
