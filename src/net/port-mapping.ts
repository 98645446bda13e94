/** Ports of this node that the router passes on, asked for by NAT-PMP or UPnP. */
import { type Clock, systemClock, type TimerHandle } from '../base/clock.ts'
import { EventBus } from '../base/events.ts'
import { scopeOf } from '../base/ip-scope.ts'
import type { Logger } from '../base/log.ts'
import { sleep } from '../base/wait.ts'
import { findDefaultRouter } from './default-router.ts'
import { type MappingRequest, natPmpOf } from './nat-pmp.ts'
import { findUpnp } from './upnp.ts'

/** A mapping outlives a crash of this node by an hour at most, and a few failed renewals. */
const LIFETIME_SECONDS = 3_600
/** How often mappings are renewed: a router that was restarted has forgotten them. */
const RENEW_MS = 10 * 60_000
/** Without a mapping it is tried again after this time: another network, or a router that was set up meanwhile. */
const RETRY_MS = 2 * 60_000
/** A changed network needs a moment to have its route. */
const CHANGED_MS = 1_000
/** Giving the mappings back must not hold up the end of the program. */
const REMOVE_TIMEOUT_MS = 2_000
/** Ports that are asked for; a node has a few listeners. */
const MAX_PORTS = 8

/** A port to be reached at. */
export interface PortToMap {
  readonly protocol: 'tcp' | 'udp'
  readonly port: number
}

/** A port that the router passes on. */
export interface MappedPort extends PortToMap {
  readonly externalHost: string
  readonly externalPort: number
  readonly by: 'NAT-PMP' | 'UPnP'
}

export interface PortMappingInit {
  /** Ports to map, asked anew each time: the TCP listeners, and the UDP port of STUN when it is served. */
  readonly ports: () => readonly PortToMap[]
  /** The router and the own address towards it. Default: of the machine's default route. */
  readonly findRouter?: () => Promise<{ router: string; localHost: string } | undefined>
  readonly clock?: Clock
  readonly log: Logger
}

export interface PortMappings {
  /** `mapped` is what `mapped()` gives from now on. */
  readonly events: EventBus<{ changed: { mapped: string[] } }>
  /** Asks for the ports, soon and again and again. Why a router gives none is logged, once for each reason. */
  start(): void
  /** Gives the mappings back, which takes 2 s at most. */
  stop(): Promise<void>
  /** Addresses or listeners have changed. */
  changed(): void
  /** Multiaddrs of the TCP ports, without a peer id: `/ip4/203.0.113.7/tcp/9010`. */
  mapped(): string[]
  /** All of them. */
  mappings(): readonly MappedPort[]
  /** Why nothing is mapped, for people; null where something is, or nothing was tried yet. */
  reason(): string | null
}

/** Port mapping, not started yet. It speaks with this machine's default router and nobody else. */
export function createPortMapping(init: PortMappingInit): PortMappings {
  return new PortMapper(init)
}

/** A way to speak with one router. */
interface Way {
  readonly by: MappedPort['by']
  readonly router: string
  externalAddress(signal?: AbortSignal): Promise<string>
  map(request: MappingRequest, signal?: AbortSignal): Promise<number>
}

class PortMapper implements PortMappings {
  readonly events = new EventBus<{ changed: { mapped: string[] } }>()
  readonly #init: PortMappingInit
  readonly #clock: Clock
  #mappings: readonly MappedPort[] = []
  #way: Way | undefined
  #reason: string | null = null
  #told = '[]'
  #timer: TimerHandle | undefined
  #ends: AbortController | undefined
  #round: Promise<void> = Promise.resolve()

  constructor(init: PortMappingInit) {
    this.#init = init
    this.#clock = init.clock ?? systemClock
  }

