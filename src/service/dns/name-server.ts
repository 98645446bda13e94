import { createSocket, type Socket as UdpSocket } from 'node:dgram'
import { once } from 'node:events'
import { createServer, isIPv6, type Server, type Socket } from 'node:net'
import { formatTarget, type HostPort, parseTarget } from '../service-name.ts'
import { answerQuery, type Codec, MAX_QUERY_BYTES } from './messages.ts'
import { createZone, type Found, type ZoneOptions } from './zone.ts'

/** Queries that wait for other nodes; more are answered with SERVFAIL at once. */
const MAX_LOOKUPS = 128
/** Clients over TCP at a time, each of which may be silent for so long. */
const MAX_TCP_CLIENTS = 32
const TCP_IDLE_MS = 10_000
const LENGTH_BYTES = 2

/** A resolver for names below `.warren` that runs. */
export interface NameServer {
  readonly at: HostPort
  /** Ends it, and all that it listens for. */
  stop(): Promise<void>
}

/**
 * Answers queries over UDP and TCP at a loopback address. Fails as the system does where it cannot listen there; with
 * port 0 at one that is free.
 */
export async function startNameServer({ at, ...options }: ZoneOptions & { at: string }): Promise<NameServer> {
  const codec = (await import('dns-packet')).default as unknown as Codec
  const zone = createZone(options)
  let lookups = 0
  const find = async (labels: readonly string[]): Promise<Found> => {
    if (lookups >= MAX_LOOKUPS) return 'failed'
    lookups++
    try {
      return await zone.find(labels)
    } finally {
      lookups--
    }
  }
  const answer = (bytes: Buffer): Promise<Buffer | undefined> => answerQuery(codec, bytes, find)
  const where = at.endsWith(':0') ? { host: at.slice(0, -2).replaceAll(/[[\]]/g, ''), port: 0 } : parseTarget(at)
  const tcp = createServer((socket) => void serveTcp(socket, answer))
  tcp.maxConnections = MAX_TCP_CLIENTS
  const clients = new Set<Socket>()
  tcp.on('connection', (socket) => {
    clients.add(socket)
    socket.once('close', () => clients.delete(socket))
  })
  const closeTcp = async (): Promise<void> => {
    for (const client of clients) client.destroy()
    await new Promise((resolve) => tcp.close(resolve))
  }
  const port = await listenTcp(tcp, where)
  try {
    const udp = await bindUdp({ ...where, port }, answer)
    options.log.info({ at: formatTarget({ ...where, port }) }, 'names below .warren are answered')
    return {
      at: { ...where, port },
      async stop() {
        udp.close()
        await closeTcp()
        await zone.stop()
      },
    }
  } catch (error) {
    await closeTcp()
    await zone.stop()
    throw error
  }
}

type Answer = (bytes: Buffer) => Promise<Buffer | undefined>

async function listenTcp(server: Server, { host, port }: HostPort): Promise<number> {
  server.listen({ host, port })
  await once(server, 'listening')
  server.on('error', () => undefined)
  return (server.address() as { port: number }).port
}

async function bindUdp({ host, port }: HostPort, answer: Answer): Promise<UdpSocket> {
  const socket = createSocket(isIPv6(host) ? 'udp6' : 'udp4')
  try {
    socket.bind({ address: host, port, exclusive: true })
    await once(socket, 'listening')
  } catch (error) {
    socket.close()
    throw error
  }
  let open = true
  socket.once('close', () => {
    open = false
  })
  socket.on('error', () => undefined)
  socket.on('message', async (bytes, from) => {
    // Nobody can be answered at port 0.
    const answered = bytes.length > MAX_QUERY_BYTES || from.port === 0 ? undefined : await answer(bytes)
    if (answered !== undefined && open) socket.send(answered, from.port, from.address)
  })
  return socket
}

/** Queries with two bytes of length before them (RFC 1035, 4.2.2), one after another. */
async function serveTcp(socket: Socket, answer: Answer): Promise<void> {
  socket.setTimeout(TCP_IDLE_MS, () => socket.destroy())
  let rest: Buffer = Buffer.alloc(0)
  try {
    for await (const bytes of socket as AsyncIterable<Buffer>) {
      rest = Buffer.concat([rest, bytes])
      while (rest.length >= LENGTH_BYTES) {
        const size = rest.readUInt16BE()
        if (size > MAX_QUERY_BYTES) return void socket.destroy()
        if (rest.length < LENGTH_BYTES + size) break
        const answered = await answer(rest.subarray(LENGTH_BYTES, LENGTH_BYTES + size))
        rest = rest.subarray(LENGTH_BYTES + size)
        if (answered === undefined) continue
        const length = Buffer.alloc(LENGTH_BYTES)
        length.writeUInt16BE(answered.length)
        if (!socket.write(Buffer.concat([length, answered]))) await once(socket, 'drain')
      }
    }
  } catch {
    socket.destroy()
  }
}
