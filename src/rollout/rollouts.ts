import type { Clock } from '../base/clock.ts'
import type { Counters } from '../base/counters.ts'
import type { TellDecision } from '../base/decisions.ts'
import type { Logger } from '../base/log.ts'
import { type Envelope, encodeEnvelope, type Signer } from '../identity/index.ts'
import { type AwayWatch, createAwayWatch } from './away.ts'
import type { RolloutEvent, RolloutPlan, RolloutRequest, RolloutRow, RolloutStatus } from './contract.ts'
import type {
  RolloutApps,
  RolloutDirectory,
  RolloutRights,
  RolloutStanding,
  RolloutTransfer,
  RolloutTrust,
  StoredPackage,
} from './deps.ts'
import { readDocument, signDocument } from './document.ts'
import { rolloutErrors } from './errors.ts'
import { type FollowDeps, followRollout, resultsOf } from './follow.ts'
import { readHalt, signHalt } from './halt.ts'
import { isOwnAffair, Ledger, type Rollout, type Statement } from './ledger.ts'
import { draftDocument, type PlanDeps, planRollout, type RolloutSettings } from './plan.ts'
import { createProgressBoard } from './progress.ts'
import { Gossip, type RolloutNetwork } from './protocol/gossip.ts'
import { phaseOf, type RolloutReport, reportOf } from './report.ts'
import { Runner } from './runner.ts'
import { untilCurrent } from './standing.ts'
import type { FaultPoint } from './turn.ts'

/** A node that has just started compares its roster in a moment. */
const CURRENT_WAIT_MS = 5000

export interface RolloutsInit<P extends StoredPackage = StoredPackage> {
  /** `rollouts/` of the home. */
  readonly folder: string
  /** The node's own key. */
  readonly signer: Signer
  /** Id of the network, from the roster. */
  networkId(): string
  readonly network: RolloutNetwork
  readonly directory: RolloutDirectory
  readonly rights: RolloutRights
  readonly standing: RolloutStanding
  /** Whether this node has installed a package before, by its digest: then it may do so again whatever the roster's age. */
  wasInstalled(digest: string): boolean
  readonly apps: RolloutApps
  readonly transfer: RolloutTransfer<P>
  readonly trust: RolloutTrust<P>
  /** What a node runs as an app, by its last summary; for plans only. */
  current: PlanDeps['current']
  readonly settings: RolloutSettings
  /** Hears how each turn ended: which app, by whom, and why not. */
  readonly tell?: TellDecision
  readonly clock: Clock
  readonly log: Logger
  readonly counters: Counters
  /** For tests: called at each named point of a turn. */
  readonly faultPoint?: (name: FaultPoint) => void | Promise<void>
}

export interface FollowOptions {
  readonly signal: AbortSignal
  /** How long to follow; default `settings.timeoutMs`. */
  readonly timeoutMs?: number | undefined
}

/** All rollouts of one node: what it knows, what it does about them, and what it says of them. */
export class Rollouts<P extends StoredPackage = StoredPackage> {
  readonly #init: RolloutsInit<P>
  readonly #ledger: Ledger
  readonly #board = createProgressBoard()
  readonly #runner: Runner<P>
  readonly #gossip: Gossip
  readonly #away: AwayWatch

