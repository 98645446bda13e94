import type { Clock, TimerHandle } from '../base/clock.ts'
import type { Roster } from '../identity/index.ts'

/** Alone for so long, a node may have missed that somebody was removed. */
const AWAY_MS = 10 * 60_000
/** How often it is looked whether this machine slept, in which timers stand still and connections seem to live on. */
const BEAT_MS = 60_000
/** Members to compare rosters with, where no admin is among them: one alone may be as outdated as this node. */
const WITNESSES = 2
/** From so many nodes on; in a smaller network one member is half of the others. */
const NODES_FOR_TWO = 4

/** Whether this node may act on what its roster says: it was compared with others since this node was last away. */
export interface Standing {
  isCurrent(): boolean
  /** True as soon as it is current; false after `timeoutMs`, or when it stops. */
  whenCurrent(timeoutMs: number): Promise<boolean>
  /** An exchange of rosters with this peer has ended in order. */
  compared(peer: string): void
  connected(peer: string): void
  disconnected(peer: string): void
  /** Hears each time that it is no longer current, so that rosters are compared again. */
  onLost(listener: () => void): () => void
  /** A sentence for people: what it has, and what it still needs. */
  why(): string
  stop(): void
}

/** The part of a roster that standing is judged by. */
export type StandingRoster = Pick<Roster, 'state' | 'rightsOf' | 'onChange'> & {
  readonly signedHeads: { missing(): readonly unknown[] }
}

export interface StandingOptions {
  readonly roster: StandingRoster
  readonly selfId: string
  readonly clock: Clock
}

/**
 * The standing of this node. After a start, and after 10 minutes without a connection to a member, it is current once
 * it has compared rosters with an admin, or with two members (one, in a network of fewer than four nodes), and holds
 * every entry that a signed head names. An admin, and a node alone in its network, is current at once.
 */
export function createStanding(options: StandingOptions): Standing {
  return new NodeStanding(options)
}

class NodeStanding implements Standing {
  readonly #roster: StandingRoster
  readonly #selfId: string
  readonly #clock: Clock
  readonly #connected = new Set<string>()
  readonly #compared = new Set<string>()
  readonly #waiting = new Set<(current: boolean) => void>()
  readonly #lost = new Set<() => void>()
  readonly #stopListening: () => void
  #reached = false
  #wasCurrent = false
  #awayTimer: TimerHandle | undefined
  #beatTimer: TimerHandle | undefined
  #lastBeatMs: number

  constructor({ roster, selfId, clock }: StandingOptions) {
    this.#roster = roster
    this.#selfId = selfId
    this.#clock = clock
    this.#lastBeatMs = clock.now()
    this.#stopListening = roster.onChange(() => this.#review())
    this.#beat()
    this.#review()
  }

  isCurrent(): boolean {
    // A call may come before the timers of a machine that has just woken.
    if (this.#clock.now() - this.#lastBeatMs > AWAY_MS) this.#lose()
    // Nobody can tell an admin more than it has said itself; a network of one node has that one as its admin.
    return this.#reached || this.#roster.state.admins.has(this.#selfId)
  }

  whenCurrent(timeoutMs: number): Promise<boolean> {
    if (this.isCurrent()) return Promise.resolve(true)
    return new Promise((resolve) => {
      const finish = (current: boolean): void => {
        this.#clock.clearTimeout(timer)
        this.#waiting.delete(finish)
        resolve(current)
      }
      const timer = this.#clock.setTimeout(() => finish(false), timeoutMs)
      this.#waiting.add(finish)
    })
  }

  compared(peer: string): void {
    if (peer === this.#selfId) return
    this.#compared.add(peer)
    this.#review()
  }

  connected(peer: string): void {
    this.#connected.add(peer)
    this.#review()
  }

  disconnected(peer: string): void {
    this.#connected.delete(peer)
    this.#review()
  }

  onLost(listener: () => void): () => void {
    this.#lost.add(listener)
    return () => void this.#lost.delete(listener)
  }

  why(): string {
    if (this.#roster.state.admins.has(this.#selfId)) return 'this node is an admin'
    if (this.isCurrent()) return 'this node has compared its roster since it was last away'
    const witnesses = this.#witnesses().length
    const needed = this.#needed()
    const count = `this node was away and has compared its roster with ${witnesses} of ${needed} ${needed === 1 ? 'member' : 'members'}`
    const missing = this.#roster.signedHeads.missing().length
    if (missing === 0) return count
    return `${count}; entries that ${missing === 1 ? 'an admin has' : 'admins have'} signed are missing`
  }

  stop(): void {
    this.#stopListening()
    for (const timer of [this.#awayTimer, this.#beatTimer]) if (timer !== undefined) this.#clock.clearTimeout(timer)
    for (const finish of [...this.#waiting]) finish(false)
  }

  /** Draws the conclusions of whatever has changed. */
  #review(): void {
    const { state } = this.#roster
    const witnesses = this.#witnesses()
    const enough = witnesses.some((id) => state.admins.has(id)) || witnesses.length >= this.#needed()
    if (enough && this.#roster.signedHeads.missing().length === 0) this.#reached = true
    this.#watchForAway()
    const isCurrent = this.isCurrent()
    if (isCurrent) for (const finish of [...this.#waiting]) finish(true)
    const lost = this.#wasCurrent && !isCurrent
    this.#wasCurrent = isCurrent
    if (lost) for (const listener of [...this.#lost]) listener()
  }

  #watchForAway(): void {
    const isAway = ![...this.#connected].some((id) => this.#isMember(id))
    if (isAway && this.#awayTimer === undefined) {
      this.#awayTimer = this.#clock.setTimeout(() => this.#lose(), AWAY_MS)
      this.#awayTimer.unref?.()
    } else if (!isAway && this.#awayTimer !== undefined) {
      this.#clock.clearTimeout(this.#awayTimer)
      this.#awayTimer = undefined
    }
  }

  #lose(): void {
    if (this.#awayTimer !== undefined) this.#clock.clearTimeout(this.#awayTimer)
    this.#awayTimer = undefined
    this.#lastBeatMs = this.#clock.now()
    this.#reached = false
    this.#compared.clear()
    this.#review()
  }

  #beat(): void {
    const nowMs = this.#clock.now()
    if (nowMs - this.#lastBeatMs > AWAY_MS) this.#lose()
    this.#lastBeatMs = nowMs
    this.#beatTimer = this.#clock.setTimeout(() => this.#beat(), BEAT_MS)
    this.#beatTimer.unref?.()
  }

  /** A node with rights. A deploy token begins with nothing at each job, and lies about in the secrets of a CI. */
  #isMember(id: string): boolean {
    const isToken = this.#roster.state.nodes.get(id)?.kind === 'token'
    return id !== this.#selfId && !isToken && this.#roster.rightsOf(id) !== undefined
  }

  #witnesses(): string[] {
    return [...this.#compared].filter((id) => this.#isMember(id))
  }

  #needed(): number {
    const nodes = [...this.#roster.state.nodes.values()].filter(({ kind }) => kind === 'node')
    return nodes.length < NODES_FOR_TWO ? 1 : WITNESSES
  }
}
