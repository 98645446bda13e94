/** The ports of one attempt: one to dial from, one to listen on, one for UDP, and what STUN servers say of them. */
import { createSocket, type Socket as UdpSocket } from 'node:dgram'
import { createServer, type Server, type Socket } from 'node:net'
import { plainHost, scopeOf } from '../../base/ip-scope.ts'
import type { bindingTcp, bindingUdp, StunServer } from '../stun/index.ts'
import { distinct } from './addresses.ts'
import {
  MAX_CHANNELS,
  MAX_DIALLING_ADDRESSES,
  MAX_TCP_ADDRESSES,
  MAX_UDP_ADDRESSES,
  STUN_TIMEOUT_MS,
} from './limits.ts'
import type { Address, Candidates, Mapping } from './messages.ts'

/** The questions that are asked of STUN servers. */
export interface Stun {
  bindingTcp: typeof bindingTcp
  bindingUdp: typeof bindingUdp
}

export interface PortsInit {
  stun: Stun
  servers: readonly StunServer[]
  /** Addresses of this machine that may be told. */
  hosts: readonly string[]
  /** The ordinary listener as others may reach it. */
  own: readonly Address[]
  /** Whether this node can make data channels. */
  channel: boolean
  signal: AbortSignal
}

/** Bound ports with their mappings at the router alive. */
export interface Ports {
  readonly candidates: Candidates
  /** The port to dial from; nobody listens on it. */
  readonly dialPort: number
  /** Undefined once it is given away. */
  readonly udp: UdpSocket
  /** Gets what the listener accepts from now on, and what it has accepted before; at most eight in all. */
  onAccepted(take: (socket: Socket) => void): void
  /** Closes all of it. Safe to call twice. */
  close(): void
}

interface Seen {
  readonly mapping: Mapping
  readonly mapped: Address | undefined
}

/**
 * Binds the ports and asks the STUN servers about all of them at once; what is not answered in 1.5 s stays unknown. The
 * caller closes it. Rejects, with nothing left open, when the signal fires or the machine gives no port.
 */
export async function openPorts(init: PortsInit): Promise<Ports> {
  const kept: Socket[] = []
  const closers: (() => void)[] = [
    () => {
      for (const socket of kept) socket.destroy()
    },
  ]
  const close = (): void => {
    for (const closer of closers.splice(0)) closer()
  }
  try {
    const [dialPort, listenPort] = await freePorts()
    const udp = createSocket('udp4')
    udp.on('error', () => undefined)
    closers.push(() => closeUdp(udp))
    const udpPort = await bindUdp(udp)
    const targets = questions(init.servers)
    const [dialling, listening, datagrams] = await Promise.all([
      seenTcp(targets, dialPort, init, kept),
      seenTcp(targets.slice(0, 1), listenPort, init, kept),
      seenUdp(targets, udp, init),
    ])
    // A port with a listener cannot be dialled from, so it listens only now.
    const listener = await listen(listenPort)
    closers.push(listener.close)
    init.signal.throwIfAborted()
    const candidates = describe(init, { dialPort, listenPort, udpPort, dialling, listening, datagrams })
    return { candidates, dialPort, udp, onAccepted: listener.onAccepted, close }
  } catch (error) {
    close()
    throw error
  }
}

/** Closes a UDP socket, which may be closed already. */
export function closeUdp(socket: UdpSocket): void {
  try {
    socket.close()
  } catch {
    // It was.
  }
}

interface Bound {
  dialPort: number
  listenPort: number
  udpPort: number
  dialling: Seen
  listening: Seen
  datagrams: Seen
}

function describe(init: PortsInit, bound: Bound): Candidates {
  const { hosts, own } = init
  const { dialling, listening, datagrams } = bound
  const at = (port: number, among: readonly string[] = hosts): Address[] =>
    among.map((host) => ({ host: plainHost(host), port }))
  // Stateful firewalls in front of IPv6 let in what was sent to, without any mapping.
  const globals = hosts.filter((host) => host.includes(':') && scopeOf(host) === 'public')
  const diallingAt = distinct([...listOf(dialling.mapped), ...at(bound.dialPort, globals)], MAX_DIALLING_ADDRESSES)
  const listeningAt = distinct([...listOf(listening.mapped), ...at(bound.listenPort)], 6)
  const left = MAX_TCP_ADDRESSES - diallingAt.length - listeningAt.length
  return {
    tcp: {
      mapping: dialling.mapping,
      own: distinct(own, left),
      listening: listeningAt,
      dialling: diallingAt,
    },
    udp: {
      mapping: datagrams.mapping,
      addresses: distinct(
        [
          ...listOf(datagrams.mapped),
          ...at(
            bound.udpPort,
            hosts.filter((host) => !host.includes(':')),
          ),
        ],
        MAX_UDP_ADDRESSES,
      ),
      channel: init.channel,
    },
    birthday: true,
  }
}

