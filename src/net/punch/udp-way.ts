/** Finds a pair of UDP ports between which datagrams pass both ways. */
import { createSocket, type RemoteInfo, type Socket as UdpSocket } from 'node:dgram'
import type { Clock } from '../../base/clock.ts'
import { sleep } from '../../base/wait.ts'
import { randomPorts } from './birthday.ts'
import {
  BIRTHDAY_DELAY_MS,
  BIRTHDAY_PROBES,
  BIRTHDAY_SOCKETS,
  BIRTHDAY_WAVE,
  BIRTHDAY_WAVE_MS,
  MAX_UDP_ADDRESSES,
  UDP_PROBE_MS,
} from './limits.ts'
import type { Address } from './messages.ts'
import { closeUdp } from './ports.ts'
import { decodeProbe, encodeProbe, type ProbeKind, type Side } from './probe-packet.ts'

/** Part in birthday probing, as over TCP: many own ports to one address, or one own port to many of the other's. */
export type UdpBirthday = { readonly many: Address } | { readonly probe: string }

interface UdpWayInit {
  socket: UdpSocket
  targets: readonly Address[]
  /** This node's side; the first one chooses among the ways that are found. */
  side: Side
  key: Buffer
  rttMs: number
  birthday?: UdpBirthday | undefined
  clock: Clock
  signal: AbortSignal
}

/** A way: the own port, and the other side's address as this node sees it. */
export interface UdpWay {
  readonly localPort: number
  readonly remote: Address
  readonly how: 'udp' | 'udp birthday'
}

/**
 * Sends probes until the two sides have agreed on a way; resolves on the second side when it was told, on the first when
 * `taken` is called. Every socket is closed when it ends, also the given one, so that the port is free for what comes
 * next. Rejects with the signal's reason.
 */
export class UdpSearch {
  readonly way: Promise<UdpWay>
  readonly #init: UdpWayInit
  readonly #sockets: UdpSocket[]
  /** From whom probes came that no list names: as the other side is seen from here. */
  readonly #learnt = new Map<string, Address>()
  readonly #ended = new AbortController()
  #settle: { resolve(way: UdpWay): void; reject(reason: unknown): void } | undefined
  #chosen: { socket: UdpSocket; remote: Address } | undefined

  constructor(init: UdpWayInit) {
    this.#init = init
    this.#sockets = [init.socket]
    this.way = new Promise((resolve, reject) => {
      this.#settle = { resolve, reject }
    })
    this.way.catch(() => undefined)
    this.#listenTo(init.socket)
    if (init.signal.aborted) this.#onAbort()
    else {
      init.signal.addEventListener('abort', this.#onAbort, { once: true })
      void this.#sendProbes()
      if (init.birthday !== undefined) void this.#celebrate(init.birthday)
    }
  }

  /** The other side has heard which way the first one takes. */
  taken(): void {
    if (this.#chosen !== undefined) this.#finish(this.#chosen)
  }

  readonly #onAbort = (): void => {
    this.#settle?.reject(this.#init.signal.reason)
    this.#close()
  }

  #finish({ socket, remote }: { socket: UdpSocket; remote: Address }): void {
    const { port: localPort } = socket.address()
    const isListed = this.#init.targets.some(({ port }) => port === remote.port) && socket === this.#init.socket
    const how = this.#init.birthday !== undefined && !isListed ? 'udp birthday' : 'udp'
    this.#close()
    this.#settle?.resolve({ localPort, remote, how })
  }

  #close(): void {
    this.#init.signal.removeEventListener('abort', this.#onAbort)
    this.#ended.abort()
    for (const socket of this.#sockets.splice(0)) closeUdp(socket)
  }

  #listenTo(socket: UdpSocket): void {
    socket.on('error', () => undefined)
    socket.on('message', (bytes, from) => this.#hear(socket, bytes, from))
  }

  #hear(socket: UdpSocket, bytes: Buffer, { address: host, port }: RemoteInfo): void {
    if (this.#ended.signal.aborted) return
    const { side, key } = this.#init
    const kind = decodeProbe(bytes, side === 'first' ? 'second' : 'first', key)
    const remote = { host, port }
    if (kind === 'probe') {
      if (socket === this.#init.socket && this.#learnt.size < MAX_UDP_ADDRESSES)
        this.#learnt.set(`${host} ${port}`, remote)
      this.#send(socket, 'echo', remote)
      // The own probes may not have found this way: ask back over it.
      if (side === 'first') this.#send(socket, 'probe', remote)
    } else if (kind === 'echo' && side === 'first') {
      this.#chosen ??= { socket, remote }
      this.#send(this.#chosen.socket, 'take', this.#chosen.remote)
    } else if (kind === 'take' && side === 'second') this.#finish({ socket, remote })
  }

  async #sendProbes(): Promise<void> {
    const { socket, targets, clock } = this.#init
    const { signal } = this.#ended
    while (!signal.aborted) {
      for (const target of [...targets, ...this.#learnt.values()]) this.#send(socket, 'probe', target)
      if (this.#chosen !== undefined) this.#send(this.#chosen.socket, 'take', this.#chosen.remote)
      await sleep(UDP_PROBE_MS, { signal, clock }).catch(() => undefined)
    }
  }

  async #celebrate(birthday: UdpBirthday): Promise<void> {
    const { rttMs, clock, socket } = this.#init
    const { signal } = this.#ended
    await sleep(BIRTHDAY_DELAY_MS + 2 * rttMs, { signal, clock }).catch(() => undefined)
    const waves = 'many' in birthday ? BIRTHDAY_SOCKETS : BIRTHDAY_PROBES
    const ports = 'probe' in birthday ? randomPorts(BIRTHDAY_PROBES) : []
    for (let sent = 0; sent < waves && !signal.aborted; sent += BIRTHDAY_WAVE) {
      for (let n = 0; n < BIRTHDAY_WAVE; n++) {
        if ('many' in birthday) this.#openAnother(birthday.many)
        else this.#send(socket, 'probe', { host: birthday.probe, port: ports[sent + n] as number })
      }
      await sleep(BIRTHDAY_WAVE_MS, { signal, clock }).catch(() => undefined)
    }
  }

  #openAnother(target: Address): void {
    const socket = createSocket('udp4')
    this.#sockets.push(socket)
    this.#listenTo(socket)
    socket.bind(0, () => this.#send(socket, 'probe', target))
  }

  #send(socket: UdpSocket, kind: ProbeKind, { host, port }: Address): void {
    if (this.#ended.signal.aborted) return
    const { side, key } = this.#init
    try {
      // What cannot be sent is as good as lost.
      socket.send(encodeProbe(kind, side, key), port, host, () => undefined)
    } catch {
      // The socket has failed; others go on.
    }
  }
}