  start(): void {
    if (this.#ends !== undefined) return
    this.#ends = new AbortController()
    this.#roundIn(0)
  }

  async stop(): Promise<void> {
    this.#ends?.abort(new Error('port mapping was stopped'))
    this.#ends = undefined
    this.#clearTimer()
    await this.#round
    const [way, mappings] = [this.#way, this.#mappings]
    this.#take([])
    if (way === undefined || mappings.length === 0) return
    const ends = new AbortController()
    const late = sleep(REMOVE_TIMEOUT_MS, { signal: ends.signal, clock: this.#clock }).catch(() => undefined)
    const removed = Promise.all(mappings.map((mapping) => this.#remove(way, mapping, ends.signal)))
    await Promise.race([removed, late])
    ends.abort(new Error('the mappings were not given back in time'))
    await removed
  }

  changed(): void {
    if (this.#ends !== undefined) this.#roundIn(CHANGED_MS)
  }

  mapped(): string[] {
    const ofTcp = this.#mappings.filter(({ protocol }) => protocol === 'tcp')
    return ofTcp.map(({ externalHost, externalPort }) => `/ip4/${externalHost}/tcp/${externalPort}`)
  }

  mappings(): readonly MappedPort[] {
    return this.#mappings
  }

  reason(): string | null {
    return this.#mappings.length > 0 ? null : this.#reason
  }

  #roundIn(delayMs: number): void {
    this.#clearTimer()
    const ends = this.#ends
    this.#timer = this.#clock.setTimeout(() => {
      this.#round = this.#round.then(async () => {
        if (ends === undefined || ends.signal.aborted) return
        const isDone = await this.#mapAll(ends.signal)
        if (!ends.signal.aborted && this.#timer === undefined) this.#roundIn(isDone ? RENEW_MS : RETRY_MS)
      })
      this.#timer = undefined
    }, delayMs)
    this.#timer.unref?.()
  }

  #clearTimer(): void {
    if (this.#timer !== undefined) this.#clock.clearTimeout(this.#timer)
    this.#timer = undefined
  }

  /** Asks for all ports, anew or again. Never rejects. */
  async #mapAll(signal: AbortSignal): Promise<boolean> {
    const ports = this.#init.ports().slice(0, MAX_PORTS)
    try {
      const way = await this.#findWay(signal)
      this.#way = way
      const externalHost = await way.externalAddress(signal)
      if (scopeOf(externalHost) !== 'public') {
        throw new Error(
          `the router ${way.router} is behind another NAT itself: its outer address is ${externalHost || 'unknown'}`,
        )
      }
      const mappings: MappedPort[] = []
      for (const one of ports) {
        const before = this.#mappings.find(({ protocol, port }) => protocol === one.protocol && port === one.port)
        const request = { ...one, internalPort: one.port, externalPort: before?.externalPort ?? one.port }
        const externalPort = await way.map({ ...request, lifetimeSeconds: LIFETIME_SECONDS }, signal)
        mappings.push({ ...one, externalHost, externalPort, by: way.by })
        // What is mapped is known at once, so that it is given back whatever comes between.
        if (before === undefined) this.#mappings = [...this.#mappings, mappings.at(-1) as MappedPort]
      }
      const gone = this.#mappings.filter(
        (old) => !ports.some((one) => one.protocol === old.protocol && one.port === old.port),
      )
      for (const mapping of gone) await this.#remove(way, mapping, signal)
      this.#take(mappings)
      return true
    } catch (thrown) {
      if (!signal.aborted) this.#explain(thrown)
      return false
    }
  }

  /** NAT-PMP where the router answers to it, which is quicker and asks less of it, else UPnP. */
  async #findWay(signal: AbortSignal): Promise<Way> {
    const place = await (this.#init.findRouter ?? findDefaultRouter)()
    if (place === undefined) throw new Error('this machine has no default route over IPv4')
    const { router } = place
    const [log, clock] = [this.#init.log, this.#clock]
    if (this.#way?.router === router && this.#way.by === 'UPnP' && this.#mappings.length > 0) return this.#way
    const pmp = natPmpOf(router, { clock })
    try {
      await pmp.externalAddress(signal)
      return { by: 'NAT-PMP', router, ...pmp }
    } catch (byPmp) {
      signal.throwIfAborted()
      log.debug({ err: byPmp }, 'no port mapping by NAT-PMP')
      try {
        return { by: 'UPnP', router, ...(await findUpnp({ ...place, clock }, signal)) }
      } catch (byUpnp) {
        signal.throwIfAborted()
        throw new Error([byPmp, byUpnp].map((error) => (error as Error).message).join('; '), { cause: byUpnp })
      }
    }
  }

  async #remove(way: Way, { protocol, port, externalPort }: MappedPort, signal: AbortSignal): Promise<void> {
    try {
      await way.map({ protocol, internalPort: port, externalPort, lifetimeSeconds: 0 }, signal)
    } catch (error) {
      this.#init.log.debug({ err: error, port: externalPort }, 'a port mapping was not given back; it ends by itself')
    }
  }

  #explain(thrown: unknown): void {
    const reason = thrown instanceof Error ? thrown.message : String(thrown)
    if (reason !== this.#reason) this.#init.log.info({ reason }, 'the router maps no ports')
    this.#reason = reason
    this.#way = undefined
    this.#take([])
  }

  #take(mappings: readonly MappedPort[]): void {
    const before = this.#told
    this.#mappings = mappings
    this.#told = JSON.stringify(mappings)
    if (this.#told === before) return
    if (mappings.length > 0) {
      this.#reason = null
      this.#init.log.info({ mappings }, 'the router maps ports')
    }
    this.events.emit('changed', { mapped: this.mapped() })
  }
}
