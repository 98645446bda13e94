import type { Connection } from '@libp2p/interface'
import type { AddressBook } from '../address-book.ts'
import type { ChannelUpgrader, Handle, HearStranger, StreamOpener } from '../channel.ts'
import type { ConnectionTable } from '../connections.ts'
import { netErrors } from '../errors.ts'
import { createRelayClient, type RelayClient, type RelayReservation, relaysOf } from '../relay/index.ts'
import type { NetworkInit, SignalOptions } from '../types.ts'
import { peerIn } from './address-words.ts'
import { MAX_RELAYS_TRIED } from './limits.ts'
import type { RecordStore } from './record-store.ts'
import type { RelaySettings } from './types.ts'

/** What using relays needs. */
export interface RelayUseInit {
  readonly network: NetworkInit
  readonly settings: RelaySettings
  readonly self: string
  readonly table: ConnectionTable
  readonly book: AddressBook
  readonly store: RecordStore
  readonly handle: Handle
  readonly opener: StreamOpener
  readonly upgrader: ChannelUpgrader
  /** Those who ask for admission over a relay. */
  readonly strangers: { mayAsk(peer: string): boolean; hear: HearStranger }
  /** A new direct connection. */
  findDirect(peer: string, options: { signal: AbortSignal }): Promise<Connection>
  candidates(peer: string): string[]
  mayDial(peer: string): boolean
  mayAnswer(peer: string): boolean
  want(peer: string): void
  /** The relays that hold a reservation are others than before. */
  onChange(): void
  onReserved(relay: string): void
  /** A relayed connection with a peer has come about, which has answered nothing yet. */
  onConnected(peer: string, connection: Connection): void
}

/** The relays of this node: which ones it uses, and connections over them. */
export class RelayUse {
  readonly #init: RelayUseInit
  readonly #client: RelayClient
  #configured: readonly string[] = []
  #candidates: readonly string[] = []

  constructor(init: RelayUseInit) {
    this.#init = init
    const { clock, log, counters } = init.network
    this.#client = createRelayClient({
      handle: init.handle,
      opener: init.opener,
      upgrader: init.upgrader,
      connect: (relay, options) => this.#connect(relay, options),
      addressOf: (relay) => this.#addressOf(relay),
      mayAnswer: init.mayAnswer,
      strangers: init.strangers,
      clock,
      log,
      counters,
    })
    this.#client.events.on('reserved', ({ relay }) => {
      init.onChange()
      init.onReserved(relay)
    })
    this.#client.events.on('connected', ({ peer, connection }) => init.onConnected(peer, connection))
    this.#client.events.on('lost', ({ relay, reason }) => {
      log.info({ relay, reason }, 'a relay is lost')
      init.onChange()
      // What went over it is probably lost too; what goes directly may be: a cut link is noticed here first.
      init.table.check()
    })
  }

  start(): void {
    const { settings, book, self, want } = this.#init
    const configured = relaysOf(settings.servers).filter(({ id }) => id !== self)
    for (const { id, addresses } of configured) {
      book.add(id, addresses, 'given')
      want(id)
    }
    this.#configured = configured.map(({ id }) => id)
    this.refresh()
    this.#client.start()
  }

  async stop(): Promise<void> {
    await this.#client.stop()
  }

  /** Chooses the relays anew: the config's, those whose role it is, then members that serve. */
  refresh(): void {
    const { self, settings, store, mayDial, table } = this.#init
    const records = store.all().map(({ record }) => record)
    const byRole = records.filter(({ id }) => settings.isRelay(id)).map(({ id }) => id)
    const serving = records.filter(({ serves }) => serves).map(({ id }) => id)
    // Among its like one that is connected is known to be there.
    const known = [byRole, serving].flatMap((ids) =>
      ids.toSorted((a, b) => Number(table.isConnected(b)) - Number(table.isConnected(a))),
    )
    const all = new Set([...this.#configured, ...known])
    const candidates = [...all].filter((id) => id !== self && mayDial(id))
    if (candidates.join() === this.#candidates.join()) return
    this.#candidates = candidates
    this.#client.setCandidates(candidates)
  }

  /** False where others reach this node without relays. */
  needed(needed: boolean): void {
    this.#client.needed(needed)
  }

  /** Asks the relays at once whether they are there. */
  checkNow(): void {
    this.#client.checkNow()
  }

  /** The relays that this node would use, best first. */
  candidates(): readonly string[] {
    return this.#candidates
  }

  reservations(): RelayReservation[] {
    return this.#client.reservations()
  }

  /** Relays that may reach a peer: those that hold its reservation, then its and this node's own. */
  relaysOf(peer: string): string[] {
    const { store, self, mayDial } = this.#init
    const said = (store.of(peer)?.record.relays ?? []).filter((relay) => relay !== self && mayDial(relay))
    return [...new Set([...said, ...this.#candidates])].slice(0, MAX_RELAYS_TRIED)
  }

  /** See `RelayClient.wasSeenAt`. */
  wasSeenAt(peer: string, host: string): boolean {
    return this.#client.wasSeenAt(peer, host)
  }

  dial(relay: string, peer: string, { signal }: SignalOptions): Promise<Connection> {
    return this.#client.dial(relay, peer, { signal })
  }

  async #connect(relay: string, { fresh, signal }: { fresh: boolean; signal: AbortSignal }): Promise<void> {
    const { table, mayDial, findDirect } = this.#init
    if (!mayDial(relay)) throw netErrors.peer_not_allowed(`${relay}: the rules of this node do not allow it`)
    const open = table.preferred(relay, { direct: true })
    if (open !== undefined && !fresh) return
    if (open !== undefined) table.suspect(open)
    await findDirect(relay, { signal })
  }

  #addressOf(relay: string): string {
    const { table, candidates } = this.#init
    const open = table.preferred(relay, { direct: true })?.remoteAddr.toString()
    const address = open ?? candidates(relay)[0] ?? ''
    return peerIn(address) === relay ? address : `${address}/p2p/${relay}`
  }
}
