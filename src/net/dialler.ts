import { Backoff } from '../base/backoff.ts'
import type { Clock, TimerHandle } from '../base/clock.ts'
import type { Counters } from '../base/counters.ts'
import { toWarrenError } from '../base/errors.ts'
import type { Logger } from '../base/log.ts'
import { FIRST_RETRY_MS, MAX_RETRY_MS, MAX_WANTED_PEERS, MIN_RETRY_MS } from './constants.ts'
import { type DialOutcome, DialQueue } from './dial-queue.ts'
import { LONE_MS, LONE_RETRY_MS } from './path/limits.ts'
import type { SignalOptions } from './types.ts'

/** Peers lost last, of which at least one is likely to be back first. */
const MAX_RECENT = 8

interface DiallerInit {
  clock: Clock
  log: Logger
  counters: Counters
  /** Connects to a peer id or multiaddr and gives the id of who answered. */
  connect: (target: string, options?: SignalOptions) => Promise<string>
  isConnected: (peer: string) => boolean
  /** False where there is no point in trying now; `retryNow` comes when that may have changed. */
  mayDial: (peer: string) => boolean
  /** True where no peer at all is connected. */
  isLone: () => boolean
  /** True for those that help most to find the others: given by config, and relays. */
  isImportant: (target: string) => boolean
  /** True for the relays of this node, over which it is reached itself. */
  isRelay: (target: string) => boolean
}

interface Wanted {
  /** Peer id, or the multiaddr of a peer whose id is not known yet. */
  readonly target: string
  peer: string | undefined
  readonly backoff: Backoff
  timer: TimerHandle | undefined
  dialling: boolean
  failures: number
  /** Since when it is wanted, or was lost. */
  missedSinceMs: number
}

/** Someone who needs a connection, and waits for a turn. */
interface Errand {
  readonly target: string
  run(): Promise<DialOutcome> | undefined
}

/**
 * Stays connected with the wanted peers: dials them, and again after 0.25, 1, 2, 4 … 60 s. With every connection lost,
 * those that help most are tried twice a second for five minutes; the first success has all the others tried at once.
 * A lost relay of this node is tried like that also where others are connected: over it this node is reached itself.
 */
export class Dialler {
  readonly #init: DiallerInit
  readonly #wanted = new Map<string, Wanted>()
  readonly #recent = new Set<string>()
  readonly #queue: DialQueue<Wanted | Errand>
  #running = false
  #loneSinceMs: number | undefined

