import { Backoff } from '../base/backoff.ts'
import type { Clock, TimerHandle } from '../base/clock.ts'
import type { TellDecision } from '../base/decisions.ts'
import type { Logger } from '../base/log.ts'
import { SerialQueue } from '../base/wait.ts'
import type { Signer } from '../identity/index.ts'
import type {
  RolloutApps,
  RolloutRights,
  RolloutStanding,
  RolloutTransfer,
  RolloutTrust,
  StoredPackage,
} from './deps.ts'
import type { RolloutDocument } from './document.ts'
import { rolloutErrors } from './errors.ts'
import { signEvidence } from './evidence.ts'
import { isOwnAffair, type Ledger, type Rollout } from './ledger.ts'
import { type ProgressBoard, throttleProgress } from './progress.ts'
import { nextStep, type Step, stoppedBecause } from './state.ts'
import { describe, type FaultPoint, runTurn, type TurnResult } from './turn.ts'

export interface RunnerDeps<P extends StoredPackage = StoredPackage> {
  readonly self: string
  readonly signer: Signer
  readonly ledger: Ledger
  readonly board: ProgressBoard
  readonly apps: RolloutApps
  readonly transfer: RolloutTransfer<P>
  readonly trust: RolloutTrust<P>
  readonly rights: Pick<RolloutRights, 'isStale' | 'mayRun'>
  /** Whether this node has installed a package before, by its digest. */
  wasInstalled(digest: string): boolean
  readonly standing: Pick<RolloutStanding, 'isCurrent'>
  /** Resolves once this node is current and has heard of what was stopped meanwhile, and when the signal fires. */
  whenReady(signal: AbortSignal): Promise<void>
  /** Hears how each turn ended: which app, by whom, and why not. */
  readonly tell?: TellDecision | undefined
  readonly clock: Clock
  readonly log: Logger
  /** For tests: called at each named point of a turn. */
  readonly faultPoint?: ((name: FaultPoint) => void | Promise<void>) | undefined
}

/** Work that runs for one rollout on this node. */
interface Running {
  readonly controller: AbortController
  /** The app is being touched: the turn is finished, not cut off. */
  installing: boolean
  readonly ended: Promise<void>
}

/**
 * Does on this node what the rule in state.ts says, for every rollout in the ledger: waits, takes its turn, refuses,
 * reverts, and signs what came of it. Works for different apps run side by side, for one app one after another.
 */
export class Runner<P extends StoredPackage = StoredPackage> {
  readonly #deps: RunnerDeps<P>
  readonly #running = new Map<string, Running>()
  readonly #timers = new Map<string, TimerHandle>()
  readonly #backoffs = new Map<string, Backoff>()
  readonly #queues = new Map<string, SerialQueue>()
  /** Rollouts from before the start that are not to be touched yet. */
  readonly #resting = new Set<string>()
  readonly #stop = new AbortController()
  #unsubscribe: (() => void) | undefined
  #waitsToBeReady = false

  constructor(deps: RunnerDeps<P>) {
    this.#deps = deps
  }

