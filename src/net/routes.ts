import { implement, type Route } from '../api/index.ts'
import type { Clock } from '../base/clock.ts'
import { toWarrenError } from '../base/errors.ts'
import { sleep } from '../base/wait.ts'
import { netContract } from './contract.ts'
import { netErrors } from './errors.ts'
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
}

/** The calls about peers. */
export function netRoutes({ network, clock, resolve, nameOf }: NetRoutesInit): Route[] {
  const shown = (info: ConnectionInfo) => ({
    name: nameOf(info.peer),
    id: info.peer,
    path: pathOf(info),
    address: info.address,
    direction: info.direction,
    latency_ms: info.latencyMs,
    agent: info.agent,
    encryption: info.encryption,
    since: new Date(info.since).toISOString(),
  })
  return [
    implement(netContract.list, ({ query }) =>
      network
        .connections()
        .filter((info) => query.all || info.agent === null || info.agent.startsWith('warren/'))
        .map(shown),
    ),
    implement(netContract.ping, async function* ({ body, signal, caller }) {
      const peer = resolve(body.node)
      const intervalMs = caller.door === 'peer' ? Math.max(body.interval_ms, REMOTE_INTERVAL_MS) : body.interval_ms
      for (let seq = 1; seq <= body.count; seq++) {
        const [latencyMs, error] = await pingOnce(network, peer, { timeoutMs: body.timeout_ms, signal })
        const info = network.connections().find((connection) => connection.peer === peer)
        yield {
          seq,
          id: peer,
          name: nameOf(peer),
          latency_ms: latencyMs,
          path: info === undefined ? null : pathOf(info),
          address: info?.address ?? null,
          ...(error === undefined ? {} : { error }),
        }
        if (seq < body.count) await sleep(intervalMs, { signal, clock })
      }
    }),
    implement(netContract.connect, async ({ body, signal }) => {
      const peer = await network.connect(body.node.startsWith('/') ? body.node : resolve(body.node), { signal })
      const info = network.connections().find((connection) => connection.peer === peer)
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
