import type { Connection } from '@libp2p/interface'
import type { Clock, TimerHandle } from '../base/clock.ts'
import type { Counters } from '../base/counters.ts'
import type { Logger } from '../base/log.ts'
import {
  FIRST_PING_TIMEOUT_MS,
  MAX_CONNECTIONS_PER_PEER,
  MAX_MISSED_PINGS,
  PING_INTERVAL_MS,
  PING_TIMEOUT_MS,
  RETIRED_CHECK_MS,
} from './constants.ts'
import { netErrors } from './errors.ts'
import { beatConnection, pingConnection } from './ping.ts'
import type { ConnectionInfo, Direction, GateVerdict, Refusal } from './types.ts'

interface ConnectionTableInit {
  self: string
  clock: Clock
  log: Logger
  counters: Counters
  allow: (peer: string, direction: Direction) => GateVerdict
  agentOf: (peer: string) => string | null
  onConnected: (peer: string) => void
  onDisconnected: (peer: string) => void
  onRefused: (refusal: Refusal) => void
}

interface Entry {
  readonly connection: Connection
  readonly peer: string
  readonly ready: Promise<void>
  latencyMs: number | null
  missedPings: number
  /** A first request over it was answered. */
  answered: boolean
  /** Another connection replaces it: no new streams, and its end comes with that of its last stream. */
  retired: boolean
}

/**
 * The connections with each peer: which count, which one to use, which are dead. Two nodes that dial each other at the
 * same moment end up with the same one of the two connections.
 */
export class ConnectionTable {
  readonly #init: ConnectionTableInit
  readonly #entries = new Map<string, Entry>()
  readonly #connected = new Set<string>()
  /** Peers with a new connection whose older ones have not been proved alive yet. */
  readonly #unsettled = new Set<string>()
  readonly #timers = new Set<TimerHandle>()
  #stopped = false

  constructor(init: ConnectionTableInit) {
    this.#init = init
  }

  /** Begins to measure round trips and to look for dead connections. */
  start(): void {
    this.#later(PING_INTERVAL_MS, () => void this.#beat())
  }

