/** Which of the channels that came about becomes the connection: the first that proves to be the expected peer. */
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { Connection } from '@libp2p/interface'
import type { Clock, TimerHandle } from '../../base/clock.ts'
import type { ChannelUpgrader, ConnectionKind } from '../channel.ts'
import type { Direction } from '../types.ts'
import { CHANNEL_HEAD_START_MS, MAX_CHANNELS } from './limits.ts'
import type { How } from './messages.ts'

/** A connection, and which way led to it. */
export interface Win {
  readonly connection: Connection
  readonly how: How
}

/** A channel that came about. */
export interface Found {
  readonly channel: Duplex
  readonly how: How
  /** Multiaddr of the other side. */
  readonly address: string
  readonly kind: ConnectionKind
  /** Default: that of the contest. */
  readonly direction?: Direction
}

interface ContestInit {
  upgrader: ChannelUpgrader
  peer: string
  /** `outbound` for the side that wanted the connection, whoever opened the channel. */
  direction: Direction
  rttMs: number
  clock: Clock
  signal: AbortSignal
}

/**
 * The side that wanted the connection takes up one channel at a time, the next when one has failed or its head start is
 * over; the other side listens on all, and so learns from the first side which one counts. `close` ends the rest.
 */
export class Contest {
  readonly won: Promise<Win>
  readonly #init: ContestInit
  readonly #waiting: Found[] = []
  readonly #controller = new AbortController()
  #resolve: (win: Win) => void = () => undefined
  #count = 0
  #timer: TimerHandle | undefined
  #running = 0
  #winner: Duplex | undefined

  constructor(init: ContestInit) {
    this.#init = init
    this.won = new Promise((resolve) => {
      this.#resolve = resolve
    })
    if (init.signal.aborted) this.close()
    else init.signal.addEventListener('abort', this.#onAbort, { once: true })
  }

  readonly #onAbort = (): void => this.close()

  /** Whether this is the side that wanted the connection. */
  get isFirst(): boolean {
    return this.#init.direction === 'outbound'
  }

  /** Whether it is over, and channels are not wanted any more. */
  get closed(): boolean {
    return this.#controller.signal.aborted
  }

  /** Takes a channel over; one that is not wanted is destroyed. */
  enter(found: Found): void {
    // Whoever fails has been heard of by the upgrade; a channel that waits has nobody listening.
    found.channel.on('error', () => undefined)
    if (this.closed || ++this.#count > MAX_CHANNELS) {
      found.channel.destroy()
      return
    }
    ;(found.channel as Partial<Socket>).setNoDelay?.(true)
    if ((found.direction ?? this.#init.direction) === 'inbound') void this.#upgrade(found)
    else {
      this.#waiting.push(found)
      if (this.#running === 0) this.#next()
    }
  }

  /** Destroys every channel but the winner. Safe to call twice. */
  close(): void {
    this.#init.signal.removeEventListener('abort', this.#onAbort)
    this.#controller.abort()
    if (this.#timer !== undefined) this.#init.clock.clearTimeout(this.#timer)
    for (const { channel } of this.#waiting.splice(0)) channel.destroy()
  }

  #next(): void {
    const { clock, rttMs } = this.#init
    if (this.#timer !== undefined) clock.clearTimeout(this.#timer)
    this.#timer = undefined
    const found = this.#waiting.shift()
    if (found === undefined || this.closed) return
    if (found.channel.destroyed) {
      this.#next()
      return
    }
    this.#timer = clock.setTimeout(() => this.#next(), CHANNEL_HEAD_START_MS + 3 * rttMs)
    this.#running++
    void this.#upgrade(found).finally(() => {
      this.#running--
      if (!this.closed) this.#next()
    })
  }

  async #upgrade({ channel, how, address, kind, direction = this.#init.direction }: Found): Promise<void> {
    const { upgrader, peer } = this.#init
    const { signal } = this.#controller
    try {
      const connection = await upgrader.upgrade(channel, { direction, address, peer, kind, signal })
      // A second one that got through is one too many, unless the other side is the one that counts.
      if (this.#winner !== undefined && direction === 'outbound') return connection.abort(new Error('another one won'))
      this.#winner ??= channel
      this.#resolve({ connection, how })
    } catch {
      channel.destroy()
    }
  }
}
