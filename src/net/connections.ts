import type { Connection } from '@libp2p/interface'
import type { Clock, TimerHandle } from '../base/clock.ts'
import type { Counters } from '../base/counters.ts'
import type { Logger } from '../base/log.ts'
import type { ConnectionKind } from './channel.ts'
import {
  FIRST_PING_TIMEOUT_MS,
  MAX_CONNECTIONS_PER_PEER,
  MAX_MISSED_PINGS,
  PING_INTERVAL_MS,
  PING_TIMEOUT_MS,
  RETIRED_CHECK_MS,
} from './constants.ts'
import { netErrors } from './errors.ts'
import { isLan, ownSubnets, relayIn } from './path/address-words.ts'
import { RECHECK_MISSES, RECHECK_TIMEOUT_MS } from './path/limits.ts'
import { beatConnection } from './ping.ts'
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
  /** A connection with this peer leaves a request unanswered; it may yet answer. */
  onSuspect: (peer: string) => void
  /** A peer has another connection to be used than before: one more, or one less. */
  onPath: (peer: string) => void
  /** What is known of a connection besides what libp2p tells. */
  describe: (connection: Connection) => { kind: ConnectionKind; keyExchange: string | null }
}

interface Entry {
  readonly connection: Connection
  readonly peer: string
  /** Nothing between can have translated its address. */
  readonly lan: boolean
  readonly ready: Promise<void>
  latencyMs: number | null
  /** A first request over it was answered. */
  answered: boolean
  /** Another connection replaces it: no new streams, and its end comes with that of its last stream. */
  retired: boolean
  /** A request over it goes unanswered: others are preferred. */
  suspect: boolean
  /** When anything came over it last, by the monotonic clock. */
  heardMs: number
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
      lan: connection.direct && isLan(connection.remoteAddr.toString(), ownSubnets()),
      ready: Promise.resolve().then(() => this.#firstPing(entry)),
      latencyMs: null,
      answered: false,
      retired: false,
      suspect: false,
      heardMs: 0,
    }
    whenHeard(connection, () => {
      entry.heardMs = this.#init.clock.monotonicMs()
    })
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
  preferred(peer: string, { direct = false }: { direct?: boolean } = {}): Connection | undefined {
    const answered = this.#live(peer).filter((entry) => entry.answered && (!direct || entry.connection.direct))
    const alive = answered.filter((entry) => !entry.suspect)
    const usable = alive.length > 0 ? alive : answered
    const best = this.#unsettled.has(peer)
      ? usable.toSorted((a, b) => openedMs(b) - openedMs(a))[0]
      : usable.toSorted((a, b) => this.#compare(a, b))[0]
    return best?.connection
  }

  /** As `preferred`. Fails with `peer_unreachable` where there is none (any more). */
  mustPrefer(peer: string): Connection {
    const connection = this.preferred(peer)
    if (connection === undefined) throw netErrors.peer_unreachable(`${peer} closed the connection at once`)
    return connection
  }

  /** Peers that are connected now. */
  peers(): string[] {
    return [...this.#connected]
  }

  /** Says that a request over this connection goes unanswered; it ends if it stays silent. */
  suspect(connection: Connection): void {
    const entry = this.#entries.get(connection.id)
    if (entry === undefined || entry.suspect) return
    entry.suspect = true
    this.#init.counters.add('net_connections_suspect')
    void this.#measure(entry, { timeoutMs: FIRST_PING_TIMEOUT_MS, misses: MAX_MISSED_PINGS })
  }

  /** Asks at once whether these connections live, and ends those that do not answer: something has changed. */
  check(concerns: (info: { peer: string; via: string | null }) => boolean = () => true): void {
    for (const entry of this.#entries.values()) {
      if (!entry.answered || !concerns({ peer: entry.peer, via: viaOf(entry) })) continue
      void this.#measure(entry, { timeoutMs: RECHECK_TIMEOUT_MS, misses: RECHECK_MISSES })
    }
  }

  isConnected(peer: string): boolean {
    return this.#connected.has(peer)
  }

  /** Connections that count, of one peer or of all. */
  list(peer?: string): ConnectionInfo[] {
    const all = peer === undefined ? [...this.#entries.values()] : this.#of(peer)
    const shown = all.filter((entry) => entry.answered && !entry.retired)
    return shown.map((entry) => ({
      peer: entry.peer,
      address: entry.connection.remoteAddr.toString(),
      direction: entry.connection.direction,
      relayed: !entry.connection.direct,
      ...this.#init.describe(entry.connection),
      via: viaOf(entry),
      lan: entry.lan,
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
      // By the muxer: one round trip, where a stream takes one more to be opened, and each counts on a long way.
      entry.latencyMs = await beatConnection(entry.connection, {
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
    const isFirst = !this.#connected.has(entry.peer)
    this.#connected.add(entry.peer)
    if (isFirst) this.#init.onConnected(entry.peer)
    this.#init.onPath(entry.peer)
  }

  /** Drops the dead among several connections with a peer, and agrees with it on the one to keep. */
  async #settle(peer: string): Promise<void> {
    this.#unsettled.add(peer)
    const rivals = this.#live(peer).filter((entry) => entry.answered)
    await Promise.all(rivals.map((entry) => this.#measure(entry, { timeoutMs: FIRST_PING_TIMEOUT_MS, misses: 1 })))
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
      if (!this.#entries.has(entry.connection.id) || !entry.retired) return
      if (entry.connection.streams.length > 0) this.#closeWhenIdle(entry)
      else void closeConnection(entry.connection)
    })
  }

  async #beat(): Promise<void> {
    const entries = [...this.#entries.values()].filter((entry) => entry.answered)
    this.#later(PING_INTERVAL_MS, () => void this.#beat())
    await Promise.all(
      entries.map((entry) => this.#measure(entry, { timeoutMs: PING_TIMEOUT_MS, misses: MAX_MISSED_PINGS })),
    )
  }

  /** Ends a connection that leaves so many beats in a row unanswered. */
  async #measure(entry: Entry, { timeoutMs, misses }: { timeoutMs: number; misses: number }): Promise<void> {
    const { clock } = this.#init
    const startedMs = clock.monotonicMs()
    try {
      entry.latencyMs = await beatConnection(entry.connection, { timeoutMs, clock })
      entry.suspect = false
    } catch (error) {
      if (!this.#entries.has(entry.connection.id)) return
      // A beat waits behind what a slow line has to carry. What was on its way before counts for nothing.
      if (entry.heardMs > startedMs + timeoutMs / 2) {
        entry.suspect = false
        return
      }
      if (misses > 1) {
        entry.suspect = true
        this.#init.onSuspect(entry.peer)
        return await this.#measure(entry, { timeoutMs, misses: misses - 1 })
      }
      this.#init.log.info({ peer: entry.peer }, 'a peer no longer answers')
      this.#init.counters.add('net_connections_dead')
      entry.connection.abort(error as Error)
    }
  }

  #remove(entry: Entry): void {
    if (!this.#entries.delete(entry.connection.id)) return
    this.#init.counters.add('net_connections_closed')
    const left = this.#of(entry.peer).filter((other) => other.answered && other.connection.status === 'open')
    // The one that was to end is needed again.
    if (left.every((other) => other.retired)) for (const other of left) other.retired = false
    if (left.length > 0) return void (entry.answered && this.#init.onPath(entry.peer))
    if (this.#connected.delete(entry.peer)) this.#init.onDisconnected(entry.peer)
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

/** Libp2p has an event for it on what lies below a connection alone. */
function whenHeard(connection: Connection, heard: () => void): void {
  const { maConn } = connection as { maConn?: Pick<EventTarget, 'addEventListener'> }
  maConn?.addEventListener('message', heard)
}

function viaOf({ connection }: Entry): string | null {
  return relayIn(connection.remoteAddr.toString())?.relay ?? null
}

function resetStreamsOf(connection: Connection): void {
  for (const stream of [...connection.streams]) stream.abort(new Error('the connection is being closed'))
}

async function closeConnection(connection: Connection): Promise<void> {
  resetStreamsOf(connection)
  await connection.close().catch((error: Error) => connection.abort(error))
}

function encryptionName(protocol: string | undefined): string {
  // Channels are secured before libp2p has them, by TLS.
  if (protocol === 'native' || protocol === '/tls/1.0.0') return 'TLS 1.3'
  return protocol === '/noise' ? 'Noise' : (protocol ?? 'unknown')
}
