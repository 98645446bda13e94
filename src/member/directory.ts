import type { Rights, Role } from '../api/index.ts'
import type { Clock } from '../base/clock.ts'
import type { Roster, RosterNode } from '../identity/index.ts'
import type { ConnectionInfo, Network, PathInfo } from '../net/index.ts'
import type { NodeView } from './contract.ts'
import { memberErrors } from './errors.ts'
import { looksLikeSelector, parseSelector } from './selector.ts'

/** The nodes of the network, by name. */
export interface Directory {
  readonly self: { readonly id: string; readonly name: string }
  /** What a node or token may do now; undefined for strangers, removed and waiting ones, and those that have expired. */
  rightsOf(id: string): Rights | undefined
  /** The role out of `rightsOf`. */
  roleOf(id: string): Role | undefined
  /** The name of a node or token, waiting ones too; undefined where the roster names no such id. */
  nameOf(id: string): string | undefined
  /** Every node of the network, sorted by name: what can be a target. Neither tokens nor waiting ones. */
  nodes(): NodeView[]
  /** As `nodes`, and those that wait for an admin to confirm them. */
  everyone(): NodeView[]
  /**
   * The node of that name, id or unique part of an id, also one that waits. Fails with `node_not_found` or
   * `node_ambiguous`.
   */
  resolve(text: string): NodeView
  /**
   * The nodes that any of these targets names: a node, or a label selector. Fails with `node_not_found` for a target
   * that names none, `selector_invalid` for one that cannot be read.
   */
  select(targets: readonly string[]): NodeView[]
  stop(): void
}

export interface DirectoryOptions {
  readonly roster: Roster
  readonly network: Network
  readonly clock: Clock
  readonly version: string
}

/** Shortest prefix of an id that is looked up: all ids begin alike. */
const MIN_PREFIX = 4

/** Who is in the network, and what is known of the way to each: the roster seen together with the connections. */
export function createDirectory({ roster, network, clock, version }: DirectoryOptions): Directory {
  const seen = new Map<string, { atMs: number; address: string; agent: string | null }>()
  const note = (peer: string): void => {
    const connection = network.connections().find((each) => each.peer === peer)
    const before = seen.get(peer)
    seen.set(peer, {
      atMs: clock.now(),
      address: connection?.address ?? before?.address ?? '',
      agent: connection?.agent ?? before?.agent ?? null,
    })
  }
  const stops = [
    network.events.on('connected', ({ peer }) => note(peer)),
    network.events.on('disconnected', ({ peer }) => note(peer)),
  ]

  const everyone = (): NodeView[] => {
    // Of several with a peer a direct one is in use.
    const inUse = network.connections().toSorted((a, b) => Number(b.relayed) - Number(a.relayed))
    const connections = new Map(inUse.map((connection) => [connection.peer, connection]))
    return [...roster.state.nodes.values()]
      .filter(({ kind }) => kind === 'node')
      .map((node) => {
        const { id } = node
        if (id === network.id) return { ...said(node), ...self(network, version, clock) }
        const found = other(connections.get(id), seen.get(id), clock)
        return { ...said(node), ...found, ...pathOf(network.path(id), nameOf) }
      })
      .sort((a, b) => a.name.localeCompare(b.name, 'en', { numeric: true }))
  }
  const nodes = (): NodeView[] => everyone().filter(({ waiting }) => !waiting)
  const nameOf = (id: string): string | undefined => roster.state.nodes.get(id)?.name
  const resolve = (text: string): NodeView => {
    const all = everyone()
    const exact = all.find(({ name, id }) => name === text || id === text)
    if (exact !== undefined) return exact
    const like = text.length < MIN_PREFIX ? [] : all.filter(({ id }) => id.startsWith(text) || id.endsWith(text))
    if (like.length === 1) return like[0] as NodeView
    if (like.length > 1) {
      throw memberErrors.node_ambiguous(`"${text}" is the start of ${like.length} ids`, {
        hint: `Write more of it: ${like.map(({ name }) => name).join(', ')}`,
      })
    }
    throw memberErrors.node_not_found(`no node "${text}" in this network`, { hint: 'See who is there: warren nodes' })
  }
  return {
    get self() {
      return { id: network.id, name: nameOf(network.id) ?? network.id }
    },
    rightsOf: (id) => roster.rightsOf(id),
    roleOf: (id) => roster.rightsOf(id)?.role,
    nameOf,
    nodes,
    everyone,
    resolve,
    select: (targets) => selectNodes(nodes(), targets, resolve),
    stop() {
      for (const stop of stops) stop()
    },
  }
}

function selectNodes(all: NodeView[], targets: readonly string[], resolve: (text: string) => NodeView): NodeView[] {
  const chosen = new Set<string>()
  for (const target of targets) {
    const named = looksLikeSelector(target) ? undefined : all.find(({ name, id }) => name === target || id === target)
    const found = named !== undefined ? [named] : byLabels(all, target)
    for (const { id } of found.length > 0 ? found : [resolve(target)]) chosen.add(id)
  }
  return all.filter(({ id }) => chosen.has(id))
}

function byLabels(all: NodeView[], target: string): NodeView[] {
  const selector = parseSelector(target)
  const found = all.filter(({ labels }) => selector(labels))
  if (found.length === 0 && looksLikeSelector(target)) {
    throw memberErrors.node_not_found(`no node has the labels "${target}"`, { hint: 'See the labels: warren nodes' })
  }
  return found
}

function said({ id, name, role, labels, waiting, expires }: RosterNode) {
  return {
    id,
    name,
    role,
    labels: { ...labels },
    waiting,
    expires: expires === null ? null : new Date(expires).toISOString(),
  }
}

type Seen = { readonly atMs: number; readonly address: string; readonly agent: string | null }

function self(network: Network, version: string, clock: Clock) {
  return {
    state: 'self' as const,
    addresses: network.addresses(),
    version,
    relayed: null,
    path: null,
    why: null,
    latency_ms: null,
    seen: new Date(clock.now()).toISOString(),
  }
}

/** The path as people are shown it. */
function pathOf({ state, kind, via, lan, why }: PathInfo, nameOf: (id: string) => string | undefined) {
  if (state === 'none') return { path: null, why }
  if (state === 'relayed')
    return { path: `relayed by ${via === null ? 'a node' : (nameOf(via) ?? `…${via.slice(-8)}`)}`, why }
  const how = kind === 'tcp' || kind === null ? '' : kind === 'websocket' ? ', websocket' : ', punched'
  return { path: `direct${lan ? ' (lan)' : ''}${how}`, why }
}

function other(connection: ConnectionInfo | undefined, last: Seen | undefined, clock: Clock) {
  const agent = connection?.agent ?? last?.agent
  const address = connection?.address ?? last?.address
  const seenMs = connection === undefined ? last?.atMs : clock.now()
  return {
    state: connection === undefined ? ('down' as const) : ('up' as const),
    addresses: address === undefined || address === '' ? [] : [address],
    version: agent?.startsWith('warren/') === true ? agent.slice('warren/'.length) : null,
    relayed: connection?.relayed ?? null,
    latency_ms: connection?.latencyMs == null ? null : Math.round(connection.latencyMs * 10) / 10,
    seen: seenMs === undefined ? null : new Date(seenMs).toISOString(),
  }
}
