/** The side that asks: has peers connect to this node, and sees for itself whether they get through. */
import { randomBytes } from 'node:crypto'
import type { Socket } from 'node:net'
import type { Clock, TimerHandle } from '../../base/clock.ts'
import type { Counters } from '../../base/counters.ts'
import { EventBus } from '../../base/events.ts'
import { scopeOf, sourceKeyOf } from '../../base/ip-scope.ts'
import type { Logger } from '../../base/log.ts'
import { withTimeout } from '../../base/wait.ts'
import type { Handle, StreamOpener } from '../channel.ts'
import { readMessage, sendMessage } from '../frames.ts'
import { answerStunTcp, type Endpoint } from '../stun/index.ts'
import type { ConnectionInfo } from '../types.ts'
import {
  CHANGED_CHECK_MS,
  FIRST_CHECK_MS,
  MAX_CONSIDERED,
  MAX_DOORWAYS,
  MAX_DOORWAYS_PER_SOURCE,
  MAX_HELPERS,
  MAX_MESSAGE_BYTES,
  MAX_PORTS,
  REACH_PROTOCOL,
  RECHECK_MS,
  TALK_TIMEOUT_MS,
  UNKNOWN_RECHECK_MS,
} from './constants.ts'
import { serveDialBacks } from './dial-back.ts'
import { parseAnswer } from './messages.ts'
import { findIpOf } from './peer-address.ts'
import { type Finding, isSameSite, type Reach, type Verdict, verdictOf } from './verdict.ts'

export interface ReachabilityInit {
  readonly handle: Handle
  readonly opener: StreamOpener
  readonly connections: () => readonly ConnectionInfo[]
  /** TCP ports at which this node may be reached from outside: its listeners' and those that a router maps; four count. */
  readonly ports: () => readonly number[]
  /** What a person has decided; nobody is asked then. */
  readonly forced?: () => 'auto' | 'public' | 'private'
  readonly clock: Clock
  readonly log: Logger
  readonly counters: Counters
}

export interface Reachability {
  readonly events: EventBus<{ changed: { reach: Reach } }>
  /** Helps peers with theirs, and checks the own: soon, at each change, and every 30 minutes (30 s while unknown). */
  start(): void
  stop(): void
  /** As last found; `unknown` where nobody could tell, or nobody was asked yet. */
  reach(): Reach
  /** What was found, for people. */
  reason(): string
  /** Public addresses and ports, as `host:port`, at which a connection from outside came in. */
  confirmed(): readonly string[]
  /** Checks now, or joins the check on its way: 10 s at most. Rejects with the signal's reason alone. */
  check(signal?: AbortSignal): Promise<Reach>
  /** Addresses, ports or the NAT of this node have changed: checks again soon, and forgets what was if nobody can tell. */
  changed(): void
  /**
   * Takes over a connection of a TCP listener of this node that began like STUN, where this node serves none: requests with
   * the nonces of a check are answered, all else is closed. Those who are asked get in; of others 64 at a time, and four of one address.
   */
  answerTcp(socket: Socket): void
  /** Where this node serves STUN: true for the transaction (in hex) of a request that has a nonce of a check. */
  admits(transaction: string, from: Endpoint): boolean
}

/** The check of whether this node is publicly reachable. Not started yet. */
export function createReachability(init: ReachabilityInit): Reachability {
  return new ReachabilityCheck(init)
}

/** A nonce that a helper was given. */
interface Expected {
  readonly port: number
  hasCome: boolean
}

interface Helper {
  readonly peer: string
  readonly host: string
}

const NOT_ASKED: Verdict = { reach: 'unknown', confirmed: [], reason: 'no peer was asked yet' }

class ReachabilityCheck implements Reachability {
  readonly events = new EventBus<{ changed: { reach: Reach } }>()
  readonly #init: ReachabilityInit
  readonly #expected = new Map<string, Expected>()
  #verdict = NOT_ASKED
  #told: Reach = 'unknown'
  #isStale = false
  /** Connections that may carry a nonce, by where they come from. */
  readonly #doorways = new Map<string, number>()
  /** Of these those from where no helper is known to be. */
  #strangers = 0
  /** Where those are who are asked now: they get in whoever else is there. */
  readonly #askedAt = new Set<string>()
  #running: Promise<void> | undefined
  #timer: TimerHandle | undefined
  #ends = new AbortController()
  #unserve: (() => void) | undefined

