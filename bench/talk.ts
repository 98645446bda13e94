/** Two nodes that talk all the time: a stream of pings, and a new TCP connection through a proxy again and again. */
import type { Internet } from '../test/netns/internet.ts'
import { startProbe } from '../test/netns/probe.ts'
import type { Machine } from '../test/netns/warren-on.ts'
import { repeat, type Sample } from './outage.ts'

const PING_WORDS = ['--count', '86400', '--interval', '100ms', '--timeout', '1s']
const SERVICE_PORT = 7777
const PROXY_PORT = 17_777
const CALL = { intervalMs: 200, timeoutMs: 1000 }

/** All requests so far, and the path of the last ping that was answered. */
export interface Talk {
  readonly pings: readonly Sample[]
  /** Undefined where no proxy could be made. */
  readonly connections: readonly Sample[] | undefined
  path(): 'direct' | 'relayed' | 'none'
  stop(): Promise<void>
}

interface Ping {
  readonly latency_ms: number | null
  readonly path: 'direct' | 'relayed' | null
}

/** Begins the talk. The caller stops it. */
export async function talkBetween(internet: Internet, { from, to }: { from: Machine; to: Machine }): Promise<Talk> {
  const stop = new AbortController()
  const pings: Sample[] = []
  let path: Ping['path'] = null
  const onPing = (ping: Ping): void => {
    const endedAt = performance.now()
    const { latency_ms: ms } = ping
    path = ping.path
    pings.push({ startedAt: endedAt - (ms ?? 0), endedAt, answered: ms !== null })
  }
  const server = startProbe(internet.namespaceOf(to.host))
  const client = startProbe(internet.namespaceOf(from.host))
  server.order({ do: 'listen', port: SERVICE_PORT })
  await server.told({ ready: 'tcp', port: SERVICE_PORT })
  const connections = await makeProxy(from, to)
  let calls = 0
  const call = async (): Promise<boolean> => {
    const id = ++calls
    client.order({ do: 'call', id, to: ['127.0.0.1', PROXY_PORT], timeoutMs: CALL.timeoutMs })
    return (await client.told({ called: id }, 2 * CALL.timeoutMs))?.answered === 1
  }
  const onSample = (sample: Sample): void => void connections?.push(sample)
  const going = [
    pingOn(from, { to, onPing, signal: stop.signal }),
    connections === undefined
      ? undefined
      : repeat(call, { intervalMs: CALL.intervalMs, signal: stop.signal, onSample }),
  ]
  return {
    pings,
    connections,
    path: () => path ?? 'none',
    stop: async () => {
      stop.abort()
      await Promise.all([...going, server.stop(), client.stop()])
    },
  }
}

/** Where to put the samples of a proxy from one to a server at the other; undefined where there is no such proxy. */
async function makeProxy(from: Machine, to: Machine): Promise<Sample[] | undefined> {
  const exposed = await to.run(['expose', 'echo', String(SERVICE_PORT), '--to', 'member'])
  const made = await from.run(['proxy', to.host, 'echo', String(PROXY_PORT), '--background'])
  return exposed.code === 0 && made.code === 0 ? [] : undefined
}

interface Pinging {
  readonly to: Machine
  readonly onPing: (ping: Ping) => void
  readonly signal: AbortSignal
}

/** A stream of pings, begun again where it ends. */
async function pingOn(from: Machine, { to, onPing, signal }: Pinging): Promise<void> {
  while (!signal.aborted) await from.follow<Ping>(['ping', to.host, ...PING_WORDS], onPing, signal)
}
