/** Asks a router for ports by NAT-PMP (RFC 6886). */
import { createSocket, type Socket } from 'node:dgram'
import { type Clock, systemClock } from '../base/clock.ts'
import { netErrors } from './errors.ts'

/** Where NAT-PMP listens on a router. */
const ROUTER_PORT = 5351
/** Sent again after 250 ms, 750 ms and 1.75 s: the beginning of what RFC 6886 (3.1) asks for; who is there has answered. */
const FIRST_RESEND_MS = 250
const ANSWER_TIMEOUT_MS = 3_000
const OPCODES = { externalAddress: 0, udp: 1, tcp: 2 } as const
const ANSWER_BIT = 128

/** The results that a router may give in place of a mapping (RFC 6886, 3.5). */
const RESULTS: Readonly<Record<number, string>> = {
  1: 'it speaks another version',
  2: 'it does not allow mappings',
  3: 'it has no connection itself',
  4: 'it has no room for mappings',
  5: 'it does not know this request',
}

export interface MappingRequest {
  readonly protocol: 'tcp' | 'udp'
  readonly internalPort: number
  /** The outer port to ask for; the router may give another one. */
  readonly externalPort: number
  /** 0 takes the mapping back. */
  readonly lifetimeSeconds: number
}

/** A router that is asked by NAT-PMP. */
export interface NatPmp {
  /** Its outer IPv4 address. Fails with `peer_unreachable` where it does not answer, or refuses. */
  externalAddress(signal?: AbortSignal): Promise<string>
  /** The outer port that it gives. Fails as `externalAddress`. */
  map(request: MappingRequest, signal?: AbortSignal): Promise<number>
}

/** A router by its IPv4 address; nothing is sent before a call, and nothing stays open after one. */
export function natPmpOf(
  router: string,
  { clock = systemClock, port = ROUTER_PORT }: { clock?: Clock; port?: number } = {},
): NatPmp {
  const ask = (request: Buffer, size: number, signal?: AbortSignal): Promise<Buffer> =>
    exchange({ router, port, clock }, { request, size }, signal)
  return {
    externalAddress: async (signal) => {
      const answer = await ask(Buffer.from([0, OPCODES.externalAddress]), 12, signal)
      return [...answer.subarray(8, 12)].join('.')
    },
    map: async ({ protocol, internalPort, externalPort, lifetimeSeconds }, signal) => {
      const request = Buffer.alloc(12)
      request.writeUInt8(OPCODES[protocol], 1)
      request.writeUInt16BE(internalPort, 4)
      request.writeUInt16BE(lifetimeSeconds === 0 ? 0 : externalPort, 6)
      request.writeUInt32BE(lifetimeSeconds, 8)
      const answer = await ask(request, 16, signal)
      return answer.readUInt16BE(10)
    },
  }
}

interface Place {
  readonly router: string
  readonly port: number
  readonly clock: Clock
}

/** The answer to a request, at least `size` bytes; a connected socket hears nobody but the router. */
async function exchange(
  { router, port, clock }: Place,
  { request, size }: { request: Buffer; size: number },
  signal?: AbortSignal,
): Promise<Buffer> {
  signal?.throwIfAborted()
  const socket = createSocket('udp4')
  const timers = new Set<ReturnType<Clock['setTimeout']>>()
  const onAbort = Promise.withResolvers<never>()
  const abort = (): void => onAbort.reject(signal?.reason)
  signal?.addEventListener('abort', abort, { once: true })
  const answered = new Promise<Buffer>((resolve, reject) => {
    const fail = (why: string, cause?: unknown): void =>
      reject(netErrors.peer_unreachable(`the router ${router} gives no port by NAT-PMP: ${why}`, { cause }))
    const after = (delayMs: number, run: () => void): void => void timers.add(clock.setTimeout(run, delayMs))
    const send = (nextMs: number): void => {
      socket.send(request, (error) => error && fail(error.message, error))
      after(nextMs, () => send(nextMs * 2))
    }
    socket.on('error', (error) => fail(error.message, error))
    socket.on('message', (answer) => {
      if (answer.length < 4 || answer[0] !== 0 || answer[1] !== (request[1] as number) + ANSWER_BIT) return
      const result = answer.readUInt16BE(2)
      if (result !== 0) fail(RESULTS[result] ?? `it answers with result ${result}`)
      else if (answer.length >= size && isOfRequest(answer, request)) resolve(answer)
    })
    // An address that no route leads to is told here and not by the event.
    const begin = (error?: Error): void => (error ? fail(error.message, error) : send(FIRST_RESEND_MS))
    socket.connect(port, router, begin)
    after(ANSWER_TIMEOUT_MS, () => fail('it does not answer'))
  })
  try {
    return await Promise.race([answered, onAbort.promise])
  } finally {
    signal?.removeEventListener('abort', abort)
    for (const timer of timers) clock.clearTimeout(timer)
    await closed(socket)
  }
}

/** An answer about a port names the port that was asked about; one to an earlier request may come late. */
function isOfRequest(answer: Buffer, request: Buffer): boolean {
  return request.length < 12 || answer.readUInt16BE(8) === request.readUInt16BE(4)
}

function closed(socket: Socket): Promise<void> {
  return new Promise((resolve) => void socket.close(resolve))
}
