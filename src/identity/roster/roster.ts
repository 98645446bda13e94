import { setImmediate } from 'node:timers/promises'
import type { Role } from '../../api/contract.ts'
import type { Rights } from '../../api/index.ts'
import { type Clock, systemClock } from '../../base/clock.ts'
import { EventBus } from '../../base/events.ts'
import { type Logger, silentLogger } from '../../base/log.ts'
import { SerialQueue } from '../../base/wait.ts'
import { keyIdOf, type Signer } from '../ed25519.ts'
import { type Envelope, encodeEnvelope, sealEnvelope } from '../envelope.ts'
import { identityErrors } from '../errors.ts'
import type { AdminSet } from './admin-sets.ts'
import { checkpointBodies } from './checkpoint-draft.ts'
import { ROOT_AUTHOR, ROSTER_PAYLOAD_TYPE } from './constants.ts'
import { checkRootChain, draftPayloads, type StatementDraft } from './draft.ts'
import { type Evaluation, evaluate, type Head } from './evaluate.ts'
import { headsToSay, missingHeads, statementsAfter } from './exchange.ts'
import { checkNetwork, type Genesis, openGenesis } from './genesis.ts'
import { type Intake, type Rejected, StatementIntake } from './intake.ts'
import { RosterLog } from './log-file.ts'
import { OwnLog } from './own-log.ts'
import { SignedHeads } from './signed-head.ts'
import { type RosterState, rightsOf } from './state.ts'
import { decodeStatementEnvelope, type Statement } from './statement.ts'
import type { Place, Verified } from './statement-set.ts'
import { type NewestStatements, nextRevision } from './subjects.ts'

/** Statements taken in one go between which the event loop gets its turn: about 10 ms of verifying. */
const SLICE = 64

export interface RosterOptions {
  /** The home's `roster/`. */
  readonly folder: string
  readonly clock?: Clock
  readonly log?: Logger
  /** Refuse any other network with `wrong_network`. */
  readonly networkId?: string
}

/** What became of the statements given to `merge`. */
export interface MergeResult {
  /** New here, in the order taken; pass them on. */
  readonly added: readonly Statement[]
  readonly rejected: readonly Rejected[]
  /** How many wait, in memory, for an entry or an admin that they follow. */
  readonly waiting: number
}

export type { StatementDraft } from './draft.ts'

/** Where statements came from: made on this machine, or given by a peer. */
export type StatementOrigin = 'own' | 'peer'

/**
 * The signed record of who is in the network and which keys count. A set of statements that merges in any order to the
 * same state, kept in a file. One program at a time may write a folder. Nothing to close.
 */
export class Roster {
  readonly genesis: Genesis
  readonly #file: RosterLog
  readonly #clock: Clock
  readonly #log: Logger
  readonly #intake: StatementIntake
  readonly #ownLog: OwnLog
  readonly #queue = new SerialQueue()
  readonly #events: EventBus<{ added: [readonly Statement[], StatementOrigin]; changed: RosterState }>
  #evaluation: Evaluation
  #signedHeads: SignedHeads | undefined

  private constructor(
    genesis: Genesis,
    { file, ownLog }: { file: RosterLog; ownLog: OwnLog },
    { clock = systemClock, log = silentLogger }: RosterOptions,
  ) {
    this.genesis = genesis
    this.#file = file
    this.#ownLog = ownLog
    this.#clock = clock
    this.#log = log
    this.#events = new EventBus((error) => log.error({ err: error }, 'a listener of the roster failed'))
    this.#intake = new StatementIntake(genesis)
    this.#evaluation = evaluate(genesis, this.#intake.statements)
  }

  /** Starts a roster with its genesis. Fails with `roster_exists`, `statement_invalid` or `wrong_network`. */
  static async create(options: RosterOptions & { genesis: Genesis | Envelope }): Promise<Roster> {
    const genesis = 'envelope' in options.genesis ? options.genesis : openGenesis(options.genesis)
    checkNetwork(genesis, options)
    const file = await RosterLog.create(options.folder, encodeEnvelope(genesis.envelope))
    const ownLog = await OwnLog.open(options.folder, options.log ?? silentLogger)
    await ownLog.confirm([])
    const roster = new Roster(genesis, { file, ownLog }, options)
    await roster.#openSignedHeads(options.folder)
    return roster
  }