  constructor(init: RolloutsInit<P>) {
    const { folder, signer, network, directory, rights, standing, clock, log } = init
    this.#init = init
    this.#ledger = new Ledger({
      folder,
      self: directory.self.id,
      network: () => init.networkId(),
      rights,
      clock,
      log,
    })
    this.#ledger.events.on('dropped', ({ id }) => this.#board.drop(id))
    this.#ledger.events.on('news', (statement) => this.#tellHalt(statement))
    const shared = { ledger: this.#ledger, board: this.#board, clock, log }
    this.#runner = new Runner<P>({
      ...init,
      ...shared,
      wasInstalled: (digest) => init.wasInstalled(digest),
      self: directory.self.id,
      signer,
      whenReady: async (signal) => {
        await untilCurrent(standing, signal)
        await this.#heardFromOthers()
      },
    })
    const isMember = (peer: string): boolean => !['relay', undefined].includes(directory.roleOf(peer))
    this.#gossip = new Gossip({
      ...shared,
      network,
      isMember,
      maySee: (peer, app) => rights.maySee(peer, app),
      standing,
      counters: init.counters,
    })
    this.#away = createAwayWatch({ directory, clock })
  }

  /** Reads what is on disk, goes on with what was begun, and speaks with connected members from now on. */
  async start(): Promise<void> {
    await this.#ledger.load()
    this.#runner.start()
    this.#gossip.start()
    void this.#heardFromOthers().then(() => this.#runner.release())
  }

  /** Cuts off running turns without evidence, so that the next start takes them up. */
  async stop(): Promise<void> {
    this.#gossip.stop()
    await this.#runner.stop()
    await this.#ledger.settle()
  }

  /** To be called when the roster has changed: members may have come, rights may have gone. */
  rosterChanged(): void {
    this.#gossip.recheck()
    for (const { id } of this.#ledger.all()) this.#runner.evaluate(id)
  }

  /** What a deploy would change. Fails with `rollout_empty`, `selector_invalid`, `invalid_value`, `node_not_found`. */
  plan(request: RolloutRequest): RolloutPlan {
    return planRollout(request, this.#planDeps())
  }

  /** A document for the request, signed by this node; nothing is begun. Fails as `plan`. */
  sign(request: RolloutRequest): { id: string; envelope: Envelope } {
    const { settings, clock, signer } = this.#init
    const context = { settings, network: this.#init.networkId(), nowMs: clock.now() }
    const { id, envelope } = signDocument(draftDocument(request, this.#planDeps(), context), signer)
    return { id, envelope }
  }

  /**
   * Begins a signed rollout and follows it; it goes on whatever becomes of the caller. Submitting one that is known
   * already only follows it. Fails before the first event with `rollout_invalid`, `rollout_forbidden`,
   * `rollout_conflict` (a later or equal generation is known), `rollout_expired`, `package_missing`, `not_current`.
   */
  async *submit(envelope: Envelope, options: FollowOptions): AsyncGenerator<RolloutEvent> {
    const { id, document } = readDocument(envelope)
    if (this.#ledger.get(id) === undefined) {
      this.#requireNewest(document.app, document.base)
      await this.#requirePackage(document.package)
      if (!isOwnAffair(document)) await this.#requireCurrent()
      await this.#ledger.addDocument(envelope)
    }
    yield* this.#follow(this.#ledger.resolve(id), options)
  }

  /** Follows a rollout by its id or a unique start. Fails with `rollout_not_found`, `rollout_ambiguous`. */
  async *watch(text: string, options: FollowOptions): AsyncGenerator<RolloutEvent> {
    yield* this.#follow(this.#ledger.resolve(text), options)
  }

  /** Fails with `rollout_not_found`, `rollout_ambiguous`. */
  status(text: string): RolloutStatus {
    const rollout = this.#ledger.resolve(text)
    const report = this.#report(rollout)
    const results = resultsOf(rollout, report, this.#followDeps())
    return {
      ...this.#row(rollout, report),
      generation: rollout.document.base + 1,
      settled: report.settled,
      ok: report.ok,
      reason: report.reason,
      waves: rollout.document.waves.map((wave) => wave.map((id) => this.#nameOf(id))),
      results: report.nodes.map(({ id }, index) => ({
        ...(results[index] as RolloutStatus['results'][number]),
        id,
        phase: phaseOf(rollout, id, this.#board),
      })),
    }
  }

  /** Newest first. */
  list(): RolloutRow[] {
    return this.#ledger.all().map((rollout) => this.#row(rollout, this.#report(rollout)))
  }

  /** A halt signed by this node; nothing is halted yet. */
  signHalt(id: string, { revert, reason }: { revert: boolean; reason?: string | undefined }): Envelope {
    const { directory, clock, signer } = this.#init
    const halt = { document: id, by: directory.self.id, revert, reason: reason ?? null, timeMs: clock.now() }
    return signHalt(halt, signer).envelope
  }

  /**
   * Halts a rollout. Fails with `rollout_not_found`, `rollout_forbidden`, `rollout_invalid`, and with
   * `rollout_finished` where it is over and nothing is to be reverted.
   */
  async halt(envelope: Envelope): Promise<RolloutStatus> {
    const { halt } = readHalt(envelope)
    const rollout = this.#ledger.resolve(halt.document)
    const { state } = this.#report(rollout)
    const over = state === 'done' || state === 'superseded' || state === 'expired'
    if (over && !(halt.revert && state === 'done')) {
      throw rolloutErrors.rollout_finished(`rollout ${this.#ledger.shortId(rollout.id)} is over: ${state}`, {
        hint: `To go back on the nodes that are done: warren rollout halt ${this.#ledger.shortId(rollout.id)} --revert`,
      })
    }
    await this.#ledger.addHalt(envelope)
    return this.status(rollout.id)
  }

  /** Resolves once others have said what was stopped meanwhile; at once where there are no others. */
  async #heardFromOthers(): Promise<void> {
    if (this.#init.directory.nodes().some(({ state }) => state !== 'self')) await this.#gossip.whenCaughtUp()
  }

  /** Who stops an app, or takes it back, on this node; a document is told with its turn. */
  #tellHalt({ kind, id, envelope }: Statement): void {
    if (kind !== 'halt') return
    const { by, revert, reason } = readHalt(envelope).halt
    this.#init.tell?.({
      what: 'rollout',
      outcome: 'done',
      by,
      subject: `halt of ${this.#ledger.get(id)?.document.app ?? 'an app'}`,
      ...(reason === null ? {} : { reason }),
      detail: { rollout: id, revert },
    })
  }

  #requireNewest(app: string, base: number): void {
    const known = this.#ledger.generationOf(app)
    if (known <= base) return
    const last = this.#ledger.all().find(({ document }) => document.app === app)
    throw rolloutErrors.rollout_conflict(
      `the rollout of ${app} was made from generation ${base}, but ${known} is known here`,
      {
        hint: `Look at the last one (warren rollout status ${last === undefined ? app : this.#ledger.shortId(last.id)}), then deploy again.`,
      },
    )
  }

  /** The targets would wait for this node, and its author would not know for what. */
  async #requireCurrent(): Promise<void> {
    const { standing, directory } = this.#init
    if (await standing.whenCurrent(CURRENT_WAIT_MS)) return
    throw rolloutErrors.not_current(`${directory.self.name} begins no rollout yet: ${standing.why()}`, {
      hint: 'See which nodes it reaches: warren nodes',
    })
  }

  async #requirePackage(wanted: { name: string; version: string; digest: string }): Promise<void> {
    const stored = await this.#init.transfer.get(wanted.digest)
    if (stored?.complete === true) return
    throw rolloutErrors.package_missing(
      `${wanted.name} ${wanted.version} (${wanted.digest.slice(0, 12)}…) is not stored on ${this.#init.directory.self.name}`,
      { hint: 'warren deploy FILE uploads it first.' },
    )
  }

  #follow(rollout: Rollout, { signal, timeoutMs }: FollowOptions): AsyncGenerator<RolloutEvent> {
    return followRollout(rollout, this.#followDeps(), {
      signal,
      timeoutMs: timeoutMs ?? this.#init.settings.timeoutMs,
    })
  }

  #followDeps(): FollowDeps {
    return {
      ledger: this.#ledger,
      board: this.#board,
      clock: this.#init.clock,
      report: (rollout) => this.#report(rollout),
      nameOf: (node) => this.#nameOf(node),
      versionAt: (node, app) => this.#init.current(node, app)?.version ?? null,
    }
  }

  #report(rollout: Rollout): RolloutReport {
    const { retries, retryDelayMs } = rollout.document
    return reportOf(rollout, {
      ledger: this.#ledger,
      board: this.#board,
      isAway: (node) => this.#away.isAway(node, retries * retryDelayMs),
    })
  }

  #row(rollout: Rollout, report: RolloutReport): RolloutRow {
    const { document } = rollout
    return {
      id: rollout.id,
      short: this.#ledger.shortId(rollout.id),
      app: document.app,
      package: document.package,
      state: report.state,
      author: this.#nameOf(document.author),
      created: new Date(document.createdMs).toISOString(),
      expires: new Date(document.notAfterMs).toISOString(),
      nodes: report.nodes.length,
      healthy: report.nodes.filter(({ state }) => state === 'healthy').length,
    }
  }

  #nameOf(id: string): string {
    return this.#init.directory.nameOf(id) ?? id
  }

  #planDeps(): PlanDeps {
    const { directory, current } = this.#init
    return { directory, current, generationOf: (app) => this.#ledger.generationOf(app) }
  }
}

/** An envelope as the API carries it. */
export function envelopeToJson(envelope: Envelope): { payload: string; payloadType: string; signatures: unknown[] } {
  return JSON.parse(encodeEnvelope(envelope).toString()) as ReturnType<typeof envelopeToJson>
}
