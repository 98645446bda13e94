import { isIPv6, type Socket } from 'node:net'
import type { Connection } from '@libp2p/interface'
import { TokenBuckets } from '../../base/token-buckets.ts'
import type { ChannelUpgrader, HearStranger } from '../channel.ts'
import { MAX_ADDRESSES_PER_PEER } from '../constants.ts'
import { createPuncher, type Puncher } from '../punch/index.ts'
import type { Passage, PassageWish, Refusal } from '../relay/index.ts'
import type { SignalOptions } from '../types.ts'
import { AddressExchange } from './address-exchange.ts'
import type { AddressRecord } from './address-record.ts'
import { inDialOrder, ipEndpointsOf, peerIn, SubnetReader, withoutPeer } from './address-words.ts'
import { FailureBook } from './failures.ts'
import { NEWS_RATE, SECOND_DIALS_AFTER_MS } from './limits.ts'
import { NetworkMonitor } from './network-monitor.ts'
import { dialable, mayDialLoopback, tellableAddresses } from './own-addresses.ts'
import { pathInfoOf } from './path-info.ts'
import { Pathfinder } from './pathfinder.ts'
import type { PathsInit } from './paths-init.ts'
import { Reach } from './reach.ts'
import { RecordStore } from './record-store.ts'
import { RelayServing } from './relay-serving.ts'
import { RelayUse } from './relay-use.ts'
import type { PathInfo, ReachInfo } from './types.ts'
import { Upgrades } from './upgrades.ts'

/** The one place that knows the ways to each peer, which of them is best now, and why no other is. */
export class Paths {
  readonly #init: PathsInit
  readonly #store: RecordStore
  readonly #exchange: AddressExchange
  readonly #finder: Pathfinder
  readonly #failures: FailureBook
  readonly #news: TokenBuckets
  readonly #monitor: NetworkMonitor
  readonly #subnets: SubnetReader
  readonly #serving: RelayServing | undefined
  readonly #reach: Reach | undefined
  #relays: RelayUse | undefined
  #puncher: Puncher | undefined
  #upgrades: Upgrades | undefined
  #running = false