  constructor(init: ReachabilityInit) {
    this.#init = init
  }

  start(): void {
    if (this.#unserve !== undefined) return
    this.#ends = new AbortController()
    this.#unserve = serveDialBacks(this.#init)
    this.#tell()
    this.#checkIn(FIRST_CHECK_MS)
  }

  stop(): void {
    this.#unserve?.()
    this.#unserve = undefined
    this.#clearTimer()
    this.#ends.abort(new Error('the reachability check was stopped'))
  }

  reach(): Reach {
    const forced = this.#init.forced?.() ?? 'auto'
    return forced === 'auto' ? this.#verdict.reach : forced
  }

  reason(): string {
    const forced = this.#init.forced?.() ?? 'auto'
    return forced === 'auto' ? this.#verdict.reason : `set to ${forced} by the configuration`
  }

  confirmed(): readonly string[] {
    return this.#verdict.confirmed
  }

  async check(signal?: AbortSignal): Promise<Reach> {
    signal?.throwIfAborted()
    if ((this.#init.forced?.() ?? 'auto') !== 'auto') return this.reach()
    this.#running ??= this.#ask().finally(() => {
      this.#running = undefined
    })
    const running = this.#running
    if (signal === undefined) await running
    else {
      const aborted = Promise.withResolvers<never>()
      const onAbort = (): void => aborted.reject(signal.reason)
      signal.addEventListener('abort', onAbort, { once: true })
      await Promise.race([running, aborted.promise]).finally(() => signal.removeEventListener('abort', onAbort))
    }
    return this.reach()
  }

  changed(): void {
    this.#isStale = true
    if (this.#unserve === undefined) return
    this.#tell()
    this.#checkIn(CHANGED_CHECK_MS)
  }

  admits(transaction: string, from: Endpoint): boolean {
    const expected = this.#expected.get(transaction)
    // Through a LAN or a loopback everybody gets; that says nothing.
    if (expected === undefined || scopeOf(from.host) !== 'public') return false
    expected.hasCome = true
    return true
  }

  answerTcp(socket: Socket): void {
    const source = sourceKeyOf(socket.remoteAddress ?? '')
    const isStranger = !this.#askedAt.has(source)
    const before = this.#doorways.get(source) ?? 0
    const isFull = before >= MAX_DOORWAYS_PER_SOURCE || (isStranger && this.#strangers >= MAX_DOORWAYS)
    if (isFull || this.#expected.size === 0) {
      socket.on('error', () => undefined)
      socket.destroy()
      return
    }
    this.#doorways.set(source, before + 1)
    if (isStranger) this.#strangers++
    socket.once('close', () => {
      const left = (this.#doorways.get(source) ?? 1) - 1
      if (left > 0) this.#doorways.set(source, left)
      else this.#doorways.delete(source)
      if (isStranger) this.#strangers--
    })
    const { clock } = this.#init
    answerStunTcp(socket, { admits: (transaction, from) => this.admits(transaction, from), clock })
  }

  /** Asks some peers and takes what they found. Never rejects. */
  async #ask(): Promise<void> {
    const ports = [...new Set(this.#init.ports())].slice(0, MAX_PORTS)
    const wasStale = this.#isStale
    this.#isStale = false
    const helpers = ports.length === 0 ? [] : await this.#pickHelpers()
    const findings = await Promise.all(helpers.map((helper) => this.#askOne(helper, ports)))
    if (this.#ends.signal.aborted) return
    const found = ports.length === 0 ? nothingToReach() : verdictOf(findings.filter((one) => one !== undefined))
    // A moment without peers takes nothing back that is still true.
    if (found.reach !== 'unknown' || wasStale || ports.length === 0 || this.#verdict.reach === 'unknown') {
      this.#verdict = found
    }
    this.#init.counters.add('net_reach_checks', 1, { found: found.reach })
    this.#init.log.debug({ reach: found.reach, reason: found.reason }, 'reachability checked')
    this.#tell()
  }

  /** Directly connected peers at other public addresses, each of another site. */
  async #pickHelpers(): Promise<Helper[]> {
    const direct = this.#init.connections().filter(({ relayed }) => !relayed)
    const shuffled = direct.map((one) => ({ one, at: Math.random() })).sort((a, b) => a.at - b.at)
    const helpers: Helper[] = []
    const some = shuffled.slice(0, MAX_CONSIDERED).map(async ({ one }) => ({ one, host: await findIpOf(one.address) }))
    for (const { one, host } of await Promise.all(some)) {
      if (helpers.length === MAX_HELPERS) break
      if (host === undefined || scopeOf(host) !== 'public') continue
      if (helpers.some((helper) => helper.peer === one.peer || isSameSite(helper.host, host))) continue
      helpers.push({ peer: one.peer, host })
    }
    return helpers
  }

  /** What a helper found; undefined where it cannot tell, does not want to, or fails. */
  async #askOne({ peer, host }: Helper, ports: readonly number[]): Promise<Finding | undefined> {
    const { clock, log, opener } = this.#init
    const probes = ports.map((port) => ({ port, nonce: randomBytes(12).toString('hex') }))
    for (const { port, nonce } of probes) this.#expected.set(nonce, { port, hasCome: false })
    // Helpers are of different sites, so nobody else is at the same.
    const source = sourceKeyOf(host)
    this.#askedAt.add(source)
    try {
      const talk = async (signal: AbortSignal): Promise<Finding | undefined> => {
        const stream = await opener.openOn(peer, REACH_PROTOCOL, { direct: true, signal })
        // What breaks the stream later has no one to tell.
        stream.on('error', () => undefined)
        try {
          await sendMessage(stream, { probes })
          stream.end()
          const message = await readMessage(stream, { maxBytes: MAX_MESSAGE_BYTES, signal })
          if (message === undefined) return undefined
          const answer = parseAnswer(message)
          if ('declined' in answer || scopeOf(answer.seen) !== 'public') return undefined
          const come = probes.filter(({ nonce }) => this.#expected.get(nonce)?.hasCome === true)
          const confirmed = come.map(({ port }) => `${bracketed(answer.seen)}:${port}`)
          return { seen: answer.seen, helper: host, confirmed, results: answer.results }
        } finally {
          stream.destroy()
        }
      }
      return await withTimeout('a reachability check', TALK_TIMEOUT_MS, talk, { signal: this.#ends.signal, clock })
    } catch (error) {
      log.debug({ peer, err: error }, 'a peer did not help with the reachability check')
      return undefined
    } finally {
      for (const { nonce } of probes) this.#expected.delete(nonce)
      this.#askedAt.delete(source)
    }
  }

  #checkIn(delayMs: number): void {
    this.#clearTimer()
    this.#timer = this.#init.clock.setTimeout(() => {
      void this.check().then(() => {
        if (this.#unserve === undefined) return
        this.#checkIn(this.#isStale ? CHANGED_CHECK_MS : this.reach() === 'unknown' ? UNKNOWN_RECHECK_MS : RECHECK_MS)
      })
    }, delayMs)
    this.#timer.unref?.()
  }

  #clearTimer(): void {
    if (this.#timer !== undefined) this.#init.clock.clearTimeout(this.#timer)
    this.#timer = undefined
  }

  #tell(): void {
    const reach = this.reach()
    if (reach === this.#told) return
    this.#told = reach
    this.#init.log.info({ reach, reason: this.reason() }, 'reachability from outside')
    this.events.emit('changed', { reach })
  }
}

function nothingToReach(): Verdict {
  return { reach: 'private', confirmed: [], reason: 'this node listens on no port' }
}

function bracketed(host: string): string {
  return host.includes(':') ? `[${host}]` : host
}
