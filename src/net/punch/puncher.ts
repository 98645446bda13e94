import type { Connection } from '@libp2p/interface'
import type { Clock } from '../../base/clock.ts'
import type { Counters } from '../../base/counters.ts'
import { scopeOf } from '../../base/ip-scope.ts'
import type { Logger } from '../../base/log.ts'
import { TokenBuckets } from '../../base/token-buckets.ts'
import { withTimeout } from '../../base/wait.ts'
import type { ChannelUpgrader, Handle, StreamOpener } from '../channel.ts'
import { bindingTcp, bindingUdp, localAddresses, type StunServer } from '../stun/index.ts'
import type { Stream } from '../types.ts'
import { tcpAddressOf } from './addresses.ts'
import { type AttemptInit, attemptFirst, attemptSecond, Declined, type PunchOutcome } from './attempt.ts'
import { DataChannels } from './data-channel.ts'
import {
  ATTEMPT_TIMEOUT_MS,
  BIRTHDAY_PEER_RATE,
  BIRTHDAY_TOTAL_RATE,
  MAX_ANSWERED,
  MAX_STREAMS,
  MESSAGE_TIMEOUT_MS,
  PEER_RATE,
  PUNCH_PROTOCOL,
} from './limits.ts'
import { type Address, Talk } from './messages.ts'
import { openPorts, type Ports, type Stun } from './ports.ts'

/** What a puncher needs of its node. */
export interface PuncherInit {
  /** This node's peer id. */
  self: string
  handle: Handle
  opener: StreamOpener
  upgrader: ChannelUpgrader
  /** Those that may be asked, best first; asked for anew at every attempt. */
  stunServers(): readonly StunServer[]
  /** The node's own listeners; an unspecified host stands for all addresses of the machine. */
  localAddresses(): readonly Address[]
  /** Multiaddrs at which others can reach the listener through a router. */
  mappedAddresses(): readonly string[]
  /** Whether a relay has seen a peer at this IP address; many ports are tried nowhere else. */
  wasSeenAt(peer: string, host: string): boolean
  clock: Clock
  log: Logger
  counters: Counters
  /** How STUN servers are asked; for tests. */
  stun?: Stun
}

/** How a peer is asked. */
export interface PunchOptions {
  readonly over?: Connection | undefined
  readonly signal?: AbortSignal | undefined
}

/** Makes direct connections with peers that are connected somehow. */
export interface Puncher {
  /**
   * Tries to get a direct connection with a peer to which there is any connection, within 8 s and mostly within 1.5 s.
   * Several calls for one peer share one attempt, also with one that the peer has begun. Never rejects but with the
   * signal's reason, which ends this call's waiting and leaves an attempt to the others that wait for it. With `over` an
   * attempt that begins now goes over this connection, which need not have answered anything yet.
   */
  punch(peer: string, options?: PunchOptions): Promise<PunchOutcome>
  /** Serves the attempts of others from now on. */
  start(): void
  /** Ends every attempt and every data channel. */
  stop(): void
}

/** Makes the puncher of a node; it does nothing before `start` or `punch`. */
export function createPuncher(init: PuncherInit): Puncher {
  return new NodePuncher(init)
}

class NodePuncher implements Puncher {
  readonly #init: PuncherInit
  readonly #channels = new DataChannels()
  readonly #own = new Map<string, Promise<PunchOutcome>>()
  readonly #answered = new Map<string, Promise<PunchOutcome>>()
  /** Those whose own attempt was folded into one of the other side that has not come yet. */
  readonly #expecting = new Map<string, (outcome: Promise<PunchOutcome>) => void>()
  readonly #rate: TokenBuckets
  readonly #birthdayRate: TokenBuckets
  readonly #birthdayTotal: TokenBuckets
  #stopping = new AbortController()
  #unhandle: (() => void) | undefined

