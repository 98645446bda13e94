import { createSocket, type Socket as UdpSocket } from 'node:dgram'
import { lookup } from 'node:dns/promises'
import { connect, type Socket } from 'node:net'
import { withTimeout } from '../base/wait.ts'
import { serviceErrors } from './errors.ts'
import { KEEPALIVE_MS, SOCKET_QUEUE_BYTES, TARGET_TIMEOUT_MS } from './limits.ts'
import { formatTarget, type HostPort } from './service-name.ts'

interface DialOptions {
  readonly signal: AbortSignal
  /** Default 10 s. */
  readonly timeoutMs?: number
}

/** A TCP connection to a target. Fails with `service_unreachable`, also after the time-out, and with the signal's reason. */
export async function connectTarget(target: HostPort, options: DialOptions): Promise<Socket> {
  const { host, port } = target
  // `noDelay`: what one side writes at once, the other is to have at once.
  const more = { highWaterMark: SOCKET_QUEUE_BYTES }
  const socket = connect({
    host,
    port,
    allowHalfOpen: true,
    noDelay: true,
    keepAlive: true,
    keepAliveInitialDelay: KEEPALIVE_MS,
    ...more,
  })
  try {
    await reach(target, options, () => settled(socket, 'connect'))
    return socket
  } catch (error) {
    socket.on('error', () => undefined)
    socket.destroy()
    throw error
  }
}

/** A UDP socket of its own that is bound to a target, so that only the target's datagrams come in. Fails as above. */
export async function bindToTarget(target: HostPort, options: DialOptions): Promise<UdpSocket> {
  const { address, family } = await reach(target, options, () => lookup(target.host))
  const socket = createSocket(family === 6 ? 'udp6' : 'udp4')
  try {
    await reach(target, options, () => {
      socket.connect(target.port, address)
      return settled(socket, 'connect')
    })
    // A target that does not run is told of by ICMP; it may run again, and UDP promises nothing.
    socket.on('error', () => undefined)
    return socket
  } catch (error) {
    socket.close()
    throw error
  }
}

async function reach<T>(
  target: HostPort,
  { signal, timeoutMs = TARGET_TIMEOUT_MS }: DialOptions,
  work: () => Promise<T>,
) {
  try {
    return await withTimeout(`reaching ${formatTarget(target)}`, timeoutMs, work, { signal })
  } catch (cause) {
    signal.throwIfAborted()
    const { message } = cause as Error
    throw serviceErrors.service_unreachable(`the target of the service was not reached: ${message}`, {
      cause,
      hint: 'See whether it runs there, and what is exposed: warren services',
    })
  }
}

function settled(emitter: Socket | UdpSocket, event: 'connect'): Promise<void> {
  return new Promise((resolve, reject) => {
    const done = (): void => {
      emitter.off('error', fail)
      resolve()
    }
    const fail = (error: Error): void => {
      emitter.off(event, done)
      reject(error)
    }
    emitter.once(event, done)
    emitter.once('error', fail)
  })
}
