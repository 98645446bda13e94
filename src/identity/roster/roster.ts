import { setImmediate } from 'node:timers/promises'
import type { Role } from '../../api/contract.ts'
import { type Clock, systemClock } from '../../base/clock.ts'
import { EventBus } from '../../base/events.ts'
import { type Logger, silentLogger } from '../../base/log.ts'
import { SerialQueue } from '../../base/wait.ts'
import { keyIdOf, type Signer } from '../ed25519.ts'
import { type Envelope, encodeEnvelope, sealEnvelope } from '../envelope.ts'
import { identityErrors } from '../errors.ts'
import { type BodyInput, faultsOfBody, type StatementType } from './bodies.ts'
import { MAX_STATEMENT_BYTES, ROOT_AUTHOR, ROSTER_PAYLOAD_TYPE } from './constants.ts'
import { type Evaluation, evaluate, type Head } from './evaluate.ts'
import { statementsAfter } from './exchange.ts'
import { type Genesis, openGenesis } from './genesis.ts'
import { type Intake, type Rejected, StatementIntake } from './intake.ts'
import { RosterLog } from './log-file.ts'
import { type RosterState, rightsOf } from './state.ts'
import { decodeStatementEnvelope, type Statement } from './statement.ts'

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

/** A statement to make. */
export type StatementDraft = { [T in StatementType]: { readonly type: T; readonly body: BodyInput<T> } }[StatementType]

/**
 * The signed record of who is in the network and which keys count. A set of statements that merges in any order to the
 * same state, kept in an append-only file. One program at a time may write a folder. Nothing to close.
 */
export class Roster {
  readonly genesis: Genesis
  readonly #file: RosterLog
  readonly #clock: Clock
  readonly #log: Logger
  readonly #intake: StatementIntake
  readonly #queue = new SerialQueue()
  readonly #events: EventBus<{ changed: RosterState }>
  #evaluation: Evaluation

  private constructor(genesis: Genesis, file: RosterLog, { clock = systemClock, log = silentLogger }: RosterOptions) {
    this.genesis = genesis
    this.#file = file
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
    return new Roster(genesis, file, options)
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
    const roster = new Roster(genesis, file, options)
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
    return roster
  }

  get networkId(): string {
    return this.genesis.networkId
  }
  /** The state now. Replaced at each change, never changed in place. */
  get state(): RosterState {
    return this.#evaluation.state
  }
  /** Equal on two nodes exactly where their state is. */
  digest(): string {
    return this.#evaluation.digest
  }
  /** The last accepted entry of every author's log. */
  heads(): readonly Head[] {
    return this.#evaluation.heads
  }
  /** How many statements are held. */
  get size(): number {
    return this.#intake.statements.size
  }

  /** The role of a node now: see `rightsOf`. */
  roleOf(id: string): Role | undefined {
    return rightsOf(this.state, id, this.#clock.now())
  }

  /** Hears each new state, after it was flushed to disk, until the returned function is called. */
  onChange(listener: (state: RosterState) => void): () => void {
    return this.#events.on('changed', listener)
  }

  /**
   * What a node with these heads may lack, in an order in which it can be merged. Where logs have forked, two rounds
   * of asking each other may be needed; equal digests end it. Heads come from outside: they choose, nothing more.
   */
  entriesAfter(heads: readonly Head[]): Envelope[] {
    return statementsAfter(heads, { statements: this.#intake.statements, evaluation: this.#evaluation }).map(
      ({ envelope }) => envelope,
    )
  }

  /**
   * Takes statements from anywhere, in any order, as envelopes or their JSON bytes. Nothing hostile throws: what is
   * refused is in `rejected` with its reason. Resolves when what was new is flushed; fails, having changed nothing,
   * where it cannot be stored (`disk_full`).
   */
  merge(statements: readonly (Envelope | Uint8Array)[]): Promise<MergeResult> {
    return this.#queue.run(async () => {
      const taken = await this.#take(statements)
      await this.#commit(taken.added)
      return taken
    })
  }

