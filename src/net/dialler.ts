import { Backoff } from '../base/backoff.ts'
import type { Clock, TimerHandle } from '../base/clock.ts'
import type { Counters } from '../base/counters.ts'
import { toWarrenError } from '../base/errors.ts'
import type { Logger } from '../base/log.ts'
import { FIRST_RETRY_MS, MAX_RETRY_MS, MAX_WANTED_PEERS, MIN_RETRY_MS } from './constants.ts'

interface DiallerInit {
  clock: Clock
  log: Logger
  counters: Counters
  /** Connects to a peer id or multiaddr and gives the id of who answered. */
  connect: (target: string) => Promise<string>
  isConnected: (peer: string) => boolean
  /** False where there is no point in trying now; `retryNow` comes when that may have changed. */
  mayDial: (peer: string) => boolean
}

interface Wanted {
  /** Peer id, or the multiaddr of a peer whose id is not known yet. */
  readonly target: string
  peer: string | undefined
  readonly backoff: Backoff
  timer: TimerHandle | undefined
  dialling: boolean
  failures: number
}

/** Stays connected with the wanted peers: dials them, and again after 0.25, 1, 2, 4 … 60 s. */
export class Dialler {
  readonly #init: DiallerInit
  readonly #wanted = new Map<string, Wanted>()
  #running = false

  constructor(init: DiallerInit) {
    this.#init = init
  }

  start(): void {
    this.#running = true
    this.retryNow()
  }

  stop(): void {
    this.#running = false
    for (const wanted of this.#wanted.values()) this.#clear(wanted)
  }

  /** Wants a peer, or whoever answers at a multiaddr, and tries at once. Above the limit it does nothing. */
  want(target: string, peer: string | undefined): void {
    const known = this.#wanted.get(target)
    if (known === undefined && this.#wanted.size >= MAX_WANTED_PEERS) {
      this.#init.log.warn({ target, limit: MAX_WANTED_PEERS }, 'too many peers to stay connected with')
      return
    }
    const wanted = known ?? newWanted(target, peer)
    this.#wanted.set(target, wanted)
    this.#schedule(wanted, 0)
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
    for (const wanted of this.#wanted.values()) {
      if (wanted.peer !== peer) continue
      startOver(wanted)
      this.#schedule(wanted, this.#delayOf(wanted))
    }
  }

  #schedule(wanted: Wanted, delayMs: number): void {
    if (!this.#running || wanted.dialling) return
    this.#clear(wanted)
    wanted.timer = this.#init.clock.setTimeout(() => {
      wanted.timer = undefined
      void this.#attempt(wanted)
    }, delayMs)
    wanted.timer.unref?.()
  }

  async #attempt(wanted: Wanted): Promise<void> {
    const { connect, isConnected, mayDial, counters } = this.#init
    if (wanted.peer !== undefined && (isConnected(wanted.peer) || !mayDial(wanted.peer))) return
    wanted.dialling = true
    try {
      wanted.peer = await connect(wanted.target)
      startOver(wanted)
      counters.add('net_dials', 1, { outcome: 'connected' })
    } catch (thrown) {
      const error = toWarrenError(thrown)
      counters.add('net_dials', 1, { outcome: error.code })
      this.#report(wanted, error.code, error.message)
    } finally {
      wanted.dialling = false
    }
    if (this.#wanted.get(wanted.target) !== wanted) return
    if (wanted.peer === undefined || !isConnected(wanted.peer)) this.#schedule(wanted, this.#delayOf(wanted))
  }

  /** The first failure of a row is worth a line, the others only for who looks closer. */
  #report(wanted: Wanted, code: string, reason: string): void {
    const fields = { target: wanted.target, code, reason, attempt: wanted.failures }
    if (wanted.failures === 0) this.#init.log.info(fields, 'cannot connect to a peer yet')
    else this.#init.log.debug(fields, 'still cannot connect to a peer')
  }

  #delayOf(wanted: Wanted): number {
    wanted.failures += 1
    return wanted.failures === 1 ? FIRST_RETRY_MS : wanted.backoff.next()
  }

  #clear(wanted: Wanted): void {
    if (wanted.timer !== undefined) this.#init.clock.clearTimeout(wanted.timer)
    wanted.timer = undefined
  }
}

function newWanted(target: string, peer: string | undefined): Wanted {
  const backoff = new Backoff({ minMs: MIN_RETRY_MS, maxMs: MAX_RETRY_MS })
  return { target, peer, backoff, timer: undefined, dialling: false, failures: 0 }
}

function startOver(wanted: Wanted): void {
  wanted.failures = 0
  wanted.backoff.reset()
}
