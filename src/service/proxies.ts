import { randomBytes } from 'node:crypto'
import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Duplex } from 'node:stream'
import { Backoff } from '../base/backoff.ts'
import type { Clock } from '../base/clock.ts'
import { baseErrors, type WarrenError } from '../base/errors.ts'
import type { Logger } from '../base/log.ts'
import { sleep } from '../base/wait.ts'
import type { PathView, ProxyView } from './contract.ts'
import { serviceErrors } from './errors.ts'
import type { Finder, Wanted } from './find.ts'
import { type KeptProxies, type KeptProxy, openKeptProxies } from './kept-proxies.ts'
import { MAX_PROXIES } from './limits.ts'
import { createProxy, entranceAt, type ProxyPlace, type ServiceProxy } from './proxy.ts'
import type { CarryDeps, Entrance, ProxyTarget } from './proxy-deps.ts'
import { hintOf } from './rights.ts'
import { openSocketEntrance } from './tcp-entrance.ts'

export interface ProxiesOptions {
  /** Where kept proxies are written down. */
  readonly file: string
  /** Where pipes have their sockets: a folder of this user's alone, whose path has room for 11 more letters. */
  readonly doorFolder: string
  readonly finder: Finder
  /** Names of those who can give rights. */
  readonly whomToAsk: () => string
  /** A stream to a service; see `openService`. */
  readonly open: (target: ProxyTarget, signal: AbortSignal) => Promise<Duplex>
  readonly pathOf: (peer: string) => PathView
  readonly clock: Clock
  readonly log: Logger
}

/** One connection of a command's standard input and output. */
export interface Pipe {
  readonly proxy: ServiceProxy
  /** Resolves when the connection has ended in order; rejects with what cut it, or kept it from being made. */
  readonly ended: Promise<void>
}

/** The proxies of this node. */
export interface Proxies {
  /** Opens those that are kept. One that cannot listen is tried again until it can. */
  start(): Promise<void>
  /**
   * Listens for a service until the proxy is closed. Fails with `service_refused` where this node may not connect, and
   * as `Finder.resolve`, `Finder.describe` and `bindPorts`.
   */
  open(wanted: Wanted & ProxyPlace, signal: AbortSignal): Promise<ServiceProxy>
  /** As `open`, and after each restart until it is closed. */
  keep(wanted: Wanted & ProxyPlace, signal: AbortSignal): Promise<ProxyView>
  /** A Unix socket for one connection. Fails as `open`. */
  pipe(wanted: Wanted, signal: AbortSignal): Promise<Pipe>
  list(): ProxyView[]
  /** Closes one, or `all`, for good; gives the ids. Fails with `proxy_not_found`. */
  close(id: string): Promise<string[]>
  stop(): Promise<void>
}

export async function createProxies(options: ProxiesOptions): Promise<Proxies> {
  return new NodeProxies(options, await openKeptProxies(options.file, options))
}

class NodeProxies implements Proxies {
  readonly #options: ProxiesOptions
  readonly #kept: KeptProxies
  readonly #proxies = new Map<string, ServiceProxy>()
  readonly #stopping = new AbortController()

  constructor(options: ProxiesOptions, kept: KeptProxies) {
    this.#options = options
    this.#kept = kept
  }

