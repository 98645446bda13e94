import { readFile } from 'node:fs/promises'
import { networkInterfaces } from 'node:os'
import type { Clock, TimerHandle } from '../../base/clock.ts'
import { MONITOR_INTERVAL_MS, SLEPT_MS } from './limits.ts'

/** What watching this machine's networks needs. */
export interface NetworkMonitorInit {
  /** Hears that an interface, address or default route has changed, or that the machine has slept. */
  onChange(why: 'addresses' | 'route' | 'slept'): void
  readonly clock: Clock
}

/** Node tells of no change of networks, so this looks once a second; a look costs a tenth of a millisecond. */
export class NetworkMonitor {
  readonly #init: NetworkMonitorInit
  #timer: TimerHandle | undefined
  #running = false
  #addresses = ''
  #routes = ''
  #wallMs = 0
  #monotonicMs = 0

  constructor(init: NetworkMonitorInit) {
    this.#init = init
  }

  async start(): Promise<void> {
    this.#running = true
    this.#addresses = addressesNow()
    this.#routes = await defaultRoutes()
    this.#noteTime()
    this.#later()
  }

  stop(): void {
    this.#running = false
    if (this.#timer !== undefined) this.#init.clock.clearTimeout(this.#timer)
  }

  #later(): void {
    if (!this.#running) return
    this.#timer = this.#init.clock.setTimeout(() => void this.#look(), MONITOR_INTERVAL_MS)
    this.#timer.unref?.()
  }

  async #look(): Promise<void> {
    const addresses = addressesNow()
    const routes = await defaultRoutes()
    const sleptMs = this.#init.clock.now() - this.#wallMs - (this.#init.clock.monotonicMs() - this.#monotonicMs)
    this.#noteTime()
    const why =
      addresses !== this.#addresses
        ? 'addresses'
        : routes !== this.#routes
          ? 'route'
          : sleptMs > SLEPT_MS
            ? 'slept'
            : undefined
    this.#addresses = addresses
    this.#routes = routes
    if (why !== undefined && this.#running) this.#init.onChange(why)
    this.#later()
  }

  #noteTime(): void {
    this.#wallMs = this.#init.clock.now()
    this.#monotonicMs = this.#init.clock.monotonicMs()
  }
}

function addressesNow(): string {
  const all = Object.entries(networkInterfaces()).flatMap(([name, addresses]) =>
    (addresses ?? []).filter(({ internal }) => !internal).map(({ cidr }) => `${name} ${cidr}`),
  )
  return all.sort().join('\n')
}

/** Interface and gateway of each default route; empty where the system has no such files. */
async function defaultRoutes(): Promise<string> {
  const [v4, v6] = await Promise.all(
    ['/proc/net/route', '/proc/net/ipv6_route'].map((file) => readFile(file, 'latin1').catch(() => '')),
  )
  const four = (v4 as string).split('\n').flatMap((line) => {
    const [name, destination, gateway, , , , , mask] = line.split('\t')
    return destination === '00000000' && mask === '00000000' ? [`${name} ${gateway}`] : []
  })
  const six = (v6 as string).split('\n').flatMap((line) => {
    const [destination, bits, , , gateway, , , , , name] = line.trim().split(/\s+/)
    return destination !== undefined && /^0{32}$/.test(destination) && bits === '00' && name !== 'lo'
      ? [`${name} ${gateway}`]
      : []
  })
  return [...four, ...six].sort().join('\n')
}