  constructor(init: DiallerInit) {
    this.#init = init
    this.#queue = new DialQueue({
      clock: init.clock,
      attempt: (item) => ('run' in item ? item.run() : this.#attempt(item)),
      isUrgent: ({ target }) => init.isImportant(target) || init.isRelay(target),
    })
  }

  start(): void {
    this.#running = true
    this.#loneSinceMs = this.#init.clock.monotonicMs()
    this.retryNow()
  }

  stop(): void {
    this.#running = false
    this.#queue.stop()
    for (const wanted of this.#wanted.values()) this.#clear(wanted)
  }

  /** Wants a peer, or whoever answers at a multiaddr, and tries at once or after a while. Above the limit it does nothing. */
  want(target: string, peer: string | undefined, delayMs = 0): void {
    const known = this.#wanted.get(target)
    if (known === undefined && this.#wanted.size >= MAX_WANTED_PEERS) {
      this.#init.log.warn({ target, limit: MAX_WANTED_PEERS }, 'too many peers to stay connected with')
      return
    }
    const wanted = known ?? newWanted({ target, peer, missedSinceMs: this.#init.clock.monotonicMs() })
    this.#wanted.set(target, wanted)
    this.#schedule(wanted, delayMs)
  }

  /**
   * Connects once and in its turn, for what can wait and asks for many: a table that looks for contacts. Fails as the
   * connecting does, or with the signal's reason.
   */
  connect(target: string, { signal }: SignalOptions = {}): Promise<string> {
    return new Promise((resolve, reject) => {
      const giveUp = (): void => {
        this.#queue.remove(errand)
        reject(signal?.reason)
      }
      const errand: Errand = {
        target,
        run: () => {
          const connecting = this.#init.connect(target, { signal })
          connecting.then(resolve, reject).finally(() => signal?.removeEventListener('abort', giveUp))
          return connecting.then(() => 'connected', outcomeOf)
        },
      }
      if (signal?.aborted) return giveUp()
      signal?.addEventListener('abort', giveUp, { once: true })
      this.#queue.add(errand)
    })
  }

  isWanted(peer: string): boolean {
    return this.#wanted.has(peer) || [...this.#wanted.values()].some((wanted) => wanted.peer === peer)
  }

  /** Tries one at once or after a while, its delays starting over: something new is known of it. */
  retry(peer: string, delayMs = 0): void {
    for (const wanted of this.#wanted.values()) {
      if (wanted.peer !== peer) continue
      startOver(wanted)
      this.#schedule(wanted, delayMs)
    }
  }

  /** Call it when a peer is connected: after a time without any, the network is back. */
  onConnected(peer: string): void {
    this.#recent.delete(peer)
    if (this.#loneSinceMs === undefined) return
    this.#loneSinceMs = undefined
    this.retryNow()
  }

  unwant(peer: string): void {
    for (const wanted of [...this.#wanted.values()].filter((entry) => entry.peer === peer)) {
      this.#clear(wanted)
      this.#wanted.delete(wanted.target)
    }
  }

  /** Tries all that are not connected, at once and with their delays starting over. */
  retryNow(): void {
    for (const wanted of this.#wanted.values()) {
      startOver(wanted)
      this.#schedule(wanted, 0)
    }
  }

  onDisconnected(peer: string): void {
    this.#recent.delete(peer)
    this.#recent.add(peer)
    if (this.#recent.size > MAX_RECENT) this.#recent.delete(this.#recent.values().next().value as string)
    if (this.#init.isLone()) this.#loneSinceMs ??= this.#init.clock.monotonicMs()
    for (const wanted of this.#wanted.values()) {
      if (wanted.peer !== peer) continue
      wanted.missedSinceMs = this.#init.clock.monotonicMs()
      startOver(wanted)
      this.#schedule(wanted, this.#delayOf(wanted))
    }
  }

  #schedule(wanted: Wanted, delayMs: number): void {
    if (!this.#running || wanted.dialling) return
    this.#clear(wanted)
    const { clock } = this.#init
    const dueMs = clock.monotonicMs() + delayMs
    wanted.timer = clock.setTimeout(() => {
      wanted.timer = undefined
      this.#queue.noteLateness(clock.monotonicMs() - dueMs)
      this.#queue.add(wanted)
    }, delayMs)
    wanted.timer.unref?.()
  }

  /** Undefined where there is nothing to try; else the outcome. */
  #attempt(wanted: Wanted): Promise<DialOutcome> | undefined {
    const { isConnected, mayDial } = this.#init
    if (!this.#running || this.#wanted.get(wanted.target) !== wanted) return undefined
    if (wanted.peer !== undefined && (isConnected(wanted.peer) || !mayDial(wanted.peer))) return undefined
    wanted.dialling = true
    return this.#dial(wanted)
  }

  async #dial(wanted: Wanted): Promise<DialOutcome> {
    const { connect, isConnected, counters } = this.#init
    let outcome: DialOutcome = 'connected'
    try {
      wanted.peer = await connect(wanted.target)
      startOver(wanted)
      counters.add('net_dials', 1, { outcome: 'connected' })
    } catch (thrown) {
      const error = toWarrenError(thrown)
      counters.add('net_dials', 1, { outcome: error.code })
      this.#report(wanted, error.code, error.message)
      outcome = outcomeOf(error)
    } finally {
      wanted.dialling = false
    }
    const isStillWanted = this.#wanted.get(wanted.target) === wanted
    if (isStillWanted && (wanted.peer === undefined || !isConnected(wanted.peer))) {
      this.#schedule(wanted, this.#delayOf(wanted))
    }
    return outcome
  }

  /** The first failure of a row is worth a line, the others only for who looks closer. */
  #report(wanted: Wanted, code: string, reason: string): void {
    const fields = { target: wanted.target, code, reason, attempt: wanted.failures }
    if (wanted.failures === 0) this.#init.log.info(fields, 'cannot connect to a peer yet')
    else this.#init.log.debug(fields, 'still cannot connect to a peer')
  }

  #delayOf(wanted: Wanted): number {
    wanted.failures += 1
    const delayMs = wanted.failures === 1 ? FIRST_RETRY_MS : wanted.backoff.next()
    return this.#isUrgent(wanted) ? Math.min(delayMs, LONE_RETRY_MS) : delayMs
  }

  #isUrgent({ target, peer, missedSinceMs }: Wanted): boolean {
    const { clock, isImportant, isRelay } = this.#init
    const nowMs = clock.monotonicMs()
    if (isRelay(target) && nowMs - missedSinceMs <= LONE_MS) return true
    if (this.#loneSinceMs === undefined || nowMs - this.#loneSinceMs > LONE_MS) return false
    return isImportant(target) || (peer !== undefined && this.#recent.has(peer))
  }

  #clear(wanted: Wanted): void {
    this.#queue.remove(wanted)
    if (wanted.timer !== undefined) this.#init.clock.clearTimeout(wanted.timer)
    wanted.timer = undefined
  }
}

function outcomeOf(thrown: unknown): DialOutcome {
  return toWarrenError(thrown).code === 'peer_unreachable' ? 'unreachable' : 'failed'
}

function newWanted(known: Pick<Wanted, 'target' | 'peer' | 'missedSinceMs'>): Wanted {
  const backoff = new Backoff({ minMs: MIN_RETRY_MS, maxMs: MAX_RETRY_MS })
  return { ...known, backoff, timer: undefined, dialling: false, failures: 0 }
}

function startOver(wanted: Wanted): void {
  wanted.failures = 0
  wanted.backoff.reset()
}