  /**
   * Follows the ledger from now. What it holds already rests until `release`: it may have been stopped while this node
   * was away, and a halt outranks a start.
   */
  start(): void {
    for (const { id } of this.#deps.ledger.all()) this.#resting.add(id)
    this.#unsubscribe = this.#deps.ledger.events.on('changed', ({ id }) => this.#evaluateApp(id))
  }

  /** Takes up what has rested since the start, half-done turns among it. */
  release(): void {
    this.#resting.clear()
    for (const { id } of this.#deps.ledger.all()) this.evaluate(id)
  }

  /** Cuts off what runs, without evidence: the next start takes it up again. Returns when all has ended. */
  async stop(): Promise<void> {
    this.#stop.abort(new Error('the node is stopping'))
    this.#unsubscribe?.()
    for (const timer of this.#timers.values()) this.#deps.clock.clearTimeout(timer)
    this.#timers.clear()
    const running = [...this.#running.values()]
    for (const { controller } of running) controller.abort(this.#stop.signal.reason)
    await Promise.all(running.map(({ ended }) => ended))
  }

  /** Looks at one rollout again. Cheap; needed only when something outside the ledger has changed, such as the roster. */
  evaluate(id: string): void {
    const rollout = this.#deps.ledger.get(id)
    if (rollout === undefined || this.#stop.signal.aborted || this.#resting.has(id)) return
    const running = this.#running.get(id)
    if (running !== undefined) {
      this.#cutOff(rollout, running)
      return
    }
    this.#clearTimer(id)
    const step = nextStep(this.#deps.ledger.viewOf(rollout))
    if (step.kind === 'wait') this.#evaluateAfter(id, step.untilMs)
    else if (step.kind === 'start' && !this.#isReady(rollout)) void this.#restUntilReady(id)
    else if (step.kind !== 'none') this.#begin(rollout, step)
  }

  /** What a person at this node deploys to it alone is nobody else's affair. */
  #isReady({ document }: Rollout): boolean {
    const { standing, self } = this.#deps
    return standing.isCurrent() || (document.author === self && isOwnAffair(document))
  }

  /** Nothing is begun by a node that may not have heard of who was removed and what was stopped. */
  async #restUntilReady(id: string): Promise<void> {
    this.#resting.add(id)
    if (this.#waitsToBeReady) return
    this.#waitsToBeReady = true
    await this.#deps.whenReady(this.#stop.signal)
    this.#waitsToBeReady = false
    this.release()
  }

  /** A document changes what others of its app may do, so all of them are looked at. */
  #evaluateApp(id: string): void {
    const app = this.#deps.ledger.get(id)?.document.app
    for (const rollout of this.#deps.ledger.all()) {
      if (rollout.document.app === app) this.evaluate(rollout.id)
    }
  }

  #cutOff(rollout: Rollout, running: Running): void {
    if (running.installing) return
    const reason = this.#forbiddenBecause(rollout) ?? this.#rightLostBecause(rollout)
    if (reason !== undefined) running.controller.abort(new CutOff(reason))
  }

  #begin(rollout: Rollout, step: Extract<Step, { kind: 'start' | 'refuse' | 'revert' }>): void {
    const controller = new AbortController()
    const work = async (): Promise<void> => {
      const result = await this.#perform(rollout, step, controller.signal)
      await this.#record(rollout, result)
    }
    const ended = this.#queueOf(rollout.document.app)
      .run(work)
      .then(
        () => this.#backoffs.delete(rollout.id),
        (error: unknown) => this.#afterError(rollout, error),
      )
      .then(() => {
        this.#running.delete(rollout.id)
        if (!this.#timers.has(rollout.id)) this.evaluate(rollout.id)
      })
    this.#running.set(rollout.id, { controller, installing: step.kind === 'revert', ended })
  }

  async #perform(
    rollout: Rollout,
    step: Extract<Step, { kind: 'start' | 'refuse' | 'revert' }>,
    signal: AbortSignal,
  ): Promise<TurnResult> {
    if (step.kind === 'revert') return this.#revert(rollout, step.reason, signal)
    if (step.kind === 'refuse') return this.#refuse(rollout, step.reason)
    try {
      return await this.#takeTurn(rollout, signal)
    } catch (error) {
      if (signal.reason instanceof CutOff) return this.#refuse(rollout, signal.reason.message)
      throw error
    }
  }

  async #takeTurn(rollout: Rollout, signal: AbortSignal): Promise<TurnResult> {
    const { ledger, board, clock, self } = this.#deps
    const { id, document } = rollout
    signal.throwIfAborted()
    if (!rollout.begun) await ledger.markBegun(id)
    await this.#deps.faultPoint?.('begun')
    const report = throttleProgress(clock, (update) => {
      ledger.noteProgress(id)
      board.set(update)
    })
    let moved = 0
    return runTurn(this.#deps, {
      document,
      sources: () => this.#sourcesOf(rollout),
      requireAllowed: () => {
        if (!this.#deps.rights.mayRun(self)) throw rolloutErrors.rollout_forbidden('a deploy token runs no apps')
        ledger.requireRight(document.author, document)
        const reason = this.#forbiddenBecause(rollout)
        if (reason !== undefined) throw rolloutErrors.rollout_conflict(reason)
        this.#requireFresh(document)
      },
      onInstalling: () => {
        const running = this.#running.get(id)
        if (running !== undefined) running.installing = true
      },
      onProgress: (progress) => {
        moved = progress.moved ?? moved
        report({ document: id, node: self, ...progress, moved })
      },
      signal,
    })
  }

  /** A stale node may not have heard that a key was revoked or an author removed: it installs nothing new. */
  #requireFresh({ acceptStale, package: { name, version, digest } }: RolloutDocument): void {
    const { stale, reason } = this.#deps.rights.isStale()
    if (!stale || acceptStale || this.#deps.wasInstalled(digest)) return
    throw rolloutErrors.roster_stale(
      `${reason}; ${name} ${version} is new here and is not installed. Connect this node with an admin, or deploy with --accept-stale`,
    )
  }

  /** A turn that a crash cut off may have left the version running; then the truth is `healthy`, not `refused`. */
  async #refuse(rollout: Rollout, reason: string): Promise<TurnResult> {
    const active = await this.#deps.apps.active(rollout.document.app)
    const runs =
      rollout.begun &&
      active?.digest === rollout.document.package.digest &&
      active.generation === rollout.document.base + 1
    if (runs) return { outcome: 'healthy', version: active.version, reason: null }
    return { outcome: 'refused', version: active?.version ?? null, reason }
  }

  async #revert(rollout: Rollout, reason: string, signal: AbortSignal): Promise<TurnResult> {
    const { app, base } = rollout.document
    const { version } = await this.#deps.apps.revert(app, { generation: base + 1, signal })
    await this.#deps.faultPoint?.('reverted')
    return { outcome: 'reverted', version, reason }
  }

  async #record(rollout: Rollout, result: TurnResult): Promise<void> {
    const { self, signer, ledger, board, clock, log } = this.#deps
    const signed = signEvidence(
      { document: rollout.id, node: self, attempt: 1, timeMs: clock.now(), ...result },
      signer,
    )
    await ledger.addEvidence(signed.envelope)
    this.#tell(rollout, result)
    log.info({ rollout: ledger.shortId(rollout.id), app: rollout.document.app, ...result }, 'turn of a rollout ended')
    const { bytes, total, moved } = board.get(rollout.id, self) ?? { bytes: 0, total: 0, moved: 0 }
    board.set({ document: rollout.id, node: self, phase: 'done', bytes, total, moved })
    await this.#deps.faultPoint?.('recorded')
  }