  async start(): Promise<void> {
    await sweepSockets(this.#options.doorFolder)
    for (const { id, bind, port, ...target } of this.#kept.list) {
      const makeEntrance = entranceAt(target, { bind: bind ?? undefined, port })
      void this.#startUntilItDoes(this.#add(target, { id, kept: true, makeEntrance }))
    }
  }

  open(wanted: Wanted & ProxyPlace, signal: AbortSignal): Promise<ServiceProxy> {
    return this.#open(wanted, signal, false)
  }

  async keep(wanted: Wanted & ProxyPlace, signal: AbortSignal): Promise<ProxyView> {
    const proxy = await this.#open(wanted, signal, true)
    const { id, target, entrance } = proxy
    const bind = wanted.bind === undefined ? null : [...wanted.bind]
    const entry: KeptProxy = { id, ...target, port: entrance?.port ?? 0, bind }
    try {
      await this.#kept.write((list) => [...list, entry])
    } catch (error) {
      await this.#closeOne(proxy)
      throw error
    }
    return proxy.view()
  }

  async pipe(wanted: Wanted, signal: AbortSignal): Promise<Pipe> {
    const { target } = await this.#targetOf(wanted, signal)
    if (target.kind === 'udp') throw datagramsOnly(target.service)
    const id = this.#newId()
    const path = join(this.#options.doorFolder, `${id}.sock`)
    let ended: Promise<void> = Promise.resolve()
    const makeEntrance = async (deps: CarryDeps): Promise<Entrance> => {
      const entrance = await openSocketEntrance(deps, path)
      ended = entrance.ended
      return entrance
    }
    const proxy = await this.#begin(this.#add(target, { id, kept: false, makeEntrance }))
    return { proxy, ended }
  }

  list(): ProxyView[] {
    return [...this.#proxies.values()].map((proxy) => proxy.view())
  }

  async close(id: string): Promise<string[]> {
    const all = [...this.#proxies.values()]
    const closed = id === 'all' ? all : all.filter((proxy) => proxy.id === id)
    if (closed.length === 0 && id !== 'all') {
      throw serviceErrors.proxy_not_found(`no proxy "${id}" is open here`, { hint: 'See which are: warren proxy list' })
    }
    const ids = new Set(closed.map((proxy) => proxy.id))
    if (this.#kept.list.some((each) => ids.has(each.id))) {
      await this.#kept.write((list) => list.filter((each) => !ids.has(each.id)))
    }
    await Promise.all(closed.map((proxy) => this.#closeOne(proxy)))
    return [...ids]
  }

  async stop(): Promise<void> {
    this.#stopping.abort(new Error('this node stops'))
    await Promise.all([...this.#proxies.values()].map((proxy) => this.#closeOne(proxy)))
  }

  async #open(wanted: Wanted & ProxyPlace, signal: AbortSignal, kept: boolean): Promise<ServiceProxy> {
    const { target, preferred } = await this.#targetOf(wanted, signal)
    const makeEntrance = entranceAt(target, { ...wanted, preferred })
    const proxy = this.#add(target, { id: this.#newId(), kept, makeEntrance })
    return await this.#begin(proxy).catch((error: WarrenError) => {
      const other = this.list().find(({ local }) => local.some((place) => place.endsWith(`:${wanted.port}`)))
      if (error.code !== 'port_in_use' || other === undefined) throw error
      throw baseErrors.port_in_use(`port ${wanted.port} is that of proxy ${other.id}, ${other.node}:${other.service}`, {
        cause: error,
        hint: `Name another port, 0 for any, or close that one: warren proxy close ${other.id}`,
      })
    })
  }

  async #targetOf(wanted: Wanted, signal: AbortSignal): Promise<{ target: ProxyTarget; preferred: number }> {
    const { finder, whomToAsk } = this.#options
    const { peer, service } = finder.resolve(wanted)
    const { kind, port, allowed } = await finder.describe(peer, service, signal)
    if (!allowed) throw refused(service, { finder, peer, whomToAsk })
    return { target: { peer, service, kind }, preferred: port }
  }

  #newId(): string {
    if (this.#proxies.size >= MAX_PROXIES) {
      const hint = 'Close some: warren proxy close ID'
      throw serviceErrors.service_limit(`${this.#proxies.size} proxies are open`, { hint })
    }
    for (;;) {
      const id = `p${randomBytes(2).toString('hex')}`
      if (!this.#proxies.has(id)) return id
    }
  }

  #add(target: ProxyTarget, how: { id: string; kept: boolean; makeEntrance: MakeEntrance }): ServiceProxy {
    const { finder, open } = this.#options
    const proxy = createProxy({
      ...this.#options,
      ...how,
      target,
      nameOf: finder.nameOf,
      open: (signal) => open(target, signal),
    })
    this.#proxies.set(proxy.id, proxy)
    return proxy
  }

  async #begin(proxy: ServiceProxy): Promise<ServiceProxy> {
    try {
      await proxy.start()
      return proxy
    } catch (error) {
      this.#proxies.delete(proxy.id)
      throw error
    }
  }

  async #closeOne(proxy: ServiceProxy): Promise<void> {
    this.#proxies.delete(proxy.id)
    await proxy.close()
  }

  /** A port that another program has at the start of the machine may be free a little later. */
  async #startUntilItDoes(proxy: ServiceProxy): Promise<void> {
    const { clock, log } = this.#options
    const { signal } = this.#stopping
    const backoff = new Backoff({ minMs: 1000, maxMs: 60_000 })
    while (this.#proxies.get(proxy.id) === proxy && !signal.aborted) {
      try {
        return await proxy.start()
      } catch (error) {
        log.warn({ proxy: proxy.id, err: error }, 'a kept proxy cannot listen; it is tried again')
        await sleep(backoff.next(), { signal, clock }).catch(() => undefined)
      }
    }
  }
}

type MakeEntrance = (deps: CarryDeps) => Promise<Entrance>

/** Sockets of pipes that a daemon left behind which was killed. */
async function sweepSockets(folder: string): Promise<void> {
  const names = await readdir(folder).catch(() => [])
  const left = names.filter((name) => /^p[0-9a-f]{4}\.sock$/.test(name))
  await Promise.all(left.map((name) => rm(join(folder, name), { force: true })))
}

function refused(
  service: string,
  { finder, peer, whomToAsk }: { finder: Finder; peer: string; whomToAsk: () => string },
): Error {
  return serviceErrors.service_refused(`${finder.nameOf(peer)} does not let this node connect to ${service}`, {
    hint: hintOf(service, { node: finder.self(), admins: whomToAsk() }),
  })
}

function datagramsOnly(service: string): Error {
  return serviceErrors.service_not_found(
    `${service} is a service of UDP, which standard input and output cannot carry`,
    {
      hint: 'Open it at a port: warren proxy NODE SERVICE',
    },
  )
}
