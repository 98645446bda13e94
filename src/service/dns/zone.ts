import type { Duplex } from 'node:stream'
import type { Clock } from '../../base/clock.ts'
import { toWarrenError } from '../../base/errors.ts'
import type { Logger } from '../../base/log.ts'
import type { Directory } from '../../member/index.ts'
import type { Finder } from '../find.ts'
import { LIST_TIMEOUT_MS } from '../limits.ts'
import type { ListedService } from '../protocol/messages.ts'
import { entranceAt } from '../proxy.ts'
import type { Entrance, ProxyTarget } from '../proxy-deps.ts'
import { LoopbackAddresses } from './loopback-addresses.ts'

/** What a node said counts so long; the answers of the resolver may be kept as long. */
export const FRESH_MS = 30_000
/** What nobody has asked for or used in so long is no longer listened on. */
const UNUSED_MS = 10 * 60_000
const SWEEP_MS = 60_000

/** What a name stands for: an address at which its services answer, no such name, or nobody knows now. */
export type Found = { readonly address: string } | 'unknown' | 'failed'

export interface ZoneOptions {
  /** `service.names`. */
  readonly names: Readonly<Record<string, string>>
  readonly finder: Finder
  readonly directory: Directory
  readonly open: (target: ProxyTarget, signal: AbortSignal) => Promise<Duplex>
  readonly clock: Clock
  readonly log: Logger
}

/** The names below `.warren`, each with a loopback address at which this node listens once it was asked for. */
export interface Zone {
  /** What labels mean: `[node]`, `[service, node]`, or `[name]` of the config. Listens before it answers. */
  find(labels: readonly string[]): Promise<Found>
  stop(): Promise<void>
}

/** What a name means: all services of a node, or one. */
interface Place {
  readonly peer: string
  readonly service: string | undefined
}

/** A name that was asked for. */
interface Entry {
  readonly place: Place
  readonly address: string
  readonly entrances: Map<string, Entrance>
  result: Found
  checkedMs: number
  usedMs: number
  checking: Promise<Found> | undefined
}

export function createZone(options: ZoneOptions): Zone {
  const { clock } = options
  const addresses = new LoopbackAddresses()
  const entries = new Map<string, Entry>()
  const stopping = new AbortController()
  const sweep = setInterval(() => {
    for (const [key, entry] of entries) {
      const busy = [...entry.entrances.values()].some((entrance) => entrance.traffic().connections > 0)
      if (busy) entry.usedMs = clock.monotonicMs()
      if (clock.monotonicMs() - entry.usedMs < UNUSED_MS || entry.checking !== undefined) continue
      entries.delete(key)
      void closeAll(entry)
    }
  }, SWEEP_MS)
  sweep.unref()

  return {
    async find(labels) {
      const place = placeOf(labels, options)
      if (place === undefined) return 'unknown'
      const key = place.service === undefined ? place.peer : `${place.service}.${place.peer}`
      const entry = entries.get(key) ?? newEntry(place, addresses.of(key))
      entries.set(key, entry)
      entry.usedMs = clock.monotonicMs()
      if (typeof entry.result === 'object' && clock.monotonicMs() - entry.checkedMs < FRESH_MS) return entry.result
      entry.checking ??= check(entry, options, stopping.signal).finally(() => {
        entry.checking = undefined
      })
      entry.result = await entry.checking
      entry.checkedMs = clock.monotonicMs()
      return entry.result
    },
    async stop() {
      clearInterval(sweep)
      stopping.abort(new Error('the resolver stops'))
      await Promise.all([...entries.values()].map(({ checking }) => checking?.catch(() => undefined)))
      await Promise.all([...entries.values()].map(closeAll))
    },
  }
}

function newEntry(place: Place, address: string): Entry {
  return { place, address, entrances: new Map(), result: 'failed', checkedMs: 0, usedMs: 0, checking: undefined }
}

function placeOf(labels: readonly string[], { names, finder, directory }: ZoneOptions): Place | undefined {
  const [first, second] = labels as [string, string | undefined]
  try {
    if (second === undefined && Object.hasOwn(names, first)) return finder.resolve({ node: first })
  } catch {
    // The name in the config means nobody, now.
    return undefined
  }
  const node = directory.nodes().find(({ name }) => name.toLowerCase() === (second ?? first))
  if (labels.length > 2 || node === undefined) return undefined
  return { peer: node.id, service: second === undefined ? undefined : first }
}

/** Asks the node, and listens for what it lets this node have. */
async function check(entry: Entry, options: ZoneOptions, signal: AbortSignal): Promise<Found> {
  const { place, address } = entry
  const { finder, log } = options
  let listed: ListedService[]
  try {
    listed = await finder.listOf(place.peer, { signal, timeoutMs: LIST_TIMEOUT_MS })
  } catch (error) {
    log.info({ node: finder.nameOf(place.peer), reason: toWarrenError(error).message }, 'a name could not be looked up')
    // A node has its name while it is away; what it exposes is not known then.
    return place.service === undefined || entry.entrances.size > 0 ? { address } : 'failed'
  }
  const allowed = listed.filter(
    ({ name, allowed }) => allowed && (place.service === undefined || name === place.service),
  )
  const wanted = new Map(allowed.map((service) => [`${service.kind} ${service.port}`, service]))
  for (const [key, entrance] of entry.entrances) {
    if (wanted.has(key)) continue
    entry.entrances.delete(key)
    await entrance.close()
  }
  let listening = 0
  for (const [key, service] of wanted) listening += (await listenFor(entry, { key, service }, options)) ? 1 : 0
  if (place.service === undefined) return { address }
  if (allowed.length === 0) return 'unknown'
  return listening > 0 ? { address } : 'failed'
}

async function listenFor(
  { place, address, entrances }: Entry,
  { key, service }: { key: string; service: ListedService },
  { open, clock, log }: ZoneOptions,
): Promise<boolean> {
  if (entrances.has(key)) return true
  const target: ProxyTarget = { peer: place.peer, service: service.name, kind: service.kind }
  const deps = { open: (signal: AbortSignal) => open(target, signal), onFailure: () => undefined, clock, log }
  try {
    entrances.set(key, await entranceAt(target, { bind: [address], port: service.port })(deps))
    return true
  } catch (error) {
    log.warn({ address, service: service.name, reason: (error as Error).message }, 'a name cannot be listened for')
    return false
  }
}

async function closeAll({ entrances }: Entry): Promise<void> {
  await Promise.all([...entrances.values()].map((entrance) => entrance.close()))
  entrances.clear()
}
