/** Asks a STUN server how it sees a local port. */
import { randomBytes } from 'node:crypto'
import type { Socket as UdpSocket } from 'node:dgram'
import { lookup } from 'node:dns/promises'
import { connect, isIP, type Socket } from 'node:net'
import { type Clock, systemClock } from '../../base/clock.ts'
import type { WarrenError } from '../../base/errors.ts'
import { plainHost } from '../../base/ip-scope.ts'
import { withTimeout } from '../../base/wait.ts'
import { netErrors } from '../errors.ts'
import { BINDING_TIMEOUT_MS, FIRST_RESEND_MS } from './constants.ts'
import { type DecodedStun, decodeStun, type Endpoint, encodeStun, stunLength, TRANSACTION_BYTES } from './message.ts'

/** How a server sees the port that asked it. */
export interface Binding extends Endpoint {
  /** The server's other port, at its other address where it has one. */
  readonly other: Endpoint | undefined
  /** From where it answered, as it says itself. */
  readonly origin: Endpoint | undefined
}

interface BindingOptions {
  signal?: AbortSignal | undefined
  /** All sendings together. Default 3 s. */
  timeoutMs?: number
  clock?: Clock
}

export interface BindingUdpOptions extends BindingOptions {
  /** Asks for an answer from another address or port of the server (CHANGE-REQUEST, RFC 5780). */
  change?: { host: boolean; port: boolean }
}

export interface BindingTcpOptions extends BindingOptions {
  server: Endpoint
  /** The port to connect from, shared with other connections but with no listener. Default: a free one. */
  localPort?: number
  /** The address to connect from. Default: what the route to the server says. */
  localAddress?: string
  /** The 12 bytes of the request. Default: random. */
  transaction?: Uint8Array
}

/** A binding over TCP, with the connection that keeps its mapping at the NAT. */
export interface TcpBinding {
  readonly mapped: Endpoint
  readonly local: Endpoint
  readonly other: Endpoint | undefined
  /** Open and silent; the caller destroys it. The server closes it after a minute without a request. */
  readonly socket: Socket
}

/**
 * The address and port at which a server sees a bound UDP socket. It may be in use for other things: their datagrams
 * are left alone, and its other listeners see the answer too. The request is sent up to four times in 3 s (RFC 8489, 6.2.1, with a shorter end). `server.host` may
 * be a name. Fails with `peer_unreachable` where no answer comes or the server
 * refuses (`details.stunError` has its code then), and with the signal's reason.
 */
export async function bindingUdp(
  socket: UdpSocket,
  server: Endpoint,
  { signal, timeoutMs = BINDING_TIMEOUT_MS, clock = systemClock, change }: BindingUdpOptions = {},
): Promise<Binding> {
  const transaction = randomBytes(TRANSACTION_BYTES)
  const request = encodeStun({ kind: 'request', transaction, change })
  const what = `the STUN server ${server.host}:${server.port} over UDP`
  return bounded(what, { timeoutMs, signal, clock }, async (ends) => {
    const host = await resolveHost(server.host, socket.address().family === 'IPv6' ? 6 : 4)
    ends.throwIfAborted()
    return await new Promise<Binding>((resolve, reject) => {
      let timer: ReturnType<Clock['setTimeout']> | undefined
      const finish = (settle: () => void): void => {
        if (timer !== undefined) clock.clearTimeout(timer)
        socket.off('message', hear)
        socket.off('close', onClose)
        ends.removeEventListener('abort', onAbort)
        settle()
      }
      const onAbort = (): void => finish(() => reject(ends.reason))
      const onClose = (): void => finish(() => reject(unreachable(`${what} was not heard: the own socket was closed`)))
      const hear = (bytes: Buffer): void => {
        const answer = answerTo(transaction, bytes)
        if (answer !== undefined) finish(() => settleWith(answer, what, { resolve, reject }))
      }
      const fail = (error: unknown): void => finish(() => reject(unreachable(`${what} cannot be sent to`, error)))
      const send = (nextMs: number): void => {
        timer = clock.setTimeout(() => send(nextMs * 2), nextMs)
        try {
          socket.send(request, server.port, host, (error) => error && fail(error))
        } catch (error) {
          fail(error)
        }
      }
      socket.on('message', hear)
      socket.on('close', onClose)
      ends.addEventListener('abort', onAbort, { once: true })
      send(FIRST_RESEND_MS)
    })
  })
}

/**
 * The address and port at which a server sees a TCP connection from a local port of this machine. The socket stays
 * open, so that the mapping at the NAT lives; the caller destroys it. Further connections may come from the same local
 * port. Fails with `peer_unreachable` and with the signal's reason, and has then closed the socket.
 */
