/** Opening TCP connections: plainly, and at the same time from both sides. */
import { connect, isIPv6, type Socket } from 'node:net'
import type { Clock } from '../../base/clock.ts'
import { sleep } from '../../base/wait.ts'
import { MAX_DIALS_PER_ADDRESS, RETRY_MS, SILENT_RETRY_MS } from './limits.ts'
import type { Address } from './messages.ts'

/** What every way of opening connections needs. */
export interface DiallingInit {
  rttMs: number
  clock: Clock
  /** Ends it: sockets that are not yet connected are destroyed. */
  signal: AbortSignal
  onConnected(socket: Socket, target: Address): void
}

export interface OpenOptions {
  /** Port to open it from, with no listener; many connections may share it. Default: any. */
  localPort?: number | undefined
  timeoutMs: number
  signal: AbortSignal
}

/** What became of one try: the code of the failure, `silent` where nobody answered in time. */
export type Opened = { readonly socket: Socket } | { readonly failed: string }

/** One try. Never rejects; an unconnected socket is destroyed at the end of the time or by the signal. */
export function openSocket({ host, port }: Address, { localPort, timeoutMs, signal }: OpenOptions): Promise<Opened> {
  if (signal.aborted) return Promise.resolve({ failed: 'ended' })
  return new Promise((resolve) => {
    // An explicit bind marks the port as one to share.
    const from = localPort === undefined ? {} : { localAddress: isIPv6(host) ? '::' : '0.0.0.0', localPort }
    const socket = connect({ host, port, ...from, noDelay: true, autoSelectFamily: false })
    const finish = (outcome: Opened): void => {
      clearTimeout(timer)
      signal.removeEventListener('abort', onAbort)
      socket.off('connect', onConnect)
      if ('failed' in outcome) socket.destroy()
      resolve(outcome)
    }
    const onConnect = (): void => finish({ socket })
    const onAbort = (): void => finish({ failed: 'ended' })
    const timer = setTimeout(() => finish({ failed: 'silent' }), timeoutMs)
    signal.addEventListener('abort', onAbort, { once: true })
    socket.on('error', (error: NodeJS.ErrnoException) => finish({ failed: error.code ?? 'error' }))
    socket.once('connect', onConnect)
  })
}

/** Dials each address until it answers, at most five times. Resolves when all is tried or `signal` fires. */
export async function dialAll(targets: readonly Address[], init: DiallingInit): Promise<void> {
  await Promise.all(targets.map((target) => dialOne(target, init)))
}

async function dialOne(target: Address, { rttMs, clock, signal, onConnected }: DiallingInit): Promise<void> {
  for (let tries = 1; tries <= MAX_DIALS_PER_ADDRESS && !signal.aborted; tries++) {
    const opened = await openSocket(target, { timeoutMs: SILENT_RETRY_MS * tries + 2 * rttMs, signal })
    if ('socket' in opened) return onConnected(opened.socket, target)
    await sleep(RETRY_MS * 2 ** tries, { signal, clock }).catch(() => undefined)
  }
}

/**
 * TCP simultaneous open (RFC 9293, 3.5): connects from a port to the other side's, which does the same. What is refused
 * or reset is tried again at once, since a router may refuse what comes before the own packet has left.
 */
export async function openSimultaneously(
  targets: readonly Address[],
  { localPort, ...init }: DiallingInit & { localPort: number },
): Promise<void> {
  const { rttMs, clock, signal, onConnected } = init
  const attempt = async (target: Address): Promise<void> => {
    while (!signal.aborted) {
      const opened = await openSocket(target, { localPort, timeoutMs: SILENT_RETRY_MS + 2 * rttMs, signal })
      if ('socket' in opened) return onConnected(opened.socket, target)
      // Unequal steps, so that two sides do not miss each other again and again.
      await sleep(RETRY_MS * (0.75 + Math.random() / 2), { signal, clock }).catch(() => undefined)
    }
  }
  await Promise.all(targets.map(attempt))
}
