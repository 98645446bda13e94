import { Backoff } from '../../base/backoff.ts'
import type { Clock, TimerHandle } from '../../base/clock.ts'
import type { Counters } from '../../base/counters.ts'
import type { Logger } from '../../base/log.ts'
import { withTimeout } from '../../base/wait.ts'
import type { Author, MergeResult, Roster, SignedHead, Statement } from '../../identity/index.ts'
import type { Network, Stream } from '../../net/index.ts'
import type { Standing } from '../standing.ts'
import { type HeadSigner, startHeadSigner } from './head-signer.ts'
import { converse, type Heard, type TakenHeads } from './roster-conversation.ts'
import { createNewsOutbox, NEWS_PROTOCOL, type News, type NewsOutbox, receiveNews } from './roster-news.ts'

const ROSTER_PROTOCOL = '/warren/roster/1'
/** A whole roster of 20,000 statements on a slow link. */
const EXCHANGE_TIMEOUT_MS = 60_000
/** Time for an exchange before a caller is answered with the rights known by then. */
const WAIT_TIMEOUT_MS = 5000
/** Repeated although nothing seems to have changed, so that what got lost on the way is found. */
const REPEAT_MS = 10 * 60_000
/** An exchange of each side, one more that begins while they end, and one to spare. */
const MAX_EXCHANGE_STREAMS = 4
/** A peer sends one message of news after the other; the rest is for those that a change of connections overlaps. */
const MAX_NEWS_STREAMS = 4
/** What came from others is told to so many: with four all of a fleet hear it, and twice that outlives lost ones. */
const FAN_OUT = 8
/** What its author tells everybody is passed on after that: most have it by then, and a busy machine takes it in first. */
const PASS_ON_AFTER_MS = 150
/** More statements than this are told by exchanges, which send only what is missing. */
const MAX_PASSED_ON = 256
/** News may overtake each other: what they lack usually comes within this time, and is asked for after it. */
const ASK_AFTER_MS = 1000

/** The rosters of connected nodes, kept equal. */
export interface RosterSync {
  /** Resolves once the rosters were compared on this connection, or after a while all the same. Never rejects. */
  whenExchanged(peer: string): Promise<void>
  stop(): void
}

export interface RosterSyncOptions {
  readonly network: Pick<Network, 'open' | 'handle' | 'events' | 'connections'>
  readonly roster: Roster
  readonly standing: Pick<Standing, 'connected' | 'disconnected' | 'compared' | 'onLost'>
  /** Undefined where this node is no admin, or its authority key is locked. */
  author(): Author | undefined
  readonly log: Logger
  readonly counters: Counters
  readonly clock: Clock
}

/**
 * Keeps the rosters of connected nodes equal: compared on every new connection and every 10 minutes. What this node
 * adds is told to every connected member at once, and what others bring to eight more. An admin signs its head every
 * 10 minutes and after its own changes.
 */
export function startRosterSync(options: RosterSyncOptions): RosterSync {
  return new Synchroniser(options)
}

/** What is known of one connected peer. */
interface Peer {
  readonly outbox: NewsOutbox
  readonly backoff: Backoff
  /** The first exchange on this connection, by whichever side, or the failure of it. */
  readonly compared: PromiseWithResolvers<void>
  exchanging: boolean
  /** Another exchange was asked for while one ran. */
  again: boolean
  later: TimerHandle | undefined
}

class Synchroniser implements RosterSync {
  readonly #options: RosterSyncOptions
  readonly #peers = new Map<string, Peer>()
  readonly #stopping = new AbortController()
  readonly #stops: (() => void)[]
  readonly #headSigner: HeadSigner
  #repeat: TimerHandle | undefined
  /** News of others, with those who have told them. */
  readonly #passing = { statements: new Map<Statement, string>(), heads: new Map<SignedHead, string>() }
  #passTimer: TimerHandle | undefined
  /** Some exchange with a member has ended in order. */
  #compared = false
  #confirmed = false