  #tell({ id, document }: Rollout, { outcome, reason }: TurnResult): void {
    this.#deps.tell?.({
      what: 'rollout',
      outcome: outcome === 'healthy' || outcome === 'reverted' ? 'done' : outcome,
      by: document.author,
      subject: `${document.app}: ${document.package.name} ${document.package.version}`,
      ...(reason === null ? {} : { reason }),
      detail: { rollout: id, outcome, digest: document.package.digest },
    })
  }

  /** A full disk or the like: nothing was decided, so the same step is tried again, less and less often. */
  #afterError(rollout: Rollout, error: unknown): void {
    if (this.#stop.signal.aborted) return
    const backoff = this.#backoffs.get(rollout.id) ?? new Backoff()
    this.#backoffs.set(rollout.id, backoff)
    this.#deps.log.error({ rollout: rollout.id, error }, 'step of a rollout could not be done; it is tried again')
    this.#evaluateAfter(rollout.id, backoff.next())
  }

  #forbiddenBecause(rollout: Rollout): string | undefined {
    const view = this.#deps.ledger.viewOf(rollout)
    return view.superseded ? 'superseded by a later rollout of this app' : stoppedBecause(view)
  }

  #rightLostBecause({ document }: Rollout): string | undefined {
    try {
      this.#deps.ledger.requireRight(document.author, document)
      return undefined
    } catch (error) {
      return describe(error)
    }
  }

  /** The author first, then whom it names, then every node that has shown that it runs the version. */
  #sourcesOf(rollout: Rollout): string[] {
    const { author, sources } = rollout.document
    const healthy = [...rollout.evidence.values()]
      .filter(({ evidence }) => evidence.outcome === 'healthy')
      .map(({ evidence }) => evidence.node)
    return [...new Set([author, ...sources, ...healthy])].filter((node) => node !== this.#deps.self)
  }

  #evaluateAfter(id: string, delayMs: number): void {
    this.#clearTimer(id)
    const timer = this.#deps.clock.setTimeout(() => {
      this.#timers.delete(id)
      this.evaluate(id)
    }, delayMs)
    this.#timers.set(id, timer)
  }

  #clearTimer(id: string): void {
    const timer = this.#timers.get(id)
    if (timer !== undefined) this.#deps.clock.clearTimeout(timer)
    this.#timers.delete(id)
  }

  #queueOf(app: string): SerialQueue {
    const queue = this.#queues.get(app) ?? new SerialQueue()
    this.#queues.set(app, queue)
    return queue
  }
}

/** Why a turn was cut off before it touched the app. */
class CutOff extends Error {}