  constructor(init: PathsInit) {
    this.#init = init
    const { network, self, table } = init
    const { clock, log } = network
    this.#subnets = new SubnetReader(clock)
    this.#failures = new FailureBook(clock, network.nameOf)
    this.#news = new TokenBuckets({ ...NEWS_RATE, clock })
    this.#store = new RecordStore({ self, file: network.recordsFile, allow: init.mayDial, clock, log })
    this.#exchange = this.#createExchange()
    this.#finder = new Pathfinder({
      dial: (address, options) =>
        init.dial(address, { ...options, mayReach: this.#reachableFrom(address, options.peer) }),
      ready: (connection) => table.ready(connection),
      candidates: (peer) => this.candidates(peer),
      relaysOf: (peer) => this.#relays?.relaysOf(peer) ?? [],
      isConnected: (peer) => table.preferred(peer, { direct: true }) !== undefined,
      dialRelayed: (relay, peer, options) => (this.#relays as RelayUse).dial(relay, peer, options),
      lookUp: async (peer, options) => this.#usable(await init.lookUp(peer, options)),
      nameOf: (peer) => network.nameOf?.(peer) ?? peer,
      failures: this.#failures,
      clock,
    })
    this.#monitor = new NetworkMonitor({ onChange: (why) => this.#onNetworkChange(why), clock })
    this.#serving = this.#createServing()
    this.#reach = this.#createReach()
  }

  /** Reads what was known before. */
  load(): Promise<void> {
    return this.#store.load()
  }

  /** Call it when this node listens. */
  async start(kit: { upgrader: ChannelUpgrader; hearStranger: HearStranger }): Promise<void> {
    this.#running = true
    this.#relays = this.#createRelayUse(kit)
    this.#puncher = this.#createPuncher(kit.upgrader)
    this.#upgrades = new Upgrades({
      self: this.#init.self,
      network: this.#init.network,
      table: this.#init.table,
      puncher: this.#puncher,
      failures: this.#failures,
      findDirect: (peer, options) => this.#finder.findDirect(peer, options),
      mayDial: this.#init.mayDial,
    })
    this.#relays?.start()
    this.#reach?.start()
    this.#decide()
    this.#exchange.start()
    this.#puncher?.start()
    for (const peer of this.known()) this.#want(peer)
    await this.#monitor.start()
  }

  async stop(): Promise<void> {
    this.#running = false
    this.#monitor.stop()
    this.#upgrades?.stop()
    this.#exchange.stop()
    this.#finder.stop()
    await Promise.all([
      this.#puncher?.stop(),
      this.#relays?.stop(),
      this.#serving?.stop(),
      this.#reach?.stop(),
      this.#store.stop(),
    ])
  }

  /** See `Pathfinder.find`. */
  find(peer: string, options: SignalOptions = {}): Promise<Connection> {
    return this.#finder.find(peer, options)
  }

  /** A connection with a peer over a relay that is named. */
  async findOver(relay: string, peer: string, { signal }: { signal: AbortSignal }): Promise<Connection> {
    const connection = await this.#relays?.dial(relay, peer, { signal })
    if (connection === undefined) throw new Error('this node uses no relays')
    return connection
  }

  /** Call it when a peer is connected. */
  connected(peer: string): void {
    this.#exchange.joined(peer)
    if (this.#init.network.relay?.isRelay(peer) === true) this.#relays?.refresh()
    // It is back sooner than the keeper of reservations asks again.
    if (this.isRelay(peer)) this.#relays?.checkNow()
  }

  /** Call it when a peer has other connections than before. */
  pathChanged(peer: string): void {
    const connection = this.#init.table.preferred(peer)
    if (connection !== undefined) this.#finder.arrived(peer, connection)
    this.#upgrades?.look(peer)
  }

  /** Call it when the gate may answer otherwise than before. */
  gateChanged(): void {
    this.#exchange.compareSoon()
    if (!this.#running) return
    this.#relays?.refresh()
    this.#decide()
  }

  /** A connection leaves a request unanswered: another one is looked for. */
  suspect(peer: string): void {
    if (!this.#init.mayDial(peer)) return
    void this.#finder.find(peer).catch(() => undefined)
  }

  forget(peer: string): void {
    this.#failures.forget(peer)
  }

  /** True where it helps to find the others: this node's relays. */
  isRelay(peer: string): boolean {
    return this.#relays?.candidates().includes(peer) === true
  }

  /** Takes over a connection of this node's port that begins like STUN. */
  answerStun(socket: Socket): void {
    if (this.#serving?.answerStun(socket) === true) return
    if (this.#reach === undefined) socket.destroy()
    else this.#reach.answerStun(socket)
  }

  /** A way for a stranger to an admin; undefined where this node is no relay. See `RelayServer.passage`. */
  passage(wish: PassageWish): Promise<Passage | Refusal> | undefined {
    return this.#serving?.passage(wish)
  }

  /** True where this node serves as a relay now. */
  serves(): boolean {
    return this.#serving?.serves() === true
  }

  /** See `Network.path`. */
  path(peer: string): PathInfo {
    const connections = this.#init.table.list(peer)
    return pathInfoOf(peer, { connections, failures: this.#failures, whyUntried: () => this.#whyUntried(peer) })
  }

  /** See `Network.reach`. */
  reach(): ReachInfo {
    return {
      reachability: this.#reach?.reachability() ?? 'unknown',
      nat: this.#reach?.nat() ?? null,
      mapped: this.#reach?.mapped() ?? [],
      reservations: this.#relays?.reservations() ?? [],
      relays: this.#relays?.candidates() ?? [],
      relay: this.#serving?.status() ?? null,
      clocks: this.#exchange.offsets(),
    }
  }

  /**
   * Addresses of a peer in the order in which they are tried. What this node's people gave comes first among its like;
   * what others say is dialled within the rules alone.
   */
  candidates(peer: string): string[] {
    const { book } = this.#init
    const given = book.of(peer, 'given').filter((address) => (peerIn(address) ?? peer) === peer)
    const said = [
      ...(this.#store.of(peer)?.record.addresses ?? []),
      ...book.of(peer, 'learned'),
      ...book.of(peer, 'discovered'),
    ]
    return inDialOrder([...given, ...this.#usable(said)], this.#subnets.now()).slice(0, 2 * MAX_ADDRESSES_PER_PEER)
  }

  /** The addresses that a peer names as its own. */
  ownWordsOf(peer: string): readonly string[] {
    return this.#store.of(peer)?.record.addresses ?? []
  }

  /** Other members whose addresses are known. */
  known(): string[] {
    return this.#store.all().flatMap(({ record }) => (record.id === this.#init.self ? [] : [record.id]))
  }

  /** Of the addresses that somebody else names, those that this node dials. */
  #usable(addresses: readonly string[]): string[] {
    const { network } = this.#init
    const configured = [...network.listen, ...network.staticPeers, ...(network.relay?.servers ?? [])]
    const loopback = mayDialLoopback(configured, this.#subnets.now())
    return dialable(addresses, { loopback, own: new Set(this.#init.addresses().map(withoutPeer)) })
  }

  /** A name that somebody else gives may lead to any address, so these are held to the same rules. */
  #reachableFrom(address: string, peer: string): ((host: string) => boolean) | undefined {
    if (this.#isGiven(peer, address)) return undefined
    return (host) => this.#usable([`/${isIPv6(host) ? 'ip6' : 'ip4'}/${host}/tcp/1`]).length > 0
  }

  /** True for what this node's people gave, with or without the peer's id. */
  #isGiven(peer: string, address: string): boolean {
    return this.#init.book.of(peer, 'given').map(withoutPeer).includes(address)
  }

  #createExchange(): AddressExchange {
    const { network, self, signer, handle, opener, table } = this.#init
    const { clock, log, counters } = network
    return new AddressExchange({
      self,
      agent: network.agent,
      signer,
      store: this.#store,
      handle,
      open: (peer, protocol, options) => opener.openOn(peer, protocol, options),
      connected: () => table.peers(),
      describe: () => this.#describeSelf(),
      onRecord: (record) => this.#onRecord(record),
      onAgent: this.#init.onAgent,
      clock,
      log,
      counters,
    })
  }

  #createServing(): RelayServing | undefined {
    const { network, self, table, handle, opener, addresses } = this.#init
    if (network.relay === undefined) return undefined
    return new RelayServing({
      network,
      settings: network.relay,
      self,
      table,
      handle,
      opener,
      addresses,
      expects: (transaction, from) => this.#reach?.admits(transaction, from) === true,
      onChange: () => this.#exchange.changed(),
    })
  }

  #createReach(): Reach | undefined {
    const { network, table, handle, opener, addresses } = this.#init
    if (network.reach === undefined) return undefined
    return new Reach({
      network,
      settings: network.reach,
      table,
      handle,
      opener,
      addresses,
      relays: () => this.#relays?.candidates() ?? [],
      candidates: (peer) => this.candidates(peer),
      isGiven: (peer, address) => this.#isGiven(peer, address),
      onChange: () => {
        this.#decide()
        this.#exchange.changed()
      },
    })
  }

  #createRelayUse(kit: { upgrader: ChannelUpgrader; hearStranger: HearStranger }): RelayUse | undefined {
    const { network, self, table, book, handle, opener, mayDial, mayAnswer, mayAsk, want } = this.#init
    if (network.relay === undefined) return undefined
    return new RelayUse({
      network,
      settings: network.relay,
      self,
      table,
      book,
      store: this.#store,
      handle,
      opener,
      upgrader: kit.upgrader,
      strangers: { mayAsk, hear: kit.hearStranger },
      findDirect: (peer, options) => this.#finder.findDirect(peer, options),
      candidates: (peer) => this.candidates(peer),
      mayDial,
      mayAnswer,
      want: (peer) => want(peer, 0),
      onChange: () => this.#exchange.changed(),
      onConnected: (peer, connection) => this.#upgrades?.begin(peer, connection),
      onReserved: (relay) => {
        this.#reach?.measureSoon()
        // Peers may be reached over it, and come back to it at the same time.
        if (this.#news.take(`reservation ${relay}`)) this.#init.retryAll()
      },
    })
  }

  #createPuncher(upgrader: ChannelUpgrader): Puncher | undefined {
    const { network, self, handle, opener, addresses } = this.#init
    const reach = this.#reach
    if (reach === undefined) return undefined
    const { clock, log, counters } = network
    return createPuncher({
      self,
      handle,
      opener,
      upgrader,
      stunServers: () => reach.stunServers(),
      localAddresses: () => ipEndpointsOf(addresses()),
      mappedAddresses: () => [...reach.mapped(), ...reach.confirmed()],
      wasSeenAt: (peer, host) => this.#relays?.wasSeenAt(peer, host) === true,
      clock,
      log,
      counters,
    })
  }

  /** A node that others can dial needs no relays, and may be one. */
  #decide(): void {
    const reachability = this.#reach?.reachability() ?? 'unknown'
    this.#relays?.needed(this.#reach?.isPublicNow() !== true && this.#init.network.relay?.reserve !== false)
    this.#serving?.decide(reachability)
  }

  #whyUntried(peer: string): string | null {
    if (!this.#init.mayDial(peer)) return 'the rules of this node do not allow it'
    return this.candidates(peer).length === 0 ? 'no address of it is known' : null
  }

  #onRecord(record: AddressRecord): void {
    const { table, retry, network } = this.#init
    if (record.serves || network.relay?.isRelay(record.id) === true) this.#relays?.refresh()
    if (table.preferred(record.id, { direct: true }) !== undefined) return
    if (!this.#news.take(record.id)) return
    if (table.isConnected(record.id)) return void this.#upgrades?.retry(record.id)
    this.#want(record.id)
    retry(record.id, this.#delayOf(record.id))
  }

  #want(peer: string): void {
    if (this.#init.mayDial(peer)) this.#init.want(peer, this.#delayOf(peer))
  }

  /** Two that hear of each other at the same time need one connection: one begins, the other where that fails. */
  readonly #delayOf = (peer: string): number => (this.#init.self < peer ? 0 : SECOND_DIALS_AFTER_MS)

  #onNetworkChange(why: string): void {
    const { network, table, retryAll } = this.#init
    network.log.info({ why }, 'the network of this machine has changed')
    network.counters.add('net_changes', 1, { why })
    this.#subnets.changed()
    this.#exchange.changed()
    table.check()
    this.#relays?.checkNow()
    this.#reach?.changed()
    retryAll()
    this.#upgrades?.retry()
  }

  #describeSelf(): Omit<AddressRecord, 'id' | 'sequence'> | undefined {
    const own = tellableAddresses(this.#init.addresses())
    const addresses = [
      ...new Set([...(this.#reach?.confirmed() ?? []), ...(this.#reach?.mapped() ?? []).map(withoutPeer), ...own]),
    ]
    const relays = (this.#relays?.reservations() ?? []).map(({ relay }) => relay)
    const serves = this.#serving?.serves() === true
    if (addresses.length === 0 && relays.length === 0) return undefined
    return { addresses, relays, reachability: this.#reach?.reachability() ?? 'unknown', serves }
  }
}
