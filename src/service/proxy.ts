import type { Duplex } from 'node:stream'
import type { WarrenError } from '../base/errors.ts'
import { EventBus } from '../base/events.ts'
import type { PathView, ProxyView } from './contract.ts'
import type { CarryDeps, Entrance, ProxyTarget } from './proxy-deps.ts'
import { openTcpEntrance } from './tcp-entrance.ts'
import { openUdpEntrance } from './udp-entrance.ts'

/** Where a proxy listens. */
export interface ProxyPlace {
  /** Default: loopback of both kinds. */
  readonly bind?: readonly string[] | undefined
  /** 0: any; absent: `preferred` where it is free, else any. */
  readonly port?: number | undefined
  readonly preferred?: number | undefined
}

/** What a proxy tells. */
export interface ProxyEvents {
  /** A client could not be given a connection. */
  failed: WarrenError
}

export interface ProxyInit extends Omit<CarryDeps, 'onFailure'> {
  readonly id: string
  readonly target: ProxyTarget
  readonly kept: boolean
  readonly nameOf: (peer: string) => string
  readonly pathOf: (peer: string) => PathView
  readonly makeEntrance: (deps: CarryDeps) => Promise<Entrance>
}

/** A service of another node at a port of this machine. */
export interface ServiceProxy {
  readonly id: string
  readonly target: ProxyTarget
  readonly events: EventBus<ProxyEvents>
  /** Where it listens; undefined while it does not. */
  readonly entrance: Entrance | undefined
  /** Begins to listen; fails as the entrance does. */
  start(): Promise<void>
  view(): ProxyView
  /** Stops to listen, and cuts what goes through it. */
  close(): Promise<void>
}

/** How to listen for the clients of a target. */
export function entranceAt(target: ProxyTarget, { bind, port, preferred }: ProxyPlace) {
  const where = { addresses: bind, port, preferred }
  return (deps: CarryDeps): Promise<Entrance> =>
    target.kind === 'tcp' ? openTcpEntrance(deps, where) : openUdpEntrance(deps, where)
}

/** A proxy that does not listen yet. */
export function createProxy(init: ProxyInit): ServiceProxy {
  const { id, target, kept, nameOf, pathOf, makeEntrance } = init
  const events = new EventBus<ProxyEvents>()
  let entrance: Entrance | undefined
  let problem: string | undefined
  let closed = false
  const onFailure = (error: WarrenError): void => {
    problem = error.message
    events.emit('failed', error)
  }
  const open = async (signal: AbortSignal): Promise<Duplex> => {
    const stream = await init.open(signal)
    problem = undefined
    return stream
  }
  return {
    id,
    target,
    events,
    get entrance() {
      return entrance
    },
    async start() {
      try {
        const made = await makeEntrance({ ...init, open, onFailure, log: init.log.child({ proxy: id }) })
        problem = undefined
        entrance = made
        if (closed) await made.close()
      } catch (error) {
        problem = (error as Error).message
        throw error
      }
    },
    view() {
      const traffic = entrance?.traffic()
      return {
        id,
        node: nameOf(target.peer),
        service: target.service,
        kind: target.kind,
        local: (entrance?.addresses ?? []).map((address) => placeOf(address, entrance?.port ?? 0)),
        kept,
        connections: traffic?.connections ?? 0,
        total: traffic?.total ?? 0,
        bytes_in: traffic?.bytesIn ?? 0,
        bytes_out: traffic?.bytesOut ?? 0,
        problem: problem ?? null,
        ...pathOf(target.peer),
      }
    },
    async close() {
      closed = true
      await entrance?.close()
    },
  }
}

function placeOf(address: string, port: number): string {
  if (address.startsWith('/')) return address
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`
}
