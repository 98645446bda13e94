import { createServer, type Server, type Socket } from 'node:net'
import { toWarrenError } from '../base/errors.ts'
import { KEEPALIVE_MS, MAX_PROXY_CONNECTIONS, SOCKET_QUEUE_BYTES } from './limits.ts'
import { type BindOptions, type Bound, bindPorts } from './local-ports.ts'
import type { CarryDeps, Entrance, Traffic } from './proxy-deps.ts'
import { reset, splice } from './splice.ts'

/**
 * Listens for TCP clients and joins each with a stream of its own. One that cannot be given a stream is reset at once.
 * Fails as `bindPorts`.
 */
export async function openTcpEntrance(deps: CarryDeps, where: Omit<BindOptions, 'bind'>): Promise<Entrance> {
  const carrier = createCarrier(deps)
  const ports = await bindPorts({
    ...where,
    bind: (address, port) => listen(carrier.server(), { host: address, port }),
  })
  return {
    addresses: ports.addresses,
    port: ports.port,
    traffic: carrier.traffic,
    close: () => closing(carrier, ports),
  }
}

/** As above, at a Unix socket, which its folder must keep from others. */
export async function openSocketEntrance(deps: CarryDeps, path: string): Promise<Entrance & { ended: Promise<void> }> {
  const carrier = createCarrier(deps)
  const ended = Promise.withResolvers<void>()
  const server = carrier.server((carried) => {
    // One connection: whoever comes next finds nobody.
    void bound.close()
    carried.then(ended.resolve, ended.reject)
  })
  const bound = await listen(server, { path })
  ended.promise.catch(() => undefined)
  const close = (): Promise<void> => closing(carrier, bound)
  return { addresses: [path], port: 0, traffic: carrier.traffic, close, ended: ended.promise }
}

async function closing(carrier: Carrier, listening: { close(): Promise<void> }): Promise<void> {
  const closed = listening.close()
  carrier.end()
  await closed
}

type Carrier = ReturnType<typeof createCarrier>

/** Carries the clients of servers that share their limits and counts. */
function createCarrier({ open, onFailure, log }: CarryDeps) {
  const sockets = new Set<Socket>()
  const past: Traffic = { connections: 0, total: 0, bytesIn: 0, bytesOut: 0 }
  const tell = (thrown: unknown): void => {
    const error = toWarrenError(thrown)
    log.warn({ code: error.code, reason: error.message }, 'a connection through a proxy failed')
    onFailure(error)
  }
  const carry = async (socket: Socket): Promise<void> => {
    const gone = new AbortController()
    socket.on('error', () => undefined)
    socket.once('close', () => {
      gone.abort(new Error('the client left'))
      sockets.delete(socket)
      past.bytesIn += socket.bytesWritten
      past.bytesOut += socket.bytesRead
    })
    sockets.add(socket)
    past.total++
    try {
      const stream = await open(gone.signal).catch((error: unknown) => {
        if (!gone.signal.aborted) tell(error)
        throw error
      })
      if (socket.destroyed) return void stream.destroy()
      await splice(socket, stream)
    } catch (thrown) {
      // What a service does to its connections is its own matter; that the way to it broke is not.
      if (toWarrenError(thrown).code === 'connection_lost') tell(thrown)
      reset(socket)
      throw thrown
    }
  }
  return {
    server: (onCarried?: (carried: Promise<void>) => void): Server => {
      const server = createServer(
        {
          allowHalfOpen: true,
          noDelay: true,
          keepAlive: true,
          keepAliveInitialDelay: KEEPALIVE_MS,
          highWaterMark: SOCKET_QUEUE_BYTES,
        },
        (socket) => {
          const carried = carry(socket)
          carried.catch(() => undefined)
          onCarried?.(carried)
        },
      )
      server.maxConnections = MAX_PROXY_CONNECTIONS
      server.on('drop', () => log.warn({ connections: sockets.size }, 'a proxy has as many connections as it takes'))
      return server
    },
    traffic(): Traffic {
      const live = [...sockets]
      return {
        connections: live.length,
        total: past.total,
        bytesIn: live.reduce((sum, { bytesWritten }) => sum + bytesWritten, past.bytesIn),
        bytesOut: live.reduce((sum, { bytesRead }) => sum + bytesRead, past.bytesOut),
      }
    },
    end(): void {
      for (const socket of sockets) reset(socket)
    },
  }
}

function listen(server: Server, where: { host: string; port: number } | { path: string }): Promise<Bound> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen({ ...where, ...('host' in where && where.host.includes(':') ? { ipv6Only: true } : {}) }, () => {
      server.off('error', reject)
      // Later ones are of a single accept, such as too many open files.
      server.on('error', () => undefined)
      const address = server.address()
      const port = typeof address === 'object' && address !== null ? address.port : 0
      resolve({ port, close: () => new Promise((closed) => void server.close(() => closed())) })
    })
  })
}
