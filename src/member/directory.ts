import type { Role } from '../api/index.ts'
import type { Clock } from '../base/clock.ts'
import type { Roster } from '../identity/index.ts'
import type { ConnectionInfo, Network } from '../net/index.ts'
import type { NodeView } from './contract.ts'
import { memberErrors } from './errors.ts'
import { looksLikeSelector, parseSelector } from './selector.ts'

/** The nodes of the network, by name. */
export interface Directory {
  readonly self: { readonly id: string; readonly name: string }
  /** The role that the roster gives a node now; undefined for strangers and removed ones. */
  roleOf(id: string): Role | undefined
  /** Every member, sorted by name. */
  nodes(): NodeView[]
  /** The node of that name, id or unique prefix of an id. Fails with `node_not_found` or `node_ambiguous`. */
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

  const nodes = (): NodeView[] => {
    const connections = new Map(network.connections().map((connection) => [connection.peer, connection]))
    return [...roster.state.nodes.values()]
      .map(({ id, name, role, labels }) => {
        const base = { id, name, role, labels: { ...labels } }
        if (id === network.id) return { ...base, ...self(network, version, clock) }
        return { ...base, ...other(connections.get(id), seen.get(id), clock) }
      })
      .sort((a, b) => a.name.localeCompare(b.name, 'en', { numeric: true }))
  }
  const resolve = (text: string): NodeView => {
    const all = nodes()
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
      return { id: network.id, name: nodes().find(({ id }) => id === network.id)?.name ?? network.id }
    },
    roleOf: (id) => roster.roleOf(id),
    nodes,
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

type Seen = { readonly atMs: number; readonly address: string; readonly agent: string | null }

function self(network: Network, version: string, clock: Clock) {
  return {
    state: 'self' as const,
    addresses: network.addresses(),
    version,
    relayed: null,
    latency_ms: null,
    seen: new Date(clock.now()).toISOString(),
  }
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
