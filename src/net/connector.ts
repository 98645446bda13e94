import type { Connection } from '@libp2p/interface'
import type { ConnectionTable } from './connections.ts'
import { DIAL_TIMEOUT_MS, HELD } from './constants.ts'
import { dialError } from './dial-errors.ts'
import { netErrors } from './errors.ts'
import type { HostKit } from './host.ts'
import { relayIn } from './path/address-words.ts'
import type { Paths } from './path/paths.ts'
import type { Direction, GateVerdict, SignalOptions } from './types.ts'

type HostFile = typeof import('./host.ts')

/** What connecting needs. */
export interface ConnectorInit {
  readonly table: ConnectionTable
  paths(): Paths
  /** Throws `network_not_running` where there is none. */
  running(): { kit: HostKit; file: HostFile }
  allow(peer: string, direction: Direction): GateVerdict
  /** What people call a peer. */
  nameOf(peer: string): string
}

/** Sees to connections with peers and with whoever answers at an address, as the gate allows. */
export class Connector {
  readonly #init: ConnectorInit

  constructor(init: ConnectorInit) {
    this.#init = init
  }

  /** The peer that a target means; undefined for an address that names none. Fails with `address_invalid`. */
  targetPeer(target: string): string | undefined {
    const { file } = this.#init.running()
    if (!target.startsWith('/')) return file.parsePeerId(target).toString()
    return file.peerOfAddress(file.parseAddress(target))
  }

  /** As `Network.connect`, but a peer that is disconnected by hand stays so. */
  async connect(target: string, { signal }: SignalOptions = {}): Promise<string> {
    const peer = this.targetPeer(target)
    if (peer !== undefined) {
      this.#mustAllow(peer)
      if (this.#init.table.preferred(peer) !== undefined) return peer
    }
    if (!target.startsWith('/')) {
      await this.#init.paths().find(target, { signal })
      return target
    }
    const bound = AbortSignal.timeout(DIAL_TIMEOUT_MS)
    const both = signal === undefined ? bound : AbortSignal.any([signal, bound])
    try {
      const circuit = relayIn(target)
      const connection =
        circuit === undefined || peer === undefined
          ? await this.dial(target, { peer, signal: both })
          : await this.#dialOver(circuit, { peer, signal: both })
      await this.#init.table.ready(connection)
      return connection.remotePeer.toString()
    } catch (error) {
      if (signal?.aborted) throw signal.reason
      throw dialError(error, target)
    }
  }

  /** A new connection with a peer, whatever connections there are. */
  async find(peer: string, options: SignalOptions): Promise<Connection> {
    this.#mustAllow(peer)
    return this.#init.paths().find(peer, options)
  }

  /** A new connection to one address. */
  async dial(
    address: string,
    options: { peer: string | undefined; signal: AbortSignal; mayReach?: ((host: string) => boolean) | undefined },
  ): Promise<Connection> {
    const { kit, file } = this.#init.running()
    return kit.dialAddress(file.parseAddress(address), options)
  }

  async #dialOver(
    { relay, address }: { relay: string; address: string },
    { peer, signal }: { peer: string; signal: AbortSignal },
  ): Promise<Connection> {
    await this.connect(address === '' ? relay : `${address}/p2p/${relay}`, { signal })
    return this.#init.paths().findOver(relay, peer, { signal })
  }

  #mustAllow(peer: string): void {
    const verdict = this.#init.allow(peer, 'outbound')
    if (verdict.allowed) return
    const name = this.#init.nameOf(peer)
    const hint =
      verdict.reason === HELD ? `Connect with it again: warren connect ${name}` : 'See who is admitted: warren nodes'
    throw netErrors.peer_not_allowed(`${name}: ${verdict.reason}`, { hint })
  }
}
