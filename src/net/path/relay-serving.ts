import type { Socket } from 'node:net'
import type { Handle, StreamOpener } from '../channel.ts'
import type { ConnectionTable } from '../connections.ts'
import {
  createRelayServer,
  type Passage,
  type PassageWish,
  type Refusal,
  type RelayServer,
  type RelayServerStatus,
} from '../relay/index.ts'
import { createStunServer, type RunningStunServer } from '../stun/index.ts'
import type { NetworkInit } from '../types.ts'
import { endpointOf, withoutPeer } from './address-words.ts'
import type { Reachability, RelaySettings } from './types.ts'

/** What serving as a relay needs. */
export interface RelayServingInit {
  readonly network: NetworkInit
  readonly settings: RelaySettings
  readonly self: string
  readonly table: ConnectionTable
  readonly handle: Handle
  readonly opener: StreamOpener
  addresses(): string[]
  /** STUN requests that a check of this node's reachability has sent for. */
  expects(transaction: string, from: { host: string; port: number }): boolean
  /** It serves now, or no longer. */
  onChange(): void
}

/** This node as a relay: whether it is one, and the STUN server that each relay is. */
export class RelayServing {
  readonly #init: RelayServingInit
  #server: RelayServer | undefined
  #stun: RunningStunServer | undefined

  constructor(init: RelayServingInit) {
    this.#init = init
  }

  /** Starts or stops serving as the settings, this node's role and its reachability want it. */
  decide(reachability: Reachability): void {
    const { settings, self, network, onChange } = this.#init
    const isReachable = settings.isRelay(self) || reachability === 'public'
    const serves = settings.serve === 'always' || (settings.serve === 'auto' && isReachable)
    if (serves === (this.#server !== undefined)) return void this.#server?.recheck()
    network.log.info({ serves }, serves ? 'this node serves as a relay' : 'this node no longer serves as a relay')
    if (serves) this.#begin()
    else void this.stop()
    onChange()
  }

  serves(): boolean {
    return this.#server !== undefined
  }

  /** See `RelayServer.passage`; undefined where this node is no relay. */
  passage(wish: PassageWish): Promise<Passage | Refusal> | undefined {
    return this.#server?.passage(wish)
  }

  status(): RelayServerStatus | null {
    return this.#server?.status() ?? null
  }

  /** Takes over a connection that begins like STUN; false where this node serves none. */
  answerStun(socket: Socket): boolean {
    this.#stun?.answerTcp(socket)
    return this.#stun !== undefined
  }

  async stop(): Promise<void> {
    const [server, stun] = [this.#server, this.#stun]
    this.#server = undefined
    this.#stun = undefined
    await Promise.all([server?.stop(), stun?.stop()])
  }

  #begin(): void {
    const { settings, table, handle, opener, addresses, expects } = this.#init
    const { clock, log, counters } = this.#init.network
    this.#server = createRelayServer({
      handle,
      opener,
      mayUse: (peer) => settings.mayUse(peer),
      observed: (peer) => {
        const used = table.preferred(peer, { direct: true })?.remoteAddr.toString()
        const direct = table.list(peer).filter(({ relayed }) => !relayed)
        return used === undefined ? [] : [used, ...direct.map(({ address }) => address)]
      },
      limits: settings.limits,
      clock,
      log,
      counters,
    })
    this.#server.start()
    const port = addresses()
      .map((address) => endpointOf(withoutPeer(address))?.port)
      .find((known) => known !== undefined)
    if (port === undefined) return
    this.#stun = createStunServer({ port, expects, clock, log, counters })
    void this.#stun.start()
  }
}
