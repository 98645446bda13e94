import { Backoff } from '../../base/backoff.ts'
import type { Clock, TimerHandle } from '../../base/clock.ts'
import type { Counters } from '../../base/counters.ts'
import type { Logger } from '../../base/log.ts'
import { withTimeout } from '../../base/wait.ts'
import type { Network, Stream } from '../../net/index.ts'
import type { RolloutStanding } from '../deps.ts'
import type { Added, Ledger, Statement } from '../ledger.ts'
import type { ProgressBoard, ProgressUpdate } from '../progress.ts'
import { untilCurrent } from '../standing.ts'
import {
  CATCH_UP_MS,
  EXCHANGE_INTERVAL_MS,
  EXCHANGE_RETRIES,
  EXCHANGE_TIMEOUT_MS,
  MAX_STREAMS_PER_PEER,
  ROLLOUT_PROTOCOL,
} from './constants.ts'
import { answerExchange, type ExchangeDeps, leadExchange, receive } from './exchange.ts'
import { envelopeOf, type Message, statementMessage } from './messages.ts'
import { createOutbox, type Outbox } from './outbox.ts'

/** The part of the network that rollouts need. */
export type RolloutNetwork = Pick<Network, 'id' | 'open' | 'handle' | 'connections' | 'events'>

export interface GossipDeps {
  readonly network: RolloutNetwork
  readonly ledger: Ledger
  readonly board: ProgressBoard
  /** Whether a peer is one that carries rollouts; strangers get nothing and are not heard. */
  isMember(peer: string): boolean
  readonly clock: Clock
  readonly log: Logger
  readonly counters: Counters
  /** Whether a member is told of the rollouts of an app. */
  maySee(peer: string, app: string): boolean
  readonly standing: RolloutStanding
}

/** What is known of one connected peer. */
interface Peer {
  readonly outbox: Outbox
  readonly backoff: Backoff
  retries: number
  exchanging: boolean
  /** Another exchange was asked for while one ran. */
  again: boolean
  retry: TimerHandle | undefined
}

/**
 * Rollouts on the wire: pushes what is new to every connected member at once, passes on what is new from others, and
 * exchanges with each one on connect and every ten minutes, so that nothing stays missing.
 */
export class Gossip {
  readonly #deps: GossipDeps
  readonly #peers = new Map<string, Peer>()
  readonly #stopping = new AbortController()
  readonly #undo: (() => void)[] = []
  #interval: TimerHandle | undefined
  /** An exchange was completed since this node was last without any member. */
  #caughtUp = false
  /** Called when it is, and at the stop. */
  readonly #waiting = new Set<() => void>()

  constructor(deps: GossipDeps) {
    this.#deps = deps
  }

