/** A STUN server on UDP and TCP, each on two ports. */
import { createServer, type Server, type Socket } from 'node:net'
import type { Clock } from '../../base/clock.ts'
import type { Counters } from '../../base/counters.ts'
import { sourceKeyOf } from '../../base/ip-scope.ts'
import type { Logger } from '../../base/log.ts'
import { TokenBuckets } from '../../base/token-buckets.ts'
import { answerStunTcp } from './answer.ts'
import { BINDING_RATE, MAX_TCP_CONNECTIONS, MAX_TCP_CONNECTIONS_PER_SOURCE, TOTAL_BINDING_RATE } from './constants.ts'
import { type LocalAddress, localAddresses } from './local-addresses.ts'
import type { Endpoint } from './message.ts'
import { UdpAnswerer } from './udp-answerer.ts'

export interface StunServerInit {
  /** UDP port; the same number as the TCP port whose STUN connections `answerTcp` gets. 0: any. */
  readonly port: number
  /** Second port, UDP and TCP, from which answers to CHANGE-REQUEST come. Default: the one after `port`; 0: any. */
  readonly alternatePort?: number
  /** Requests over TCP that are answered whatever the rate, by their transaction in hex: this node's reachability check. */
  readonly expects?: (transaction: string, from: Endpoint) => boolean
  /** The addresses to serve, asked again every 3 s. Default: those of this machine. */
  readonly addresses?: () => readonly LocalAddress[]
  readonly clock: Clock
  readonly log: Logger
  readonly counters: Counters
}

export interface RunningStunServer {
  /**
   * Binds the UDP ports on every local address and listens on the alternate TCP port. An address or port that cannot be
   * had is logged and tried again while the server runs; without it the tests of behaviour say less. Never fails.
   */
  start(): Promise<void>
  /** Closes every socket, those given to `answerTcp` too. It can be started again. */
  stop(): Promise<void>
  /** Takes over a connection of the TCP port that began like STUN. While the server does not run it is closed. */
  answerTcp(socket: Socket): void
  /** The ports in use; null for those that could not be had. */
  ports(): { udp: number | null; alternateUdp: number | null; alternateTcp: number | null }
}

/**
 * A STUN server (RFC 8489 Binding, RFC 5780 behaviour). It serves each address of this machine with sockets of its own,
 * so that answers come from where they were asked. Not started yet.
 */
export function createStunServer(init: StunServerInit): RunningStunServer {
  return new StunServing(init)
}

class StunServing implements RunningStunServer {
  readonly #init: StunServerInit
  readonly #bySource: TokenBuckets
  readonly #total: TokenBuckets
  readonly #udp: UdpAnswerer
  readonly #sockets = new Map<string, Set<Socket>>()
  #connections = 0
  #tcp: Server | undefined
  #running = false

  constructor(init: StunServerInit) {
    this.#init = init
    this.#bySource = new TokenBuckets({ ...BINDING_RATE, clock: init.clock })
    this.#total = new TokenBuckets({ ...TOTAL_BINDING_RATE, clock: init.clock })
    const { port, clock, log } = init
    const alternatePort = init.alternatePort ?? (port === 0 ? 0 : port + 1)
    const addresses = init.addresses ?? localAddresses
    this.#udp = new UdpAnswerer({
      port,
      alternatePort,
      addresses,
      admits: (host) => this.#admits(host, 'udp'),
      clock,
      log,
    })
  }

  async start(): Promise<void> {
    this.#running = true
    await this.#udp.start()
    if (this.#running) this.#tcp = await this.#listen()
    if (!this.#running) await this.stop()
  }

  async stop(): Promise<void> {
    this.#running = false
    for (const sockets of this.#sockets.values()) for (const socket of sockets) socket.destroy()
    const tcp = this.#tcp
    this.#tcp = undefined
    const closed = tcp === undefined ? undefined : new Promise((resolve) => tcp.close(resolve))
    await Promise.all([closed, this.#udp.stop()])
  }

  ports(): ReturnType<RunningStunServer['ports']> {
    return { ...this.#udp.ports(), alternateTcp: portOf(this.#tcp) }
  }

  answerTcp(socket: Socket): void {
    const source = sourceKeyOf(socket.remoteAddress ?? '')
    const sockets = this.#sockets.get(source) ?? new Set()
    if (!this.#running || sockets.size >= MAX_TCP_CONNECTIONS_PER_SOURCE || this.#connections >= MAX_TCP_CONNECTIONS) {
      this.#init.counters.add('stun_refused', 1, { transport: 'tcp' })
      socket.on('error', () => undefined)
      socket.destroy()
      return
    }
    sockets.add(socket)
    this.#sockets.set(source, sockets)
    this.#connections++
    socket.once('close', () => {
      sockets.delete(socket)
      if (sockets.size === 0) this.#sockets.delete(source)
      this.#connections--
    })
    answerStunTcp(socket, {
      clock: this.#init.clock,
      admits: (transaction, from) => {
        const isExpected = this.#init.expects?.(transaction, from) === true
        return isExpected || this.#admits(from.host, 'tcp')
      },
      otherOf: (origin) => this.#udp.otherOf(origin, portOf(this.#tcp)),
    })
  }

  #admits(host: string, transport: 'udp' | 'tcp'): boolean {
    const admitted = this.#bySource.take(sourceKeyOf(host)) && this.#total.take('all')
    this.#init.counters.add(admitted ? 'stun_requests' : 'stun_refused', 1, { transport })
    return admitted
  }

  /** The listener of the alternate port; undefined where it cannot be had. */
  async #listen(): Promise<Server | undefined> {
    const port = this.#udp.ports().alternateUdp ?? this.#init.alternatePort ?? this.#init.port + 1
    const server = createServer({ noDelay: true }, (socket) => this.answerTcp(socket))
    const failures: string[] = []
    // Without IPv6 on this machine there is no `::` to listen on.
    for (const host of ['::', '0.0.0.0']) {
      const failure = await new Promise<Error | undefined>((resolve) => {
        server.once('error', resolve)
        server.listen(port, host, () => {
          server.off('error', resolve)
          resolve(undefined)
        })
      })
      if (failure === undefined) {
        server.on('error', (error) => this.#init.log.warn({ err: error }, 'STUN over TCP failed'))
        return server
      }
      failures.push(failure.message)
    }
    this.#init.log.warn({ port, reasons: failures }, 'STUN does not answer on its second TCP port')
    return undefined
  }
}

function portOf(server: Server | undefined): number | null {
  const address = server?.address()
  return typeof address === 'object' && address !== null ? address.port : null
}