  constructor(init: PuncherInit) {
    this.#init = init
    const { clock } = init
    this.#rate = new TokenBuckets({ ...PEER_RATE, clock })
    this.#birthdayRate = new TokenBuckets({ ...BIRTHDAY_PEER_RATE, clock })
    this.#birthdayTotal = new TokenBuckets({ ...BIRTHDAY_TOTAL_RATE, clock })
  }

  start(): void {
    if (this.#stopping.signal.aborted) this.#stopping = new AbortController()
    this.#unhandle ??= this.#init.handle(PUNCH_PROTOCOL, (stream) => this.#serve(stream), {
      maxStreamsPerPeer: MAX_STREAMS,
    })
  }

  stop(): void {
    this.#unhandle?.()
    this.#unhandle = undefined
    this.#stopping.abort(new Error('the node stops'))
    this.#channels.stop()
  }

  async punch(peer: string, { over, signal }: PunchOptions = {}): Promise<PunchOutcome> {
    signal?.throwIfAborted()
    let attempt = this.#own.get(peer) ?? this.#answered.get(peer)
    if (attempt === undefined) {
      attempt = this.#begin(peer, over).finally(() => this.#own.delete(peer))
      this.#own.set(peer, attempt)
    }
    if (signal === undefined) return attempt
    const { promise, reject } = Promise.withResolvers<never>()
    const onAbort = (): void => reject(signal.reason)
    signal.addEventListener('abort', onAbort, { once: true })
    return Promise.race([attempt, promise]).finally(() => signal.removeEventListener('abort', onAbort))
  }

  async #begin(peer: string, over: Connection | undefined): Promise<PunchOutcome> {
    const outcome = await this.#bounded((signal) => this.#open(peer, over, signal))
    this.#record(peer, outcome, 'first')
    return outcome
  }

  async #open(peer: string, over: Connection | undefined, signal: AbortSignal): Promise<PunchOutcome> {
    let stream: Stream | undefined
    try {
      stream = await this.#init.opener.openOn(peer, PUNCH_PROTOCOL, { ...(over && { over }), signal })
      const outcome = await attemptFirst(this.#attemptOf(peer, stream, signal))
      stream.end()
      return outcome
    } catch (error) {
      if (error instanceof Declined) {
        stream?.end()
        return error.reason === 'folded' ? this.#theirs(peer, signal) : declined(error.reason)
      }
      stream?.destroy()
      throw error
    }
  }

  /** The attempt of the other side, which is under way or about to arrive. */
  async #theirs(peer: string, signal: AbortSignal): Promise<PunchOutcome> {
    const { promise, resolve } = Promise.withResolvers<Promise<PunchOutcome>>()
    const there = this.#answered.get(peer)
    if (there !== undefined) return there
    this.#expecting.set(peer, resolve)
    try {
      const what = 'the attempt of the other side'
      const { clock } = this.#init
      return await withTimeout(what, MESSAGE_TIMEOUT_MS, async () => ({ attempt: await promise }), {
        signal,
        clock,
      }).then(({ attempt }) => attempt)
    } finally {
      this.#expecting.delete(peer)
    }
  }

  async #serve(stream: Stream): Promise<void> {
    const { peer } = stream
    const talk = new Talk(stream)
    const refuse = async (reason: 'folded' | 'limited' | 'busy'): Promise<void> => {
      this.#init.counters.add('net_punch_declined', 1, { reason })
      await talk.say({ type: 'refused', reason })
      stream.end()
    }
    const begin = await withTimeout(
      'the first message of punching',
      MESSAGE_TIMEOUT_MS,
      (signal) => talk.hear(['begin'], signal),
      {
        signal: this.#stopping.signal,
        clock: this.#init.clock,
      },
    )
    if (!this.#rate.take(peer)) return refuse('limited')
    if (this.#own.has(peer) && !this.#expecting.has(peer) && this.#init.self < peer) return refuse('folded')
    if (this.#answered.has(peer) || this.#answered.size >= MAX_ANSWERED) return refuse('busy')
    const answering = this.#bounded((signal) =>
      attemptSecond(this.#attemptOf(peer, stream, signal), { talk, firstNonce: begin.nonce }),
    )
    this.#answered.set(peer, answering)
    this.#expecting.get(peer)?.(answering)
    const outcome = await answering.finally(() => this.#answered.delete(peer))
    this.#record(peer, outcome, 'second')
    stream.end()
  }

  /** Nothing that happens in an attempt is more than its failure. */
  async #bounded(work: (signal: AbortSignal) => Promise<PunchOutcome>): Promise<PunchOutcome> {
    const { clock } = this.#init
    const signal = this.#stopping.signal
    try {
      return await withTimeout('punching', ATTEMPT_TIMEOUT_MS, work, { signal, clock })
    } catch (error) {
      const { code, message } = error as Error & { code?: string }
      const reason =
        code === 'timed_out' ? 'the other side does not answer in time' : `the attempt broke off: ${message}`
      return { ok: false, reason, permanent: false }
    }
  }

  #attemptOf(peer: string, stream: Stream, signal: AbortSignal): AttemptInit {
    const { upgrader, clock } = this.#init
    const hosts = this.#hosts()
    const takeBirthday = (): boolean => this.#birthdayRate.take(peer) && this.#birthdayTotal.take('all')
    const openOwn = (ends: AbortSignal): Promise<Ports> => this.#openPorts(peer, { hosts, signal: ends })
    const wasSeenAt = (host: string): boolean => this.#init.wasSeenAt(peer, host)
    const channels = this.#channels
    return { peer, stream, upgrader, channels, hosts, takeBirthday, wasSeenAt, openPorts: openOwn, clock, signal }
  }

  #openPorts(peer: string, { hosts, signal }: { hosts: readonly string[]; signal: AbortSignal }): Promise<Ports> {
    const { stunServers, mappedAddresses, localAddresses: listeners, stun = { bindingTcp, bindingUdp } } = this.#init
    const local = listeners().flatMap(({ host, port }) =>
      scopeOf(host) === 'other' ? familyOf(hosts, host).map((each) => ({ host: each, port })) : [{ host, port }],
    )
    const mapped = mappedAddresses().flatMap((multiaddr) => tcpAddressOf(multiaddr) ?? [])
    return openPorts({
      stun,
      servers: stunServers(),
      hosts,
      own: [...mapped, ...local.filter(({ host }) => hosts.includes(host))],
      channel: this.#channels.canOpen(peer),
      signal,
    })
  }

  /** Addresses of this machine that others may try: loopback only for a node that listens nowhere else. */
  #hosts(): string[] {
    const listening = this.#init.localAddresses().map(({ host }) => host)
    const isAlone = listening.length > 0 && listening.every((host) => scopeOf(host) === 'loopback')
    if (isAlone) return [...new Set(listening)]
    return localAddresses()
      .map(({ host }) => host)
      .filter((host) => scopeOf(host) === 'private' || scopeOf(host) === 'public')
  }

  #record(peer: string, outcome: PunchOutcome, side: 'first' | 'second'): void {
    const { counters, log } = this.#init
    counters.add('net_punch', 1, { side, outcome: outcome.ok ? outcome.how : 'failed' })
    if (outcome.ok) log.info({ peer, how: outcome.how, ms: outcome.ms, side }, 'a direct connection came about')
    else log.debug({ peer, reason: outcome.reason, permanent: outcome.permanent, side }, 'no direct connection')
  }
}

function declined(reason: 'limited' | 'busy'): PunchOutcome {
  const why = reason === 'limited' ? 'was asked too often' : 'is busy with other attempts'
  return { ok: false, reason: `the other side ${why}; try again in a while`, permanent: false }
}

function familyOf(hosts: readonly string[], like: string): string[] {
  // `::` takes IPv4 too.
  return like.includes(':') ? [...hosts] : hosts.filter((host) => !host.includes(':'))
}
