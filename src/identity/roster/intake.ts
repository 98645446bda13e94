import { keyIdOf } from '../ed25519.ts'
import { type Envelope, signersOf } from '../envelope.ts'
import { type AdminSet, authorKeys, buildAdminSets } from './admin-sets.ts'
import { MAX_STATEMENTS, MAX_VOID_STATEMENTS, MAX_WAITING_STATEMENTS } from './constants.ts'
import type { Evaluation } from './evaluate.ts'
import type { Genesis } from './genesis.ts'
import {
  decodeStatementEnvelope,
  hashOfPayload,
  parseStatement,
  Refusal,
  type Rejection,
  type Statement,
} from './statement.ts'
import { StatementSet, type Verified } from './statement-set.ts'
import { WaitingRoom } from './waiting.ts'

/** A statement that was not taken, and why. */
export interface Rejected {
  readonly reason: Rejection
  readonly message: string
  /** Missing where it could not even be parsed. */
  readonly hash?: string
}

/** What came of one go of taking statements. */
export interface Intake {
  readonly added: readonly Verified[]
  readonly rejected: readonly Rejected[]
  readonly waiting: number
}

/** How one go judges: the evaluation that it started with, and what it has used of the room for void statements. */
interface Go {
  readonly evaluation: Evaluation
  /** By author: the last entry that a statement can follow without being a fork. */
  readonly tips: Map<string, string>
  readonly voidCounts: Map<string, number>
  readonly ownFile: boolean
}

/**
 * Lets statements into the set: parsed, of this network, signed by an admin's key, and after the entry that they
 * follow. What comes too early waits.
 */
export class StatementIntake {
  readonly statements = new StatementSet()
  readonly #genesis: Genesis
  readonly #waiting = new WaitingRoom()
  #sets: ReadonlyMap<string, AdminSet> | undefined

  constructor(genesis: Genesis) {
    this.#genesis = genesis
  }

  /** Starts a go: `take` each statement, after each `step` until it gives false, then `finish`. `ownFile`: they were taken before, so limits do not apply. */
  begin(evaluation: Evaluation, { ownFile = false }: { ownFile?: boolean } = {}) {
    const go: Go = {
      evaluation,
      tips: new Map(evaluation.heads.map(({ author, hash }) => [author, hash])),
      voidCounts: new Map(evaluation.voidCounts),
      ownFile,
    }
    const added: Verified[] = []
    const rejected: Rejected[] = []
    const ready: Statement[] = []
    const take = (input: Envelope | Uint8Array): void => {
      try {
        const envelope = input instanceof Uint8Array ? decodeStatementEnvelope(input) : input
        if (hashOfPayload(envelope.payload) !== this.#genesis.networkId) ready.push(parseStatement(envelope))
      } catch (error) {
        rejected.push(rejectionOf(error))
      }
    }
    const step = (): boolean => {
      const next = ready.pop()
      if (next === undefined) return false
      try {
        const placed = this.#place(next, go)
        if (placed !== undefined) {
          added.push(placed)
          ready.push(...this.#wake(placed))
        }
      } catch (error) {
        rejected.push({ ...rejectionOf(error), hash: next.hash })
      }
      return true
    }
    const finish = (): Intake => {
      this.#waiting.trim(MAX_WAITING_STATEMENTS)
      return { added, rejected, waiting: this.#waiting.size }
    }
    return { take, step, finish }
  }

  /** Takes back what could not be stored. */
  takeBack(added: readonly Verified[]): void {
    for (const statement of added.toReversed()) this.statements.remove(statement)
    this.#sets = undefined
  }

  /** Adds a statement whose time has come; undefined where it is known already or waits. Throws a Refusal. */
  #place(statement: Statement, go: Go): Verified | undefined {
    if (this.statements.get(statement.hash) !== undefined) return undefined
    if (statement.network !== this.#genesis.networkId) {
      throw new Refusal('wrong_network', `it is of network ${statement.network}`)
    }
    const signedBy = isVerified(statement) ? statement.signedBy : this.#signerOf(statement)
    if (signedBy === undefined) return this.#wait(statement, `author ${statement.author}`)
    const placed = isVerified(statement) ? statement : Object.freeze({ ...statement, signedBy })
    if (!this.#followsItsPrevious(placed)) return this.#wait(placed, `entry ${placed.prev}`)
    if (!go.ownFile) this.#checkRoom(placed, go)
    this.statements.add(placed)
    if (placed.type === 'admins') this.#sets = undefined
    return placed
  }

  /** The author's key that signed it; undefined while no admin set names such a key. Throws a Refusal. */
  #signerOf({ author, envelope }: Statement): string | undefined {
    this.#sets ??= buildAdminSets(this.#genesis, this.statements)
    const keys = authorKeys(author, this.#genesis, this.#sets)
    const named = envelope.signatures.flatMap(({ keyid }) => keys.get(keyid) ?? [])
    if (named.length === 0) return undefined
    const [key] = signersOf(envelope, named)
    if (key === undefined) throw new Refusal('bad_signature', `its signature is not ${author}'s`)
    return keyIdOf(key)
  }

  /** False while the entry before is missing. Throws a Refusal. */
  #followsItsPrevious({ author, seq, prev }: Statement): boolean {
    if (seq === 1) {
      if (prev === this.#genesis.networkId) return true
      throw new Refusal('broken_chain', 'the first entry of a log follows the genesis')
    }
    const before = this.statements.get(prev)
    if (before === undefined) return false
    if (before.author === author && before.seq === seq - 1) return true
    throw new Refusal('broken_chain', `entry ${seq} follows entry ${before.seq} of ${before.author}`)
  }

  /** Limits what an admin, or a thief of its key, can make every node keep. Throws a Refusal. */
  #checkRoom(statement: Statement, { tips, voidCounts, evaluation }: Go): void {
    if (this.statements.size >= MAX_STATEMENTS) {
      throw new Refusal('roster_full', `the roster holds ${MAX_STATEMENTS} statements, the most that nodes accept`)
    }
    const { author, prev, hash } = statement
    const tip = tips.get(author) ?? this.#genesis.networkId
    const isNext = prev === tip && this.statements.after(author, prev).length === 0
    if (isNext && !evaluation.isCut(statement)) {
      tips.set(author, hash)
      return
    }
    const count = (voidCounts.get(author) ?? 0) + 1
    if (count > MAX_VOID_STATEMENTS) {
      throw new Refusal('author_void', `${author} has ${MAX_VOID_STATEMENTS} statements that count for nothing already`)
    }
    voidCounts.set(author, count)
  }

  #wait(statement: Statement, need: string): undefined {
    this.#waiting.add(statement, need)
  }

  #wake(placed: Verified): Statement[] {
    const woken = this.#waiting.take(`entry ${placed.hash}`)
    if (placed.known?.type !== 'admins') return woken
    return woken.concat(placed.known.body.admins.flatMap(({ id }) => this.#waiting.take(`author ${id}`)))
  }
}

/** What waited for its entry was verified before. */
function isVerified(statement: Statement): statement is Verified {
  return 'signedBy' in statement
}

function rejectionOf(error: unknown): Rejected {
  if (!(error instanceof Refusal)) throw error
  return { reason: error.reason, message: error.message }
}