  /**
   * Signs a statement as the next entry of the author's own log. It is flushed to disk before it is returned, so that
   * no seq is ever used twice. A home restored from a backup must first merge what its peers have. Fails with
   * `not_admin`, `statement_invalid`, `statement_too_large`, `roster_log_frozen`, `roster_full` or `disk_full`.
   */
  append(by: { signer: Signer; authorId: string }, draft: StatementDraft): Promise<Statement> {
    return this.#queue.run(async () => {
      this.#checkAuthor(by)
      const faults = faultsOfBody(draft.type, draft.body)
      if (faults !== '') throw identityErrors.statement_invalid(`a "${draft.type}" statement is not valid: ${faults}`)
      const payload = this.#nextPayload(by.authorId, draft)
      if (payload.length > MAX_STATEMENT_BYTES) {
        throw identityErrors.statement_too_large(
          `a "${draft.type}" statement of ${payload.length} bytes is longer than ${MAX_STATEMENT_BYTES}`,
        )
      }
      const envelope = sealEnvelope({ payloadType: ROSTER_PAYLOAD_TYPE, payload, signers: [by.signer] })
      const { added, rejected } = await this.#take([envelope])
      const [statement] = added
      if (statement === undefined) {
        const [refused] = rejected
        if (refused?.reason === 'roster_full') throw identityErrors.roster_full(refused.message)
        throw identityErrors.statement_invalid(`a "${draft.type}" statement is refused: ${refused?.message}`)
      }
      await this.#commit(added)
      return statement
    })
  }

  #checkAuthor({ signer, authorId }: { signer: Signer; authorId: string }): void {
    const key = authorId === ROOT_AUTHOR ? keyIdOf(this.genesis.root) : this.state.admins.get(authorId)?.keyId
    if (key !== signer.keyId) {
      throw identityErrors.not_admin(`${authorId} is not an admin of this network with that authority key`, {
        hint: `Run it on an admin: ${this.#adminNames()}`,
      })
    }
    if (this.#evaluation.frozen.has(authorId)) {
      throw identityErrors.roster_log_frozen(`the log of ${authorId} holds two different statements at one place`, {
        hint: 'Let another admin remove this one from the admin set and add it again under a new identity.',
      })
    }
  }

  #adminNames(): string {
    const { admins, nodes } = this.state
    return [...admins.keys()].map((id) => nodes.get(id)?.name ?? id).join(', ') || 'none is left'
  }

  #nextPayload(author: string, draft: StatementDraft): Buffer {
    const head = this.#evaluation.heads.find((known) => known.author === author)
    const last = head && this.#intake.statements.get(head.hash)
    return Buffer.from(
      JSON.stringify({
        network: this.networkId,
        author,
        seq: (last?.seq ?? 0) + 1,
        prev: last?.hash ?? this.networkId,
        // Times of one log only go forward, whatever the clock does.
        time: Math.max(this.#clock.now(), last?.timeMs ?? 0),
        type: draft.type,
        body: draft.body,
      }),
    )
  }

  async #take(statements: readonly (Envelope | Uint8Array)[], options: { ownFile?: boolean } = {}): Promise<Intake> {
    const intake = this.#intake.begin(this.#evaluation, options)
    let steps = 0
    for (const statement of statements) {
      intake.take(statement)
      while (intake.step()) {
        steps++
        if (steps % SLICE === 0) await setImmediate()
      }
    }
    return intake.finish()
  }

  async #commit(added: Intake['added']): Promise<void> {
    if (added.length === 0) return
    try {
      await this.#file.append(added.map(({ envelope }) => encodeEnvelope(envelope)))
    } catch (error) {
      this.#intake.takeBack(added)
      throw error
    }
    const known = new Set(this.state.alarms.map(({ message }) => message))
    this.#evaluation = evaluate(this.genesis, this.#intake.statements)
    for (const { code, subject, message } of this.state.alarms) {
      if (!known.has(message)) this.#log.warn({ alarm: code, subject }, message)
    }
    this.#events.emit('changed', this.state)
  }
}

function checkNetwork(genesis: Genesis, { networkId, folder }: RosterOptions): void {
  if (networkId !== undefined && networkId !== genesis.networkId) {
    throw identityErrors.wrong_network(`the roster for ${folder} is of network ${genesis.networkId}, not ${networkId}`)
  }
}
