/**
 * Birthday probing over TCP: one side's router maps per destination (hard), the other's does not (easy). The hard side
 * holds many connections towards the one port of the easy side, the easy side tries ports of the hard side's router from
 * that port; where one meets the other, TCP opens simultaneously.
 */
import type { Socket } from 'node:net'
import { sleep } from '../../base/wait.ts'
import { type DiallingInit, type Opened, openSocket } from './dialling.ts'
import {
  BIRTHDAY_DELAY_MS,
  BIRTHDAY_PROBE_MS,
  BIRTHDAY_PROBES,
  BIRTHDAY_SOCKETS,
  BIRTHDAY_TIMEOUT_MS,
  BIRTHDAY_WAVE,
  BIRTHDAY_WAVE_MS,
  FIRST_OUTER_PORT,
  MAX_OPEN_PROBES,
  RETRY_MS,
} from './limits.ts'
import type { Address } from './messages.ts'

interface HardInit extends DiallingInit {
  /** The easy side's dialling port, as its router shows it. */
  target: Address
  sockets?: number
}

/**
 * The hard side: holds 256 connections open, opened in waves, and begins one anew where it is refused (as many again in
 * all). Resolves when the signal fires, or when no more can be opened.
 */
export async function holdMany({ target, sockets = BIRTHDAY_SOCKETS, ...init }: HardInit): Promise<void> {
  const { rttMs, clock, signal, onConnected } = init
  let again = sockets
  const hold = async (): Promise<void> => {
    for (;;) {
      const opened = await openSocket(target, { timeoutMs: BIRTHDAY_TIMEOUT_MS, signal })
      if ('socket' in opened) return onConnected(opened.socket, target)
      if (isOutOfSockets(opened) || again-- <= 0) return
      await sleep(RETRY_MS, { signal, clock }).catch(() => undefined)
      if (signal.aborted) return
    }
  }
  const held: Promise<void>[] = []
  await sleep(BIRTHDAY_DELAY_MS + 2 * rttMs, { signal, clock }).catch(() => undefined)
  while (held.length < sockets && !signal.aborted) {
    for (let n = Math.min(BIRTHDAY_WAVE, sockets - held.length); n > 0; n--) held.push(hold())
    // A breath only, so that the loop and the router are not flooded in one go.
    await sleep(BIRTHDAY_WAVE_MS / 6, { signal, clock }).catch(() => undefined)
  }
  await Promise.all(held)
}

interface EasyInit extends DiallingInit {
  /** The hard side's address; each port of its router may be the one. */
  host: string
  localPort: number
  probes?: number
  /** How one try is made; for tests. */
  open?: typeof openSocket
}

/**
 * The easy side: tries up to 2,048 ports, each once, 128 every 60 ms, so for about a second; 1,024 wait at once. Ends early when a port
 * answered that is not the peer's (`onConnected` is told of each): a port open to everybody is no sign of the peer.
 */
export async function probePorts({ host, localPort, probes = BIRTHDAY_PROBES, ...init }: EasyInit): Promise<void> {
  const { rttMs, clock, signal, onConnected, open = openSocket } = init
  const ports = randomPorts(probes)
  const under: Promise<void>[] = []
  let waiting = 0
  await sleep(BIRTHDAY_DELAY_MS + 2.5 * rttMs + BIRTHDAY_WAVE_MS, { signal, clock }).catch(() => undefined)
  while (ports.length > 0 && !signal.aborted) {
    const room = Math.min(BIRTHDAY_WAVE, MAX_OPEN_PROBES - waiting, ports.length)
    waiting += room
    for (const port of ports.splice(ports.length - room)) {
      const target = { host, port }
      const timeoutMs = BIRTHDAY_PROBE_MS + 2 * rttMs
      const probe = open(target, { localPort, timeoutMs, signal }).then((opened) => {
        waiting--
        if ('socket' in opened) onConnected(opened.socket as Socket, target)
        else if (isOutOfSockets(opened)) ports.length = 0
      })
      under.push(probe)
    }
    await sleep(BIRTHDAY_WAVE_MS, { signal, clock }).catch(() => undefined)
  }
  await Promise.all(under)
}

/** So many different ports above 1023, drawn by chance. */
export function randomPorts(count: number): number[] {
  const ports = new Set<number>()
  while (ports.size < count) ports.add(FIRST_OUTER_PORT + Math.floor(Math.random() * (65_536 - FIRST_OUTER_PORT)))
  return [...ports]
}

function isOutOfSockets(opened: Opened): boolean {
  return 'failed' in opened && ['EMFILE', 'ENFILE', 'ENOBUFS', 'EACCES', 'EPERM'].includes(opened.failed)
}