export async function bindingTcp(options: BindingTcpOptions): Promise<TcpBinding> {
  const { server, signal, timeoutMs = BINDING_TIMEOUT_MS, clock = systemClock } = options
  const what = `the STUN server ${server.host}:${server.port} over TCP`
  const transaction = options.transaction ?? randomBytes(TRANSACTION_BYTES)
  let socket: Socket | undefined
  try {
    return await bounded(what, { timeoutMs, signal, clock }, async (ends) => {
      const host = await resolveHost(server.host, options.localAddress === undefined ? 0 : isIP(options.localAddress))
      ends.throwIfAborted()
      // An explicit bind marks the port as one to share; a port that connect() picks cannot be used again.
      const localAddress = options.localAddress ?? (isIP(host) === 6 ? '::' : '0.0.0.0')
      const from = { localAddress, localPort: options.localPort ?? 0 }
      socket = connect({ host, port: server.port, ...from, noDelay: true, autoSelectFamily: false })
      const binding = await askOver(socket, transaction, what)
      const { localAddress: at = '', localPort = 0 } = socket
      const local = { host: plainHost(at), port: localPort }
      return { mapped: { host: binding.host, port: binding.port }, local, other: binding.other, socket }
    })
  } catch (thrown) {
    socket?.destroy()
    // A port that is none, from a peer or the configuration.
    throw thrown instanceof RangeError ? unreachable(`${what} cannot be connected to`, thrown) : thrown
  }
}

/** Sends the request when the socket is connected and takes the answer from it, which leaves it open and listened to. */
function askOver(socket: Socket, transaction: Uint8Array, what: string): Promise<Binding> {
  return new Promise((resolve, reject) => {
    let heard = Buffer.alloc(0)
    // Stays for good: an error of a connection that only keeps a mapping is nobody's business.
    socket.on('error', (error) => reject(unreachable(`${what} does not answer`, error)))
    socket.once('close', () => reject(unreachable(`${what} closed the connection`)))
    socket.once('connect', () => socket.write(encodeStun({ kind: 'request', transaction })))
    const hear = (bytes: Buffer): void => {
      heard = Buffer.concat([heard, bytes])
      const length = stunLength(heard)
      if (length === 'more' || (length !== undefined && heard.length < length)) return
      socket.off('data', hear)
      // Whatever else comes is thrown away, so that the end of the connection is noticed.
      socket.resume()
      const answer = length === undefined ? undefined : answerTo(transaction, heard.subarray(0, length))
      if (answer === undefined) reject(unreachable(`${what} answers something else than STUN`))
      else settleWith(answer, what, { resolve, reject })
    }
    socket.on('data', hear)
  })
}

/** The answer to a request; undefined for everything else. */
function answerTo(transaction: Uint8Array, bytes: Uint8Array): DecodedStun | undefined {
  const message = decodeStun(bytes)
  if (message === undefined || (message.kind !== 'success' && message.kind !== 'error')) return undefined
  return Buffer.compare(message.transaction, transaction) === 0 ? message : undefined
}

interface Settling {
  resolve(binding: Binding): void
  reject(error: Error): void
}

function settleWith(answer: DecodedStun, what: string, { resolve, reject }: Settling): void {
  const { mapped, other, origin, error, notUnderstood } = answer
  if (answer.kind === 'success' && mapped !== undefined && notUnderstood.length === 0) {
    resolve({ ...mapped, other, origin })
    return
  }
  const why = error === undefined ? 'without an address' : `${error.code} ${error.reason}`.trim()
  reject(netErrors.peer_unreachable(`${what} answered ${why}`, { details: { stunError: error?.code ?? null } }))
}

async function resolveHost(host: string, family: number): Promise<string> {
  if (isIP(host) !== 0) return host
  try {
    return (await lookup(host, { family })).address
  } catch (thrown) {
    throw unreachable(`the name "${host}" is not found`, thrown)
  }
}

async function bounded<T>(
  what: string,
  options: { timeoutMs: number; signal: AbortSignal | undefined; clock: Clock },
  work: (ends: AbortSignal) => Promise<T>,
): Promise<T> {
  try {
    return await withTimeout(what, options.timeoutMs, work, { signal: options.signal, clock: options.clock })
  } catch (thrown) {
    const isLate = (thrown as { code?: unknown }).code === 'timed_out' && options.signal?.reason !== thrown
    throw isLate ? unreachable(`${what} gave no answer in ${options.timeoutMs} ms`) : thrown
  }
}

function unreachable(message: string, cause?: unknown): WarrenError {
  const why = cause instanceof Error ? `: ${cause.message}` : ''
  return netErrors.peer_unreachable(`${message}${why}`, { cause })
}
