import { implement, type Route } from '../api/index.ts'
import type { Clock } from '../base/clock.ts'
import { baseErrors, toWarrenError } from '../base/errors.ts'
import { sleep } from '../base/wait.ts'
import { netContract } from './contract.ts'
import { dhtRoutes } from './dht/routes.ts'
import { netErrors } from './errors.ts'
import { describeNat } from './stun/index.ts'
import type { ConnectionInfo, Network } from './types.ts'

/** Pings for another node have at least this between them: it must not use this one to flood a third. */
const REMOTE_INTERVAL_MS = 1000

/** What the calls about peers need. */
export interface NetRoutesInit {
  network: Network
  clock: Clock
  /** The peer id that a name, an id or a unique prefix of one means; throws where it means none. */
  resolve: (text: string) => string
  /** The name of a peer; null where it has none. */
  nameOf: (peer: string) => string | null
  /** Ids of the nodes of the network. */
  known: () => readonly string[]
}

/** The calls about peers. */
export function netRoutes(init: NetRoutesInit): Route[] {
  const { network, clock, resolve, nameOf } = init
  const shown = (info: ConnectionInfo) => showConnection(info, init)
  return [
    ...dhtRoutes({ dht: () => network.dht, nameOf }),
    implement(netContract.list, ({ query }) =>
      network
        .connections()
        .filter((info) => query.all || info.agent === null || info.agent.startsWith('warren/'))
        .map(shown),
    ),
    implement(netContract.reach, () => showReach(init)),
    implement(netContract.ping, async function* ({ body, signal, caller }) {
      const peer = resolve(body.node)
      if (peer === network.id) {
        throw baseErrors.invalid_value(`${body.node} is this node itself`, { hint: 'Name another one: warren nodes' })
      }
      const intervalMs = caller.door === 'peer' ? Math.max(body.interval_ms, REMOTE_INTERVAL_MS) : body.interval_ms
      for (let seq = 1; seq <= body.count; seq++) {
        const [latencyMs, error] = await pingOnce(network, peer, { timeoutMs: body.timeout_ms, signal })
        yield {
          seq,
          id: peer,
          name: nameOf(peer),
          latency_ms: latencyMs,
          ...showPath(peer, init),
          ...(error === undefined ? {} : { error }),
        }
        if (seq < body.count) await sleep(intervalMs, { signal, clock })
      }
    }),
    implement(netContract.connect, async ({ body, signal }) => {
      const peer = await network.connect(body.node.startsWith('/') ? body.node : resolve(body.node), { signal })
      const info = bestOf(network, peer)
      if (info === undefined) throw netErrors.peer_unreachable(`${body.node} closed the connection at once`)
      return shown(info)
    }),
    implement(netContract.disconnect, async ({ body }) => {
      const peer = resolve(body.node)
      const closed = network.connections().filter((connection) => connection.peer === peer).length
      await network.disconnect(peer)
      return { id: peer, name: nameOf(peer), closed }
    }),
  ]
}

function showConnection(info: ConnectionInfo, { network, nameOf }: NetRoutesInit) {
  return {
    name: nameOf(info.peer),
    id: info.peer,
    path: pathOf(info),
    kind: info.kind,
    via: viaOf(info.via, nameOf),
    lan: info.lan,
    why: info.relayed ? network.path(info.peer).why : null,
    address: info.address,
    direction: info.direction,
    latency_ms: info.latencyMs,
    agent: info.agent,
    encryption: info.encryption,
    key_exchange: info.keyExchange,
    since: timeOf(info.since),
  }
}

/** The path that a round trip went, as far as it is known. */
function showPath(peer: string, { network, nameOf }: NetRoutesInit) {
  const { state, kind, via, lan, why } = network.path(peer)
  return {
    path: state === 'none' ? null : state,
    kind,
    via: viaOf(via, nameOf),
    lan,
    why,
    address: bestOf(network, peer)?.address ?? null,
  }
}

function showReach({ network, nameOf, known }: NetRoutesInit) {
  const { nat, reservations, relays, relay, clocks, mapped, reachability } = network.reach()
  const node = (id: string) => ({ id, name: nameOf(id) })
  return {
    reachability,
    nat:
      nat === null
        ? null
        : {
            summary: describeNat(nat),
            udp: { mapping: nat.udp.mapping, filtering: nat.udp.filtering },
            tcp: { mapping: nat.tcp.mapping },
            mapped: nat.mapped,
            at: timeOf(nat.at),
          },
    addresses: network.addresses(),
    mapped: [...mapped],
    reservations: reservations.map(({ relay: id, since, expires, rttMs, mappedIp }) => ({
      relay: node(id),
      since: timeOf(since),
      expires: timeOf(expires),
      rtt_ms: rttMs === null ? null : Math.round(rttMs * 100) / 100,
      mapped_ip: mappedIp,
    })),
    relays: relays.map(node),
    serves: relay !== null,
    contacts: network.dht?.size() ?? null,
    clocks: clocks.map(({ peer, offsetMs, boundMs, at }) => ({
      node: node(peer),
      offset_ms: offsetMs,
      bound_ms: boundMs,
      at: timeOf(at),
    })),
    unreachable: known().flatMap((id) => {
      const { state, why } = network.path(id)
      return state === 'none' && why !== null && id !== network.id ? [{ node: node(id), why }] : []
    }),
  }
}

/** The connection that new streams use: a direct one where there is one. */
function bestOf(network: Network, peer: string): ConnectionInfo | undefined {
  const all = network.connections().filter((connection) => connection.peer === peer)
  return all.find(({ relayed }) => !relayed) ?? all[0]
}

function viaOf(via: string | null, nameOf: NetRoutesInit['nameOf']) {
  return via === null ? null : { id: via, name: nameOf(via) }
}

function timeOf(ms: number): string {
  return new Date(ms).toISOString()
}

function pathOf(info: ConnectionInfo): 'direct' | 'relayed' {
  return info.relayed ? 'relayed' : 'direct'
}

type PingOutcome = [latencyMs: number, error: undefined] | [latencyMs: null, error: { code: string; message: string }]

async function pingOnce(
  network: Network,
  peer: string,
  options: { timeoutMs: number; signal: AbortSignal },
): Promise<PingOutcome> {
  try {
    return [await network.ping(peer, options), undefined]
  } catch (thrown) {
    if (options.signal.aborted) throw thrown
    const { code, message } = toWarrenError(thrown)
    return [null, { code, message }]
  }
}