  /**
   * Opens a folder's roster and verifies every statement in it again. A line that a crash left unfinished at the end is
   * ignored and logged. Fails with `roster_missing`, `wrong_network`, or `roster_damaged` after setting the file aside;
   * `readOnly`, for a look while a daemon may be running, leaves it where it is.
   */
  static async open(options: RosterOptions & { readOnly?: boolean }): Promise<Roster> {
    const how = { clock: options.clock ?? systemClock, readOnly: options.readOnly ?? false }
    const { log: file, lines } = await RosterLog.open(options.folder, how)
    let genesis: Genesis
    try {
      genesis = openGenesis(decodeStatementEnvelope(lines[0] as Buffer))
    } catch {
      return file.giveUp('its first line is not the genesis of a network', how)
    }
    checkNetwork(genesis, options)
    const ownLog = await OwnLog.open(options.folder, options.log ?? silentLogger)
    const roster = new Roster(genesis, { file, ownLog }, options)
    const { rejected, waiting } = await roster.#take(lines.slice(1), { ownFile: true })
    const [first] = rejected
    if (first !== undefined) return file.giveUp(`a statement in it is refused, ${first.reason}: ${first.message}`, how)
    if (waiting > 0) return file.giveUp('statements are missing from its middle', how)
    if (file.tornBytes > 0) {
      roster.#log.warn(
        { file: file.path, bytes: file.tornBytes },
        'an unfinished line at the end of the roster is ignored',
      )
    }
    roster.#evaluation = evaluate(genesis, roster.#intake.statements)
    await roster.#openSignedHeads(options.folder)
    return roster
  }

  get networkId(): string {
    return this.genesis.networkId
  }
  /** The state now. Replaced at each change, never changed in place. */
  get state(): RosterState {
    return this.#evaluation.state
  }
  /** The admin set that holds, with those before it. An admin that was removed since may still be in it. */
  get adminSet(): AdminSet {
    return this.#evaluation.current
  }
  /** What admins said last of what they know, and when. */
  get signedHeads(): SignedHeads {
    return this.#signedHeads as SignedHeads
  }
  /** Equal on two nodes exactly where their state is. */
  digest(): string {
    return this.#evaluation.digest
  }
  /** What to say in an exchange: the last accepted entry of every author's log. */
  heads(): readonly Head[] {
    return headsToSay(this.#view)
  }
  /** How many statements are held. */
  get size(): number {
    return this.#intake.statements.size
  }

  /** Milliseconds since 1970 that are surely over: by the local clock, or by what an admin signed, whichever is later. */
  latestTimeMs(): number {
    return Math.max(this.#clock.now(), this.state.newestTimeMs, this.signedHeads.newestMs() ?? 0)
  }
  /** What a node may do now: see `rightsOf`. */
  rightsOf(id: string): Rights | undefined {
    return rightsOf(this.state, id, this.latestTimeMs())
  }
  /** The role of a node now, without its narrowed grants. */
  roleOf(id: string): Role | undefined {
    return this.rightsOf(id)?.role
  }
  /** The last entry of an author's log that is accepted, or the one at `seq`; with `seq` 0 the place before the first. */
  placeOf(author: string, seq?: number): Place | undefined {
    if (seq === 0) return { seq: 0, hash: this.networkId }
    const head = this.#evaluation.heads.find((known) => known.author === author)
    if (seq === undefined || seq === head?.seq) return head && { seq: head.seq, hash: head.hash }
    const found = [...this.#evaluation.accepted].find(
      (statement) => statement.author === author && statement.seq === seq,
    )
    if (found !== undefined) return { seq, hash: found.hash }
    // Of what a checkpoint covers the place is enough.
    return this.#intake.statements.isCovered({ author, seq }) ? { seq, hash: this.networkId } : undefined
  }
  /** True where any statement that is held speaks of this node, also one that does not count. */
  isNamed(id: string): boolean {
    const { statements } = this.#intake
    const isOf = ({ known }: Statement): boolean => known?.type === 'node' && known.body.id === id
    const isIn = ({ admins }: AdminSet): boolean => admins.has(id)
    return statements.ofType('node').some(isOf) || [...this.#evaluation.sets.values()].some(isIn)
  }
  /** What a statement needs to be the newest of its subject: a node's id, a key's id, a policy's name, or none. */
  nextRevision(of: keyof NewestStatements, subject = ''): { revision: number; replaces?: string } {
    return nextRevision(this.#evaluation.newest[of].get(subject))
  }

  /** Hears each new state, after it was flushed to disk, until the returned function is called. */
  onChange(listener: (state: RosterState) => void): () => void {
    return this.#events.on('changed', listener)
  }
  /** Hears what was added, after it was flushed and before `onChange` is, until the returned function is called. */
  onAdded(listener: (added: readonly Statement[], from: StatementOrigin) => void): () => void {
    return this.#events.on('added', ([added, from]) => listener(added, from))
  }

  /**
   * What a node with these heads may lack, in an order in which it can be merged. Where logs have forked, two rounds
   * of asking each other may be needed; equal digests end it. Heads come from outside: they choose, nothing more.
   */
  entriesAfter(heads: readonly Head[]): Envelope[] {
    return statementsAfter(heads, this.#view).map(({ envelope }) => envelope)
  }

  /**
   * Takes statements from anywhere, in any order, as envelopes or their JSON bytes. Nothing hostile throws: what is
   * refused is in `rejected` with its reason; what a checkpoint did away with is dropped without a word. Resolves when
   * what was new is flushed; fails, having changed nothing, where it cannot be stored (`disk_full`).
   */
  merge(statements: readonly (Envelope | Uint8Array)[], from: StatementOrigin = 'peer'): Promise<MergeResult> {
    return this.#queue.run(async () => {
      const taken = await this.#take(statements)
      await this.#commit(taken, from)
      return { added: taken.added, rejected: taken.rejected, waiting: taken.waiting }
    })
  }

  /**
   * Signs a statement as the next entry of the author's own log. It is flushed to disk before it is returned, so that
   * no seq is ever used twice. Fails with `not_admin`, `roster_head_unconfirmed`, `statement_invalid`,
   * `statement_too_large`, `roster_log_frozen`, `roster_full` or `disk_full`.
   */
  append(by: { signer: Signer; authorId: string }, draft: StatementDraft): Promise<Statement> {
    return this.#queue.run(async () => {
      this.#checkAuthor(by)
      const [payload] = this.#nextPayloads({ author: by.authorId, key: by.signer.keyId }, [draft])
      const envelope = sealEnvelope({
        payloadType: ROSTER_PAYLOAD_TYPE,
        payload: payload as Buffer,
        signers: [by.signer],
      })
      const taken = await this.#take([envelope])
      const [statement] = taken.added
      if (statement === undefined) {
        const [refused] = taken.rejected
        if (refused?.reason === 'roster_full') {
          throw identityErrors.roster_full(refused.message, {
            hint: 'Let the root sign a checkpoint: warren trust checkpoint',
          })
        }
        throw identityErrors.statement_invalid(`a "${draft.type}" statement is refused: ${refused?.message}`)
      }
      await this.#commit(taken, 'own')
      await this.#ownLog.written(by.authorId, { seq: statement.seq, hash: statement.hash })
      return statement
    })
  }

  /**
   * False where this home's file is a copy or a restored backup, in which later entries of the author's log may be
   * missing: to go on from there would sign two entries at one place. A home in which the author wrote nothing has
   * nothing to miss.
   */
  ownLogConfirmed(authorId: string): boolean {
    const { statements } = this.#intake
    return this.#ownLog.isConfirmed(authorId, {
      hasEntries: this.#evaluation.heads.some(({ author }) => author === authorId),
      holds: (head) => statements.get(head.hash) !== undefined || statements.isCovered(head),
    })
  }

  /** Says that this file holds all of its author's log: after an exchange with a peer, or on a person's word. */
  confirmOwnLog(): Promise<void> {
    return this.#queue.run(() => this.#ownLog.confirm(this.#evaluation.heads))
  }

  /**
   * The payloads of the root's next statements, to be signed elsewhere and given to `submitRoot`. Fails with
   * `statement_invalid`, `statement_too_large` or `roster_log_frozen`.
   */
  draftRoot(drafts: readonly StatementDraft[]): Buffer[] {
    this.#checkNotFrozen(ROOT_AUTHOR)
    return this.#nextPayloads({ author: ROOT_AUTHOR, key: keyIdOf(this.state.root) }, drafts)
  }

  /** The parts of a checkpoint that keeps all that still matters, for `draftRoot`. Fails with `roster_incomplete`. */
  checkpointDrafts(): StatementDraft[] {
    const bodies = checkpointBodies({ ...this.#view, genesis: this.genesis, nowMs: this.latestTimeMs() })
    return bodies.map((body) => ({ type: 'checkpoint', body }))
  }

  /**
   * Takes statements that the root signed, all or none: the next ones of its log, as `draftRoot` gave them. Fails with
   * `statement_invalid`, where they are not, or another key signed them, or as `merge` does.
   */
  submitRoot(envelopes: readonly Envelope[]): Promise<readonly Statement[]> {
    return this.#queue.run(async () => {
      this.#checkNotFrozen(ROOT_AUTHOR)
      checkRootChain(envelopes, this.placeOf(ROOT_AUTHOR) ?? { seq: 0, hash: this.networkId })
      const taken = await this.#take(envelopes)
      if (taken.added.length !== envelopes.length) {
        taken.takeBack()
        const why = taken.rejected[0]?.message ?? 'they are known already, or do not follow what is here'
        throw identityErrors.statement_invalid(`statements of the root are refused: ${why}`)
      }
      await this.#commit(taken, 'own')
      return taken.added
    })
  }

  get #view() {
    return { statements: this.#intake.statements, evaluation: this.#evaluation }
  }

  async #openSignedHeads(folder: string): Promise<void> {
    this.#signedHeads = await SignedHeads.open({
      networkId: this.networkId,
      folder,
      clock: this.#clock,
      log: this.#log,
      state: () => this.state,
      digest: () => this.digest(),
      heads: () => this.heads(),
      missing: (heads) => missingHeads(heads, this.#view),
    })
  }

  #checkAuthor({ signer, authorId }: { signer: Signer; authorId: string }): void {
    const key = authorId === ROOT_AUTHOR ? keyIdOf(this.state.root) : this.state.admins.get(authorId)?.keyId
    if (key !== signer.keyId) {
      throw identityErrors.not_admin(`${authorId} is not an admin of this network with that authority key`, {
        hint: `Run it on an admin: ${this.#adminNames()}`,
      })
    }
    this.#checkNotFrozen(authorId)
    if (authorId !== ROOT_AUTHOR && !this.ownLogConfirmed(authorId)) {
      throw identityErrors.roster_head_unconfirmed(
        'the roster of this node was copied or restored: what this node signed later may be missing in it',
        { hint: 'Let this node connect to a peer, or, if there is none: warren trust accept-head' },
      )
    }
  }

  #checkNotFrozen(author: string): void {
    if (!this.#evaluation.frozen.has(author)) return
    throw identityErrors.roster_log_frozen(`the log of ${author} holds two different statements at one place`, {
      hint:
        author === ROOT_AUTHOR
          ? 'Nothing settles that: begin a new network, and let the nodes join it.'
          : 'Let another admin remove this one from the admin set and add it again under a new identity.',
    })
  }

  #adminNames(): string {
    const { admins, nodes } = this.state
    return [...admins.keys()].map((id) => nodes.get(id)?.name ?? id).join(', ') || 'none is left'
  }

  #nextPayloads(by: { author: string; key: string }, drafts: readonly StatementDraft[]): Buffer[] {
    const head = this.placeOf(by.author) ?? { seq: 0, hash: this.networkId }
    // Times of one log only go forward, whatever the clock does.
    const timeMs = Math.max(this.#clock.now(), this.#intake.statements.get(head.hash)?.timeMs ?? 0)
    return draftPayloads(drafts, { network: this.networkId, ...by, head, timeMs })
  }

  async #take(statements: readonly (Envelope | Uint8Array)[], options: { ownFile?: boolean } = {}): Promise<Intake> {
    const intake = this.#intake.begin(this.#evaluation, options)
    let steps = 0
    for (const statement of statements) {
      intake.take(statement)
      // Also what cannot be read costs time.
      do if (++steps % SLICE === 0) await setImmediate()
      while (intake.step())
    }
    return intake.finish()
  }

  async #commit(taken: Intake, from: StatementOrigin): Promise<void> {
    const { added, pruned } = taken
    if (added.length === 0) return
    const evaluation = evaluate(this.genesis, this.#intake.statements)
    try {
      if (pruned) await this.#rewrite(evaluation)
      else await this.#file.append(added.map(({ envelope }) => encodeEnvelope(envelope)))
    } catch (error) {
      taken.takeBack()
      throw error
    }
    const known = new Set(this.state.alarms.map(({ message }) => message))
    this.#evaluation = evaluation
    if (pruned) await this.#ownLog.replaced()
    for (const { code, subject, message } of this.state.alarms) {
      if (!known.has(message)) this.#log.warn({ alarm: code, subject }, message)
    }
    this.#events.emit('added', [added, from])
    this.#events.emit('changed', this.state)
  }

  /** Writes what is left after a checkpoint, in an order in which it opens. */
  async #rewrite(evaluation: Evaluation): Promise<void> {
    const statements: readonly Verified[] = statementsAfter([], { statements: this.#intake.statements, evaluation })
    await this.#file.rewrite([this.genesis, ...statements].map(({ envelope }) => encodeEnvelope(envelope)))
    this.#log.info({ statements: statements.length }, 'the roster was written anew after a checkpoint')
  }
}
