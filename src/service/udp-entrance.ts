import { createSocket, type RemoteInfo, type Socket } from 'node:dgram'
import { isIPv6 } from 'node:net'
import { toWarrenError } from '../base/errors.ts'
import { DatagramQueue, type Flow, startFlow } from './datagrams.ts'
import { FLOW_IDLE_MS, FLOW_QUEUE_BYTES, FLOW_RETRY_MS, MAX_FLOWS } from './limits.ts'
import { type BindOptions, type Bound, bindPorts } from './local-ports.ts'
import type { CarryDeps, Entrance, Traffic } from './proxy-deps.ts'

interface UdpOptions extends Omit<BindOptions, 'bind'> {
  /** Default 60 s. */
  readonly idleMs?: number
}

/** Where a datagram came from, and goes back to. */
interface Client {
  readonly socket: Socket
  readonly from: RemoteInfo
}

/** Datagrams of one client on their way: none once its stream is being opened anew, or failed. */
interface ClientFlow {
  readonly waiting: DatagramQueue
  flow: Flow | undefined
  end(): void
}

/**
 * Listens for UDP clients; each address and port that sends has a stream of its own, until it is idle. Datagrams are
 * dropped where there are too many clients, where a stream cannot be had, and the oldest where the network is slow.
 * Fails as `bindPorts`.
 */
export async function openUdpEntrance(
  deps: CarryDeps,
  { idleMs = FLOW_IDLE_MS, ...where }: UdpOptions,
): Promise<Entrance> {
  const flows = new Map<string, ClientFlow>()
  const traffic: Traffic = { connections: 0, total: 0, bytesIn: 0, bytesOut: 0 }
  const onDatagram = (client: Client, datagram: Buffer): void => {
    const { address, port } = client.from
    const key = `${address} ${port}`
    let found = flows.get(key)
    if (found === undefined) {
      if (flows.size >= MAX_FLOWS) return
      traffic.total++
      found = openFlow(client, { ...deps, idleMs, traffic, onEnd: () => flows.delete(key) })
      flows.set(key, found)
    }
    traffic.bytesOut += datagram.length
    if (found.flow === undefined) found.waiting.push(datagram)
    else found.flow.send(datagram)
  }
  const ports = await bindPorts({ ...where, bind: (address, port) => bind({ address, port }, onDatagram) })
  return {
    addresses: ports.addresses,
    port: ports.port,
    traffic: () => ({ ...traffic, connections: flows.size }),
    async close() {
      await ports.close()
      for (const flow of [...flows.values()]) flow.end()
    },
  }
}

interface FlowDeps extends CarryDeps {
  readonly idleMs: number
  readonly traffic: Traffic
  readonly onEnd: () => void
}

function openFlow({ socket, from }: Client, deps: FlowDeps): ClientFlow {
  const { open, onFailure, onEnd, idleMs, traffic, clock, log } = deps
  const stop = new AbortController()
  const deliver = (datagram: Buffer): void => {
    traffic.bytesIn += datagram.length
    // What the client's machine does not take in time is lost, as with any UDP.
    if (socket.getSendQueueSize() > FLOW_QUEUE_BYTES) return
    socket.send(datagram, from.port, from.address)
  }
  const made: ClientFlow = { waiting: new DatagramQueue(), flow: undefined, end: () => stop.abort(new Error('closed')) }
  const start = async (): Promise<void> => {
    try {
      const stream = await open(stop.signal)
      stop.signal.addEventListener('abort', () => stream.destroy(), { once: true })
      if (stop.signal.aborted) stream.destroy()
      const flow = startFlow(stream, { deliver, idleMs, clock })
      stream.once('close', onEnd)
      for (let next = made.waiting.shift(); next !== undefined; next = made.waiting.shift()) flow.send(next)
      made.flow = flow
    } catch (thrown) {
      if (stop.signal.aborted) return onEnd()
      const error = toWarrenError(thrown)
      log.warn({ code: error.code, reason: error.message }, 'a flow through a proxy failed')
      onFailure(error)
      const timer = clock.setTimeout(onEnd, FLOW_RETRY_MS)
      timer.unref?.()
      stop.signal.addEventListener('abort', () => clock.clearTimeout(timer), { once: true })
    }
  }
  void start()
  return made
}

function bind(
  { address, port }: { address: string; port: number },
  onDatagram: (client: Client, datagram: Buffer) => void,
): Promise<Bound> {
  const socket = createSocket({
    type: isIPv6(address) ? 'udp6' : 'udp4',
    ...(isIPv6(address) ? { ipv6Only: true } : {}),
  })
  return new Promise((resolve, reject) => {
    const fail = (error: Error): void => {
      socket.close()
      reject(error)
    }
    socket.once('error', fail)
    socket.bind({ address, port, exclusive: true }, () => {
      socket.off('error', fail)
      socket.on('error', () => undefined)
      socket.on('message', (datagram, from) => onDatagram({ socket, from }, datagram))
      const close = (): Promise<void> => new Promise((closed) => void socket.close(() => closed()))
      resolve({ port: socket.address().port, close })
    })
  })
}