  /** Serves the protocol and speaks with everyone who is connected, now or later. */
  start(): void {
    const { network, ledger, board } = this.#deps
    this.#undo.push(
      network.handle(ROLLOUT_PROTOCOL, (stream) => this.#serve(stream), { maxStreamsPerPeer: MAX_STREAMS_PER_PEER }),
      network.events.on('connected', ({ peer }) => this.#join(peer)),
      network.events.on('disconnected', ({ peer }) => this.#leave(peer)),
      ledger.events.on('news', ({ kind, id, envelope }) => this.#push(id, statementMessage(kind, envelope))),
      board.events.on('update', (update) => this.#pushProgress(update)),
    )
    for (const { peer } of network.connections()) this.#join(peer)
    this.#schedule()
  }

  /** Ends all streams of the protocol that this side opened, and the serving. */
  stop(): void {
    this.#stopping.abort(new Error('the node is stopping'))
    for (const undo of this.#undo.splice(0)) undo()
    if (this.#interval !== undefined) this.#deps.clock.clearTimeout(this.#interval)
    for (const peer of [...this.#peers.keys()]) this.#leave(peer)
    for (const resolve of [...this.#waiting]) resolve()
  }

  /** Joins peers that became members while connected; call it when the roster has changed. */
  recheck(): void {
    for (const { peer } of this.#deps.network.connections()) this.#join(peer)
  }

  /** Resolves once an exchange was completed since this node was last alone; after 5 s at most, since nobody may answer. */
  async whenCaughtUp(): Promise<void> {
    if (this.#caughtUp || this.#stopping.signal.aborted) return
    await new Promise<void>((resolve) => {
      const finish = (): void => {
        this.#deps.clock.clearTimeout(timer)
        this.#waiting.delete(finish)
        resolve()
      }
      const timer = this.#deps.clock.setTimeout(finish, CATCH_UP_MS)
      this.#waiting.add(finish)
    })
  }

  #join(id: string): void {
    if (this.#stopping.signal.aborted || this.#peers.has(id) || !this.#deps.isMember(id)) return
    const outbox = createOutbox({
      network: this.#deps.network,
      peer: id,
      onLost: (error) => {
        this.#deps.log.debug({ peer: id, error }, 'a push of rollouts was lost')
        this.#retryExchange(id)
      },
    })
    const backoff = new Backoff({ maxMs: 4000 })
    this.#peers.set(id, { outbox, backoff, retries: 0, exchanging: false, again: false, retry: undefined })
    const { network, standing } = this.#deps
    // One side is enough; the other answers.
    if (network.id < id) void this.#exchange(id)
    // Until it is current a node answers nobody, and whoever asked in vain may have given up.
    else if (!standing.isCurrent()) void untilCurrent(standing, this.#stopping.signal).then(() => this.#exchange(id))
  }

  #leave(id: string): void {
    const peer = this.#peers.get(id)
    if (peer === undefined) return
    this.#peers.delete(id)
    if (this.#peers.size === 0) this.#caughtUp = false
    if (peer.retry !== undefined) this.#deps.clock.clearTimeout(peer.retry)
    peer.outbox.close()
  }

  async #exchange(id: string): Promise<void> {
    const peer = this.#peers.get(id)
    if (peer === undefined || !this.#deps.isMember(id)) return
    if (peer.exchanging) {
      peer.again = true
      return
    }
    peer.exchanging = true
    let stream: Stream | undefined
    try {
      await this.#withLimit(async (signal) => {
        stream = await this.#deps.network.open(id, ROLLOUT_PROTOCOL, { signal })
        await leadExchange(stream, this.#exchangeDeps(id), signal)
      })
      this.#noteCaughtUp()
      peer.backoff.reset()
      peer.retries = 0
    } catch (error) {
      stream?.destroy()
      this.#deps.log.debug({ peer: id, error }, 'an exchange of rollouts failed')
      this.#retryExchange(id)
    } finally {
      peer.exchanging = false
    }
    if (peer.again) {
      peer.again = false
      void this.#exchange(id)
    }
  }

  #retryExchange(id: string): void {
    const peer = this.#peers.get(id)
    if (peer === undefined || peer.retry !== undefined || peer.retries >= EXCHANGE_RETRIES) return
    peer.retries++
    peer.retry = this.#deps.clock.setTimeout(() => {
      peer.retry = undefined
      void this.#exchange(id)
    }, peer.backoff.next())
  }

  async #serve(stream: Stream): Promise<void> {
    const { peer } = stream
    if (!this.#deps.isMember(peer)) {
      stream.destroy()
      return
    }
    const { signal } = this.#stopping
    stream.on('error', () => undefined)
    try {
      for (;;) {
        const message = await receive(stream, signal)
        if (message === undefined) break
        if (!this.#deps.isMember(peer)) return void stream.destroy()
        if (message.type !== 'have') await this.#accept(message, peer)
        else return await this.#answer(stream, message)
      }
      stream.end()
    } catch (error) {
      this.#deps.log.debug({ peer, error }, 'a stream of rollouts ended early')
      stream.destroy()
    }
  }

  async #answer(stream: Stream, first: Extract<Message, { type: 'have' }>): Promise<void> {
    const deps = this.#exchangeDeps(stream.peer)
    await this.#withLimit((signal) => answerExchange(stream, { first, deps, signal }))
    this.#noteCaughtUp()
  }

  #exchangeDeps(peer: string): ExchangeDeps {
    const { ledger } = this.#deps
    return {
      ledger,
      peer,
      statementOf: (message) => {
        if (!isStatement(message)) return undefined
        try {
          return { kind: message.type, envelope: envelopeOf(message) }
        } catch (error) {
          this.#refuse(peer, message.type, error)
          return undefined
        }
      },
      acceptAll: (statements) => ledger.addAll(statements, ({ kind }, error) => this.#refuse(peer, kind, error)),
    }
  }

  #noteCaughtUp(): void {
    this.#caughtUp = true
    for (const resolve of [...this.#waiting]) resolve()
  }

  /** Takes in what a peer said. A statement that is refused is counted; the rest of the stream goes on. */
  async #accept(message: Message, from: string): Promise<void> {
    if (message.type === 'progress') return this.#acceptProgress(message, from)
    if (!isStatement(message)) return
    try {
      const added = await this.#add(message)
      // Its document came by another way and is not here yet: the sender has it.
      if (added.result === 'unknown') void this.#exchange(from)
    } catch (error) {
      this.#refuse(from, message.type, error)
    }
  }

  #refuse(from: string, kind: Statement['kind'], error: unknown): void {
    const code = (error as { code?: unknown }).code
    this.#deps.counters.add('rollout_refused', 1, { kind, code: String(code ?? 'internal') })
    this.#deps.log.warn({ peer: from, kind, error }, 'a rollout statement was refused')
  }

  #add(message: StatementMessage): Promise<Added> {
    const envelope = envelopeOf(message)
    if (message.type === 'document') return this.#deps.ledger.addDocument(envelope)
    if (message.type === 'evidence') return this.#deps.ledger.addEvidence(envelope)
    return this.#deps.ledger.addHalt(envelope)
  }

  #acceptProgress({ type: _type, ...update }: Extract<Message, { type: 'progress' }>, from: string): void {
    const rollout = this.#deps.ledger.get(update.document)
    // Only a node's own word counts, and only for showing and for patience.
    if (rollout === undefined || update.node !== from || !rollout.document.waves.flat().includes(from)) return
    this.#deps.ledger.noteProgress(update.document)
    this.#deps.board.set(update)
  }

  #push(rollout: string, message: Message): void {
    for (const { outbox } of this.#toldOf(rollout)) outbox.push(message)
  }

  #pushProgress(update: ProgressUpdate): void {
    if (update.node !== this.#deps.network.id) return
    for (const { outbox } of this.#toldOf(update.document)) outbox.progress(update)
  }

  /** Connected members that may see the rollout. */
  #toldOf(rollout: string): Peer[] {
    const { ledger, isMember, maySee } = this.#deps
    const app = ledger.get(rollout)?.document.app
    const peers = [...this.#peers].filter(([id]) => app !== undefined && isMember(id) && maySee(id, app))
    return peers.map(([, peer]) => peer)
  }

  #schedule(): void {
    this.#interval = this.#deps.clock.setTimeout(() => {
      for (const [id, peer] of this.#peers) {
        peer.retries = 0
        if (this.#deps.network.id < id) void this.#exchange(id)
      }
      this.#schedule()
    }, EXCHANGE_INTERVAL_MS)
    this.#interval.unref?.()
  }

  #withLimit(work: (signal: AbortSignal) => Promise<void>): Promise<void> {
    const { clock } = this.#deps
    return withTimeout('an exchange of rollouts', EXCHANGE_TIMEOUT_MS, work, { signal: this.#stopping.signal, clock })
  }
}

type StatementMessage = Extract<Message, { type: Statement['kind'] }>

function isStatement(message: Message): message is StatementMessage {
  return message.type === 'document' || message.type === 'evidence' || message.type === 'halt'
}
