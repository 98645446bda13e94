/** The UDP side of a STUN server: two sockets for every local address, kept up with the addresses that there are. */
import { createSocket, type Socket } from 'node:dgram'
import { isIPv6 } from 'node:net'
import type { Clock, TimerHandle } from '../../base/clock.ts'
import { scopeOf } from '../../base/ip-scope.ts'
import type { Logger } from '../../base/log.ts'
import { SerialQueue } from '../../base/wait.ts'
import { answerTo } from './answer.ts'
import { ADDRESS_SCAN_MS, MAX_SERVED_ADDRESSES } from './constants.ts'
import type { LocalAddress } from './local-addresses.ts'
import { decodeStun, type Endpoint, encodeStun } from './message.ts'

interface UdpAnswererInit {
  readonly port: number
  readonly alternatePort: number
  readonly addresses: () => readonly LocalAddress[]
  /** Asked for every request with the address it comes from. */
  admits(host: string): boolean
  readonly clock: Clock
  readonly log: Logger
}

type Which = 'primary' | 'alternate'

/** The sockets of one local address; one is missing where its port could not be had. */
interface Served extends LocalAddress {
  readonly sockets: Map<Which, Socket>
}

export class UdpAnswerer {
  readonly #init: UdpAnswererInit
  readonly #served = new Map<string, Served>()
  readonly #ports: Record<Which, number>
  readonly #complained = new Set<string>()
  readonly #scans = new SerialQueue()
  #timer: TimerHandle | undefined
  #running = false

  constructor(init: UdpAnswererInit) {
    this.#init = init
    this.#ports = { primary: init.port, alternate: init.alternatePort }
  }

  async start(): Promise<void> {
    this.#running = true
    await this.#scans.run(() => this.#scan())
    this.#scanLater()
  }

  async stop(): Promise<void> {
    this.#running = false
    if (this.#timer !== undefined) this.#init.clock.clearTimeout(this.#timer)
    await this.#scans.run(async () => {
      await Promise.all([...this.#served.values()].map((served) => this.#drop(served)))
    })
  }

  ports(): { udp: number | null; alternateUdp: number | null } {
    const has = (which: Which): boolean => [...this.#served.values()].some(({ sockets }) => sockets.has(which))
    return {
      udp: has('primary') ? this.#ports.primary : null,
      alternateUdp: has('alternate') ? this.#ports.alternate : null,
    }
  }

  /**
   * What OTHER-ADDRESS says to one who asked at `origin`: the port that was not asked, at another address where there
   * is one. `alternatePort` is the second port of the transport in question.
   */
  otherOf(origin: Endpoint, alternatePort: number | null): Endpoint | undefined {
    if (alternatePort === null) return undefined
    const port = origin.port === alternatePort ? this.#ports.primary : alternatePort
    return { host: this.#otherAddress(origin.host)?.host ?? origin.host, port }
  }

  #scanLater(): void {
    if (!this.#running) return
    this.#timer = this.#init.clock.setTimeout(() => {
      void this.#scans.run(() => this.#scan()).then(() => this.#scanLater())
    }, ADDRESS_SCAN_MS)
    this.#timer.unref?.()
  }

  /** Opens the sockets that are missing and closes those of addresses that are gone. */
  async #scan(): Promise<void> {
    const addresses = this.#init.addresses().slice(0, MAX_SERVED_ADDRESSES)
    for (const served of this.#served.values()) {
      if (!addresses.some(({ host }) => host === served.host)) await this.#drop(served)
    }
    for (const address of addresses) {
      if (!this.#running) return
      const served = this.#served.get(address.host) ?? { ...address, sockets: new Map() }
      this.#served.set(address.host, served)
      for (const which of ['primary', 'alternate'] as const) {
        if (!served.sockets.has(which)) await this.#bind(served, which)
      }
    }
  }

  async #bind(served: Served, which: Which): Promise<void> {
    const socket = createSocket({ type: isIPv6(served.host) ? 'udp6' : 'udp4', ipv6Only: isIPv6(served.host) })
    const place = `${served.host} port ${this.#ports[which]}`
    try {
      await new Promise<void>((resolve, reject) => {
        socket.once('error', reject)
        socket.bind({ port: this.#ports[which], address: served.host, exclusive: true }, resolve)
      })
    } catch (error) {
      socket.close()
      if (!this.#complained.has(place)) this.#init.log.warn({ err: error }, `STUN does not answer on UDP ${place}`)
      this.#complained.add(place)
      return
    }
    this.#complained.delete(place)
    // All addresses have the same two ports, whichever these are.
    this.#ports[which] = socket.address().port
    socket.removeAllListeners('error')
    socket.on('error', (error) => {
      this.#init.log.debug({ err: error }, `STUN on UDP ${place} failed; it is opened again`)
      served.sockets.delete(which)
      socket.close()
    })
    socket.on('message', (bytes, from) =>
      this.#answer(bytes, { host: from.address, port: from.port }, { served, which }),
    )
    served.sockets.set(which, socket)
  }

  async #drop(served: Served): Promise<void> {
    this.#served.delete(served.host)
    const sockets = [...served.sockets.values()]
    served.sockets.clear()
    await Promise.all(sockets.map((socket) => new Promise<void>((resolve) => void socket.close(resolve))))
  }

  #answer(bytes: Buffer, from: Endpoint, at: { served: Served; which: Which }): void {
    const request = decodeStun(bytes)
    if (request === undefined || request.kind !== 'request' || from.port === 0 || !this.#init.admits(from.host)) return
    const { change } = request
    const which = change?.port === true ? otherPort(at.which) : at.which
    const address = change?.host === true ? this.#otherAddress(at.served.host) : at.served
    const socket = address?.sockets.get(which)
    const back = socket ?? at.served.sockets.get(at.which)
    const origin =
      socket === undefined || address === undefined
        ? { host: at.served.host, port: this.#ports[at.which] }
        : { host: address.host, port: this.#ports[which] }
    const asked = { host: at.served.host, port: this.#ports[at.which] }
    const other = this.otherOf(asked, at.served.sockets.has('alternate') ? this.#ports.alternate : null)
    const answer = answerTo(request, { from, origin, other, canChange: socket !== undefined })
    // An answer that cannot be sent is one that was lost on the way.
    if (answer !== undefined) back?.send(encodeStun(answer), from.port, from.host, () => undefined)
  }

  /**
   * Another served address that the same clients reach: of the same family, and public as well or on the same
   * interface. A bridge for containers is none.
   */
  #otherAddress(host: string): Served | undefined {
    const own = this.#served.get(host)
    if (own === undefined) return undefined
    const isPublic = scopeOf(host) === 'public'
    return [...this.#served.values()].find((other) => {
      if (other.host === host || isIPv6(other.host) !== isIPv6(host)) return false
      return scopeOf(other.host) === scopeOf(host) && (isPublic || other.interface === own.interface)
    })
  }
}

function otherPort(which: Which): Which {
  return which === 'primary' ? 'alternate' : 'primary'
}