  stop(): void {
    this.#stopped = true
    for (const timer of this.#timers) this.#init.clock.clearTimeout(timer)
    this.#timers.clear()
  }

  /** Takes in a connection that libp2p has opened, or closes it where the gate does not allow it (any more). */
  add(connection: Connection): void {
    const peer = connection.remotePeer.toString()
    const verdict = this.#init.allow(peer, connection.direction)
    if (!verdict.allowed || this.#stopped) {
      if (!verdict.allowed) this.#refuse(connection, verdict.reason)
      connection.abort(new Error('not allowed'))
      return
    }
    if (this.#of(peer).length >= MAX_CONNECTIONS_PER_PEER) {
      this.#init.counters.add('net_connections_excess')
      connection.abort(new Error('too many connections'))
      return
    }
    const entry: Entry = {
      connection,
      peer,
      ready: Promise.resolve().then(() => this.#firstPing(entry)),
      latencyMs: null,
      missedPings: 0,
      answered: false,
      retired: false,
    }
    entry.ready.catch(() => undefined)
    this.#entries.set(connection.id, entry)
    this.#init.counters.add('net_connections_opened', 1, { direction: connection.direction })
    connection.addEventListener('close', () => this.#remove(entry))
  }

  /** Resolves when a first request over this connection was answered; rejects when it fails before. */
  async ready(connection: Connection): Promise<void> {
    const entry = this.#entries.get(connection.id)
    if (entry === undefined) {
      throw netErrors.peer_unreachable(`${connection.remotePeer.toString()} closed the connection at once`)
    }
    await entry.ready
  }

  /** The connection to use with a peer now; undefined where it is not connected. */
  preferred(peer: string): Connection | undefined {
    const usable = this.#live(peer).filter((entry) => entry.answered)
    const best = this.#unsettled.has(peer)
      ? usable.toSorted((a, b) => openedMs(b) - openedMs(a))[0]
      : usable.toSorted((a, b) => this.#compare(a, b))[0]
    return best?.connection
  }

  isConnected(peer: string): boolean {
    return this.#connected.has(peer)
  }

  list(): ConnectionInfo[] {
    const shown = [...this.#entries.values()].filter((entry) => entry.answered && !entry.retired)
    return shown.map((entry) => ({
      peer: entry.peer,
      address: entry.connection.remoteAddr.toString(),
      direction: entry.connection.direction,
      relayed: !entry.connection.direct,
      since: openedMs(entry),
      latencyMs: entry.latencyMs,
      agent: this.#init.agentOf(entry.peer),
      encryption: encryptionName(entry.connection.encryption),
    }))
  }

  /** Closes the connections with a peer; its streams are reset, never ended as if complete. */
  async closePeer(peer: string): Promise<void> {
    await Promise.all(this.#of(peer).map((entry) => closeConnection(entry.connection)))
  }

  /** Asks the gate again about every open connection. */
  recheck(): void {
    for (const entry of [...this.#entries.values()]) {
      const verdict = this.#init.allow(entry.peer, entry.connection.direction)
      if (verdict.allowed) continue
      this.#refuse(entry.connection, verdict.reason)
      entry.connection.abort(new Error('no longer allowed'))
    }
  }

  /** Resets all streams, so that closing the connections in order cannot make them look complete. */
  resetStreams(): void {
    for (const { connection } of this.#entries.values()) resetStreamsOf(connection)
  }

  async #firstPing(entry: Entry): Promise<void> {
    try {
      entry.latencyMs = await pingConnection(entry.connection, {
        timeoutMs: FIRST_PING_TIMEOUT_MS,
        clock: this.#init.clock,
      })
    } catch (error) {
      entry.connection.abort(error as Error)
      throw netErrors.peer_unreachable(`${entry.peer} took the connection but answers no request`, { cause: error })
    }
    if (!this.#entries.has(entry.connection.id)) return
    entry.answered = true
    if (this.#live(entry.peer).length > 1) void this.#settle(entry.peer)
    if (this.#connected.has(entry.peer)) return
    this.#connected.add(entry.peer)
    this.#init.onConnected(entry.peer)
  }

  /** Drops the dead among several connections with a peer, and agrees with it on the one to keep. */
  async #settle(peer: string): Promise<void> {
    this.#unsettled.add(peer)
    const rivals = this.#live(peer).filter((entry) => entry.answered)
    await Promise.all(rivals.map((entry) => this.#measure(entry, FIRST_PING_TIMEOUT_MS, 1)))
    this.#unsettled.delete(peer)
    const [keep, ...others] = this.#live(peer)
      .filter((entry) => entry.answered)
      .toSorted((a, b) => this.#compare(a, b))
    for (const other of others) {
      const { direction } = other.connection
      // Of two that the peer has dialled it alone knows which came first.
      if (direction === 'inbound' && keep?.connection.direction === 'inbound') continue
      other.retired = true
      if (direction === 'outbound') this.#closeWhenIdle(other)
    }
  }

  /** Negative where `a` is the one to keep; both sides come to the same result. */
  #compare(a: Entry, b: Entry): number {
    if (a.connection.direct !== b.connection.direct) return a.connection.direct ? -1 : 1
    if (a.connection.direction === b.connection.direction) return openedMs(b) - openedMs(a)
    const diallerToKeep: Direction = this.#init.self < a.peer ? 'outbound' : 'inbound'
    return a.connection.direction === diallerToKeep ? -1 : 1
  }

  #closeWhenIdle(entry: Entry): void {
    this.#later(RETIRED_CHECK_MS, () => {
      if (!this.#entries.has(entry.connection.id)) return
      if (entry.connection.streams.length > 0) this.#closeWhenIdle(entry)
      else void closeConnection(entry.connection)
    })
  }

  async #beat(): Promise<void> {
    const entries = [...this.#entries.values()].filter((entry) => entry.answered)
    this.#later(PING_INTERVAL_MS, () => void this.#beat())
    await Promise.all(entries.map((entry) => this.#measure(entry, PING_TIMEOUT_MS, MAX_MISSED_PINGS)))
  }

  async #measure(entry: Entry, timeoutMs: number, maxMissed: number): Promise<void> {
    try {
      entry.latencyMs = await beatConnection(entry.connection, { timeoutMs, clock: this.#init.clock })
      entry.missedPings = 0
    } catch (error) {
      entry.missedPings += 1
      if (!this.#entries.has(entry.connection.id)) return
      if (entry.missedPings < maxMissed) return await this.#measure(entry, timeoutMs, maxMissed)
      this.#init.log.info({ peer: entry.peer, missed: entry.missedPings }, 'a peer no longer answers')
      this.#init.counters.add('net_connections_dead')
      entry.connection.abort(error as Error)
    }
  }

  #remove(entry: Entry): void {
    if (!this.#entries.delete(entry.connection.id)) return
    this.#init.counters.add('net_connections_closed')
    if (this.#of(entry.peer).some((other) => other.answered) || !this.#connected.delete(entry.peer)) return
    this.#init.onDisconnected(entry.peer)
  }

  #refuse(connection: Connection, reason: string): void {
    this.#init.onRefused({
      peer: connection.remotePeer.toString(),
      address: connection.remoteAddr.toString(),
      code: 'peer_not_allowed',
      reason,
      cause: 'gate',
      direction: connection.direction,
    })
  }

  #of(peer: string): Entry[] {
    return [...this.#entries.values()].filter((entry) => entry.peer === peer)
  }

  #live(peer: string): Entry[] {
    return this.#of(peer).filter((entry) => !entry.retired && entry.connection.status === 'open')
  }

  #later(delayMs: number, run: () => void): void {
    if (this.#stopped) return
    const timer = this.#init.clock.setTimeout(() => {
      this.#timers.delete(timer)
      run()
    }, delayMs)
    timer.unref?.()
    this.#timers.add(timer)
  }
}

function openedMs(entry: Entry): number {
  return entry.connection.timeline.open
}

function resetStreamsOf(connection: Connection): void {
  for (const stream of [...connection.streams]) stream.abort(new Error('the connection is being closed'))
}

async function closeConnection(connection: Connection): Promise<void> {
  resetStreamsOf(connection)
  await connection.close().catch((error: Error) => connection.abort(error))
}

function encryptionName(protocol: string | undefined): string {
  if (protocol === '/tls/1.0.0') return 'TLS 1.3'
  return protocol === '/noise' ? 'Noise' : (protocol ?? 'unknown')
}