function listOf(mapped: Address | undefined): Address[] {
  return mapped === undefined ? [] : [mapped]
}

/** Two questions tell whether the router maps per destination: two servers, else the two ports of one. */
function questions(servers: readonly StunServer[]): Address[] {
  const [first] = servers
  if (first === undefined) return []
  const other = servers.find(({ host }) => host !== first.host)
  const second =
    other !== undefined
      ? { host: other.host, port: other.port }
      : first.alternatePort !== null && { host: first.host, port: first.alternatePort }
  return [{ host: first.host, port: first.port }, ...(second ? [second] : [])]
}

async function seenTcp(
  targets: readonly Address[],
  localPort: number,
  { stun, signal }: PortsInit,
  kept: Socket[],
): Promise<Seen> {
  const answers = await Promise.allSettled(
    targets.map(async (server) => {
      const { mapped, socket } = await stun.bindingTcp({ server, localPort, signal, timeoutMs: STUN_TIMEOUT_MS })
      if (signal.aborted) socket.destroy()
      else kept.push(socket)
      return mapped
    }),
  )
  return compare(answers)
}

async function seenUdp(targets: readonly Address[], udp: UdpSocket, { stun, signal }: PortsInit): Promise<Seen> {
  const ask = (server: Address): Promise<Address> =>
    stun.bindingUdp(udp, server, { signal, timeoutMs: STUN_TIMEOUT_MS })
  return compare(await Promise.allSettled(targets.map(ask)))
}

function compare(answers: readonly PromiseSettledResult<Address>[]): Seen {
  const mapped = answers.flatMap((answer) => (answer.status === 'fulfilled' ? [answer.value] : []))
  const [first, second] = mapped
  if (first === undefined) return { mapping: answers.length === 0 ? 'unknown' : 'blocked', mapped: undefined }
  const address = { host: plainHost(first.host), port: first.port }
  if (second === undefined) return { mapping: 'unknown', mapped: address }
  const isSame = first.port === second.port && plainHost(first.host) === plainHost(second.host)
  return { mapping: isSame ? 'same' : 'depends', mapped: address }
}

/** Two free TCP ports: taken for a moment by listeners, which is how the machine says that they are free. */
async function freePorts(): Promise<[number, number]> {
  const servers = [createServer(), createServer()]
  try {
    const ports = await Promise.all(servers.map((server) => listenOn(server, 0)))
    return ports as [number, number]
  } finally {
    await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
  }
}

/** On all addresses, IPv6 included where the machine has it. */
function listenOn(server: Server, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen({ port, exclusive: true }, () => {
      server.off('error', reject)
      const bound = server.address()
      resolve(typeof bound === 'object' && bound !== null ? bound.port : 0)
    })
  })
}

interface Listener {
  onAccepted: Ports['onAccepted']
  close(): void
}

/** Whoever comes before somebody takes is kept, eight at most. */
async function listen(port: number): Promise<Listener> {
  const server = createServer()
  const early: Socket[] = []
  let accepted = 0
  let taker: ((socket: Socket) => void) | undefined
  server.on('connection', (socket) => {
    socket.on('error', () => undefined)
    if (++accepted > MAX_CHANNELS) socket.destroy()
    else if (taker !== undefined) taker(socket)
    else early.push(socket)
  })
  await listenOn(server, port)
  server.on('error', () => undefined)
  return {
    onAccepted: (take) => {
      taker = take
      for (const socket of early.splice(0)) take(socket)
    },
    close: () => {
      server.close()
      for (const socket of early.splice(0)) socket.destroy()
    },
  }
}

function bindUdp(socket: UdpSocket): Promise<number> {
  return new Promise((resolve, reject) => {
    socket.once('error', reject)
    socket.bind(0, () => {
      socket.off('error', reject)
      resolve(socket.address().port)
    })
  })
}
