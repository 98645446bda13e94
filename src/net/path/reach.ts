import type { Socket } from 'node:net'
import type { TimerHandle } from '../../base/clock.ts'
import type { Handle, StreamOpener } from '../channel.ts'
import type { ConnectionTable } from '../connections.ts'
import { createPortMapping, type PortMappings } from '../port-mapping.ts'
import { createReachability, type Reachability as ReachabilityCheck } from '../reachability/index.ts'
import { measureNat, type NatReport, type StunServer } from '../stun/index.ts'
import type { NetworkInit } from '../types.ts'
import { endpointOf, isOnSubnet, ownSubnets, reachOf, withoutPeer } from './address-words.ts'
import { MAX_STUN_SERVERS, MEASURE_AFTER_MS, MEASURE_INTERVAL_MS } from './limits.ts'
import type { Reachability, ReachSettings } from './types.ts'

/** What finding out how this node is reached needs. */
export interface ReachInit {
  readonly network: NetworkInit
  readonly settings: ReachSettings
  readonly table: ConnectionTable
  readonly handle: Handle
  readonly opener: StreamOpener
  addresses(): string[]
  /** Relays, which are STUN servers too, best first. */
  relays(): readonly string[]
  /** Addresses of a peer. */
  candidates(peer: string): string[]
  /** True for an address that this node's people gave; all others are at the word of peers. */
  isGiven(peer: string, address: string): boolean
  /** Something that `info` says has changed. */
  onChange(): void
}

/** How this node looks from outside: whether others can dial it, what NAT is between, what the router forwards. */
export class Reach {
  readonly #init: ReachInit
  readonly #check: ReachabilityCheck
  readonly #stopping = new AbortController()
  readonly #mapping: PortMappings | undefined
  #nat: NatReport | null = null
  #timer: TimerHandle | undefined
  #measuring = false
  /** Since the network has changed nobody has looked anew. */
  #isStale = false