  constructor(options: RosterSyncOptions) {
    const { network, roster, standing, author, clock } = options
    const log = options.log.child({ folder: 'member' })
    this.#options = { ...options, log }
    this.#headSigner = startHeadSigner({
      roster,
      author,
      clock,
      log,
      onNews: (head) => this.#tellAll({ statements: [], heads: [head] }),
    })
    this.#stops = [
      network.handle(ROSTER_PROTOCOL, (stream) => this.#hold(stream), {
        maxStreamsPerPeer: MAX_EXCHANGE_STREAMS,
        always: true,
      }),
      network.handle(NEWS_PROTOCOL, (stream) => this.#receive(stream), {
        maxStreamsPerPeer: MAX_NEWS_STREAMS,
        always: true,
      }),
      network.events.on('connected', ({ peer }) => this.#join(peer)),
      network.events.on('disconnected', ({ peer }) => this.#leave(peer)),
      roster.onAdded((added, from) => from === 'own' && this.#tellOwn(added)),
      standing.onLost(() => this.#exchangeAll()),
    ]
    for (const { peer } of network.connections()) this.#join(peer)
    this.#schedule()
  }

  whenExchanged(peer: string): Promise<void> {
    return settledWithin(this.#peers.get(peer)?.compared.promise, WAIT_TIMEOUT_MS)
  }

  stop(): void {
    this.#stopping.abort(new Error('the node is stopping'))
    for (const stop of this.#stops) stop()
    this.#headSigner.stop()
    for (const timer of [this.#repeat, this.#passTimer]) {
      if (timer !== undefined) this.#options.clock.clearTimeout(timer)
    }
    for (const peer of [...this.#peers.keys()]) this.#leave(peer)
  }

  #join(id: string): void {
    if (this.#peers.has(id)) return
    const { network, clock, standing, log, counters } = this.#options
    const outbox = createNewsOutbox({
      network,
      peer: id,
      clock,
      onLost: (error) => {
        counters.add('member_news_lost')
        log.debug({ peer: id, err: error }, 'news of the roster may not have arrived')
        this.#exchangeSoon(id, ASK_AFTER_MS)
      },
    })
    const compared = Promise.withResolvers<void>()
    const backoff = new Backoff()
    this.#peers.set(id, { outbox, backoff, compared, exchanging: false, again: false, later: undefined })
    standing.connected(id)
    void this.#exchange(id)
  }

  #leave(id: string): void {
    const peer = this.#peers.get(id)
    if (peer === undefined) return
    this.#peers.delete(id)
    peer.outbox.close()
    peer.compared.resolve()
    if (peer.later !== undefined) this.#options.clock.clearTimeout(peer.later)
    this.#options.standing.disconnected(id)
  }

  #schedule(): void {
    this.#repeat = this.#options.clock.setTimeout(() => {
      this.#exchangeAll()
      this.#schedule()
    }, REPEAT_MS)
    this.#repeat.unref?.()
  }

  #exchangeAll(): void {
    for (const peer of this.#peers.keys()) void this.#exchange(peer)
  }

  async #exchange(id: string): Promise<void> {
    const peer = this.#peers.get(id)
    if (peer === undefined) return
    if (peer.exchanging) {
      peer.again = true
      return
    }
    peer.exchanging = true
    try {
      await this.#limited(async (signal) =>
        this.#converse(await this.#options.network.open(id, ROSTER_PROTOCOL, { signal }), signal),
      )
      peer.backoff.reset()
    } catch (error) {
      if (!this.#stopping.signal.aborted) {
        this.#options.log.debug({ peer: id, err: error }, 'exchange of rosters failed')
        this.#exchangeSoon(id, peer.backoff.next())
      }
    } finally {
      peer.exchanging = false
      peer.compared.resolve()
    }
    if (!peer.again) return
    peer.again = false
    void this.#exchange(id)
  }

  #exchangeSoon(id: string, delayMs: number): void {
    const peer = this.#peers.get(id)
    if (peer === undefined || peer.later !== undefined) return
    peer.later = this.#options.clock.setTimeout(() => {
      peer.later = undefined
      if (this.#peers.get(id) === peer) void this.#exchange(id)
    }, delayMs)
    peer.later.unref?.()
  }

  /** Serves an exchange, also of a peer that the roster does not know: it may be one of a newer admission. */
  async #hold(stream: Stream): Promise<void> {
    await this.#limited((signal) => this.#converse(stream, signal))
  }

  async #converse(stream: Stream, signal: AbortSignal): Promise<void> {
    signal.addEventListener('abort', () => stream.destroy(), { once: true })
    const { roster, standing } = this.#options
    const { peer } = stream
    await converse(stream, roster, this.#heardFrom(peer, 'exchange'))
    if (roster.rightsOf(peer) !== undefined) {
      standing.compared(peer)
      this.#compared = true
      await this.#confirmOwnLog()
    }
    this.#peers.get(peer)?.compared.resolve()
  }

  /** Not while signed heads, maybe its own, name entries that are missing: to sign without them would fork its log. */
  async #confirmOwnLog(): Promise<void> {
    const { roster, log } = this.#options
    if (this.#confirmed || !this.#compared || roster.signedHeads.missing().length > 0) return
    this.#confirmed = true
    try {
      await roster.confirmOwnLog()
      this.#headSigner.signSoon()
    } catch (error) {
      this.#confirmed = false
      log.warn({ err: error }, 'the own log of this node could not be confirmed')
    }
  }

  async #receive(stream: Stream): Promise<void> {
    const { roster, clock } = this.#options
    const forksBefore = countForks(roster)
    const { peer } = stream
    let waiting = 0
    const heard = this.#heardFrom(peer, 'news')
    const merged = (result: MergeResult): void => {
      waiting = result.waiting
      heard.merged(result)
    }
    await receiveNews(stream, { roster, heard: { ...heard, merged }, clock })
    await this.#confirmOwnLog()
    if (waiting > 0 || countForks(roster) > forksBefore || roster.signedHeads.missing().length > 0) {
      this.#exchangeSoon(peer, ASK_AFTER_MS)
    }
  }

  #limited(work: (signal: AbortSignal) => Promise<void>): Promise<void> {
    const { clock } = this.#options
    return withTimeout('the exchange of rosters', EXCHANGE_TIMEOUT_MS, work, { signal: this.#stopping.signal, clock })
  }

  /** Counts what a peer brings and passes on what is new; heads of an exchange go round with the exchanges of others. */
  #heardFrom(peer: string, way: 'news' | 'exchange'): Heard {
    const { counters, log } = this.#options
    return {
      merged: ({ added, rejected }) => {
        counters.add('member_statements_added', added.length)
        if (rejected.length > 0) {
          counters.add('member_statements_rejected', rejected.length)
          log.warn(
            { peer, rejected: rejected.length, reason: rejected[0]?.reason },
            'statements of a peer were refused',
          )
        }
        if (added.length > 0) this.#passOn({ statements: added, heads: [] }, peer)
      },
      heads: ({ added, rejected }: TakenHeads) => {
        if (rejected.length > 0) counters.add('member_signed_heads_rejected', rejected.length)
        if (added.length > 0 && way === 'news') this.#passOn({ statements: [], heads: added }, peer)
      },
    }
  }

  #tellOwn(statements: readonly Statement[]): void {
    this.#tellAll({ statements, heads: [] as readonly SignedHead[] })
    this.#headSigner.signSoon()
  }

  #tellAll(news: News): void {
    for (const id of this.#members()) this.#peers.get(id)?.outbox.push(news)
  }

  #passOn({ statements, heads }: News, from: string): void {
    for (const statement of statements) this.#passing.statements.set(statement, from)
    for (const head of heads) this.#passing.heads.set(head, from)
    if (this.#passTimer !== undefined || this.#stopping.signal.aborted) return
    this.#passTimer = this.#options.clock.setTimeout(() => this.#passNow(), PASS_ON_AFTER_MS)
    this.#passTimer.unref?.()
  }

  #passNow(): void {
    this.#passTimer = undefined
    const { statements, heads } = this.#passing
    for (const id of shuffle(this.#members()).slice(0, FAN_OUT)) {
      const others = <T>(map: Map<T, string>): T[] => [...map].filter(([, from]) => from !== id).map(([item]) => item)
      const news = { statements: others(statements), heads: others(heads) }
      if (news.statements.length > MAX_PASSED_ON) this.#exchangeSoon(id, 0)
      else if (news.statements.length + news.heads.length > 0) this.#peers.get(id)?.outbox.push(news)
    }
    statements.clear()
    heads.clear()
  }

  #members(): string[] {
    return [...this.#peers.keys()].filter((id) => this.#options.roster.rightsOf(id) !== undefined)
  }
}

function countForks({ state }: Roster): number {
  return state.alarms.filter(({ code }) => code === 'log_fork' || code === 'admins_fork').length
}

function shuffle<T>(items: T[]): T[] {
  for (let last = items.length - 1; last > 0; last--) {
    const other = Math.floor(Math.random() * (last + 1))
    ;[items[last], items[other]] = [items[other] as T, items[last] as T]
  }
  return items
}

/** Resolves with the work, or when the time is over. */
async function settledWithin(work: Promise<void> | undefined, timeoutMs: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const over = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, timeoutMs)
  })
  await Promise.race([work, over])
  clearTimeout(timer)
}