  constructor(init: ReachInit) {
    this.#init = init
    const { clock, log, counters } = init.network
    this.#check = createReachability({
      handle: init.handle,
      opener: init.opener,
      connections: () => init.table.list(),
      ports: () => this.#ports(),
      forced: () => init.settings.force,
      clock,
      log,
      counters,
    })
    this.#check.events.on('changed', ({ reach }) => {
      log.info({ reach, reason: this.#check.reason() }, 'whether others can dial this node')
      init.onChange()
    })
    if (!init.settings.portMapping) return
    const ports = () => this.#listeners().map((port) => ({ protocol: 'tcp' as const, port }))
    this.#mapping = createPortMapping({ ports, clock, log })
    this.#mapping.events.on('changed', () => {
      this.#check.changed()
      init.onChange()
    })
  }

  start(): void {
    this.#check.start()
    this.#mapping?.start()
    this.measureSoon()
  }

  async stop(): Promise<void> {
    this.#stopping.abort(new Error('the network stops'))
    if (this.#timer !== undefined) this.#init.network.clock.clearTimeout(this.#timer)
    this.#check.stop()
    await this.#mapping?.stop()
  }

  /** Addresses or routes of this machine have changed. */
  changed(): void {
    this.#isStale = true
    this.#check.changed()
    this.#init.onChange()
    const looked = (): void => {
      this.#isStale = false
      this.#init.onChange()
    }
    this.#check.check(this.#stopping.signal).then(looked, () => undefined)
    this.#mapping?.changed()
    this.measureSoon()
  }

  /** Measures the NAT soon, where there is somebody to ask. */
  measureSoon(): void {
    this.#measureIn(MEASURE_AFTER_MS)
  }

  reachability(): Reachability {
    return this.#check.reach()
  }

  /** True where others were seen to come in on the network that this machine is on now, or where the config says so. */
  isPublicNow(): boolean {
    return this.#check.reach() === 'public' && (!this.#isStale || this.#init.settings.force === 'public')
  }

  nat(): NatReport | null {
    return this.#nat
  }

  /** Multiaddrs that the router forwards here. */
  mapped(): string[] {
    return this.#mapping?.mapped() ?? []
  }

  /** Public addresses at which others have been seen to come in. */
  confirmed(): string[] {
    return this.#check.confirmed().map((text) => {
      const at = text.lastIndexOf(':')
      const host = text.slice(0, at).replaceAll(/[[\]]/g, '')
      return `/${host.includes(':') ? 'ip6' : 'ip4'}/${host}/tcp/${text.slice(at + 1)}`
    })
  }

  /** True where a STUN request is part of a check of this node's reachability. */
  admits(transaction: string, from: { host: string; port: number }): boolean {
    return this.#check.admits(transaction, from)
  }

  /** Answers a connection that begins like STUN, where this node serves none: only what its own check has sent for. */
  answerStun(socket: Socket): void {
    this.#check.answerTcp(socket)
  }

  /**
   * Where this node may ask how it is seen: at relays with which it is connected, for one that is away would be waited
   * for; at all of them where it is connected with none.
   */
  stunServers(): StunServer[] {
    const { settings, relays, table } = this.#init
    const given = settings.stunServers.flatMap((text) => {
      const [, host, port] = /^\[?(.+?)\]?:(\d+)$/.exec(text) ?? []
      return host === undefined ? [] : [{ id: text, host, port: Number(port), alternatePort: null }]
    })
    const all = relays().flatMap((relay) => this.#serverAt(relay) ?? [])
    const connected = all.filter(({ id }) => table.preferred(id, { direct: true }) !== undefined)
    return [...(connected.length > 0 ? connected : all), ...given].slice(0, MAX_STUN_SERVERS)
  }

  /** A name is looked up only where this node's people gave it; a private address is asked only where it leads there. */
  #serverAt(relay: string): StunServer | undefined {
    const { candidates, isGiven, table } = this.#init
    const subnets = ownSubnets()
    const connected = table.preferred(relay, { direct: true })?.remoteAddr.toString()
    const usable = candidates(relay).flatMap((text) => {
      const address = withoutPeer(text)
      const endpoint = endpointOf(address)
      if (endpoint === undefined || endpoint.host.includes(':') || address.endsWith('/ws')) return []
      if (isGiven(relay, address)) return [endpoint]
      const leads = reachOf(endpoint) !== 'private' || isOnSubnet(endpoint.host, subnets)
      const isConnected = connected !== undefined && withoutPeer(connected) === address
      return endpoint.isIp && (leads || isConnected) ? [endpoint] : []
    })
    const best = usable.find((endpoint) => reachOf(endpoint) !== 'private') ?? usable[0]
    return best === undefined
      ? undefined
      : { id: relay, host: best.host, port: best.port, alternatePort: best.port + 1 }
  }

  #measureIn(delayMs: number): void {
    const { clock } = this.#init.network
    if (this.#stopping.signal.aborted) return
    if (this.#timer !== undefined) clock.clearTimeout(this.#timer)
    this.#timer = clock.setTimeout(() => {
      this.#timer = undefined
      void this.#measure()
    }, delayMs)
    this.#timer.unref?.()
  }

  async #measure(): Promise<void> {
    const { network, onChange } = this.#init
    const servers = this.stunServers()
    if (servers.length > 0 && !this.#measuring) {
      this.#measuring = true
      try {
        this.#nat = await measureNat({ servers, signal: this.#stopping.signal, clock: network.clock })
        network.log.debug({ nat: this.#nat }, 'the NAT before this node')
        onChange()
      } catch (error) {
        network.log.debug({ error: String(error) }, 'the NAT could not be measured')
      } finally {
        this.#measuring = false
      }
    }
    if (this.#timer === undefined) this.#measureIn(MEASURE_INTERVAL_MS)
  }

  #listeners(): number[] {
    return portsIn(this.#init.addresses())
  }

  #ports(): number[] {
    return portsIn([...this.#init.addresses(), ...this.mapped()])
  }
}

function portsIn(addresses: readonly string[]): number[] {
  return [...new Set(addresses.flatMap((address) => endpointOf(withoutPeer(address))?.port ?? []))]
}
