import { keyIdOf } from '../ed25519.ts'
import { type Envelope, signersOf } from '../envelope.ts'
import { type AdminSet, authorKeys, buildAdminSets, growAdminSets } from './admin-sets.ts'
import { newestCheckpoint, prune } from './checkpoint.ts'
import {
  MAX_ROSTER_BYTES,
  MAX_STATEMENTS,
  MAX_VOID_STATEMENTS,
  MAX_WAITING_STATEMENTS,
  ROOT_AUTHOR,
  STRANGERS,
} from './constants.ts'
import { type Evaluation, evaluate } from './evaluate.ts'
import type { Genesis } from './genesis.ts'
import {
  decodeStatementEnvelope,
  hashOfPayload,
  parseStatement,
  Refusal,
  type Rejection,
  type Statement,
} from './statement.ts'
import { StatementSet, type Verified, voidCostOf } from './statement-set.ts'
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
  /** True where a checkpoint became complete: what is stored is to be written anew. */
  readonly pruned: boolean
  /** Undoes all of it, for instance because it could not be stored. */
  takeBack(): void
}

/** One go: how it judges, what it has used of the room for void statements, and what came of it. */
interface Go {
  evaluation: Evaluation
  /** By author: the last entry that a statement can follow without being a fork. */
  tips: Map<string, string>
  voidCounts: Map<string, number>
  readonly ownFile: boolean
  readonly added: Verified[]
  readonly rejected: Rejected[]
  readonly ready: Statement[]
  /** The set before the first checkpoint of this go, and how much of what was added is in it. */
  before: { readonly statements: StatementSet; readonly count: number } | undefined
}

/**
 * Lets statements into the set: parsed, of this network, signed by an admin's key, and after the entry that they
 * follow, or named by a checkpoint. What comes too early waits.
 */
export class StatementIntake {
  readonly #genesis: Genesis
  readonly #waiting = new WaitingRoom()
  #statements = new StatementSet()
  #sets: Map<string, AdminSet> | undefined

  constructor(genesis: Genesis) {
    this.#genesis = genesis
  }

  /** What was taken. Another set after a checkpoint. */
  get statements(): StatementSet {
    return this.#statements
  }

  /** Starts a go: `take` each statement, after each `step` until it gives false, then `finish`. `ownFile`: they were taken before, so limits do not apply. */
  begin(evaluation: Evaluation, { ownFile = false }: { ownFile?: boolean } = {}) {
    const lists = { added: [], rejected: [], ready: [] }
    const go: Go = { evaluation, ...roomBy(evaluation), ownFile, ...lists, before: undefined }
    const take = (input: Envelope | Uint8Array): void => {
      try {
        const envelope = input instanceof Uint8Array ? decodeStatementEnvelope(input) : input
        if (hashOfPayload(envelope.payload) !== this.#genesis.networkId) go.ready.push(parseStatement(envelope))
      } catch (error) {
        go.rejected.push(rejectionOf(error))
      }
    }
    const step = (): boolean => {
      const next = go.ready.pop()
      if (next === undefined) return false
      try {
        const placed = this.#place(next, go)
        if (placed !== undefined) {
          go.added.push(placed)
          go.ready.push(...this.#wake(placed))
          if (endsCheckpoint(placed)) this.#applyCheckpoint(go)
        }
      } catch (error) {
        go.rejected.push({ ...rejectionOf(error), hash: next.hash })
      }
      return true
    }
    return { take, step, finish: () => this.#finish(go) }
  }

  #finish({ added, rejected, before }: Go): Intake {
    this.#waiting.trim(MAX_WAITING_STATEMENTS)
    const takeBack = (): void => {
      if (before !== undefined) this.#statements = before.statements
      for (const statement of added.slice(0, before?.count).toReversed()) this.#statements.remove(statement)
      this.#sets = undefined
    }
    const left = before === undefined ? added : added.filter(({ hash }) => this.#statements.get(hash))
    return { added: left, rejected, waiting: this.#waiting.size, pruned: before !== undefined, takeBack }
  }

  /** Adds a statement whose time has come; undefined where it is known already, gone, or waits. Throws a Refusal. */
  #place(statement: Statement, go: Go): Verified | undefined {
    if (this.#statements.get(statement.hash) !== undefined) return undefined
    if (statement.network !== this.#genesis.networkId) {
      throw new Refusal('wrong_network', `it is of network ${statement.network}`)
    }
    if (this.#statements.isGone(statement)) return undefined
    const placed = statement.author === ROOT_AUTHOR ? this.#placeOfRoot(statement) : this.#placeOfAdmin(statement)
    if (placed === undefined) return undefined
    if (!go.ownFile) this.#checkRoom(placed, go)
    this.#statements.add(placed)
    const mayMatter = placed.author === ROOT_AUTHOR || placed.type === 'admins'
    if (mayMatter && this.#sets && !growAdminSets(this.#sets, placed, this.#statements)) this.#sets = undefined
    return placed
  }

  /** The key that signs is known from the entry before: none but the root ever holds it. Throws a Refusal. */
  #placeOfRoot(statement: Statement): Verified | undefined {
    if (!this.#followsItsPrevious(statement)) return this.#wait(statement, `entry ${statement.prev}`)
    const key = this.#statements.get(statement.prev)?.nextRoot ?? this.#genesis.root
    const next = statement.known?.type === 'admins' ? statement.known.body.root : key
    const needed = [...new Set([key, next].map(keyIdOf))]
    if (statement.key !== keyIdOf(key) || signersOf(statement.envelope, [key, next]).length < needed.length) {
      // Both or none: who passes it on could leave one away, and so decide which key comes next.
      throw new Refusal('bad_signature', 'its signatures are not those of the root key, and of the next one')
    }
    return Object.freeze({ ...signedOnlyBy(statement, needed), signedBy: statement.key, nextRoot: next })
  }

  #placeOfAdmin(statement: Statement): Verified | undefined {
    const signedBy = isVerified(statement) ? statement.signedBy : this.#signerOf(statement)
    if (signedBy === undefined) return this.#wait(statement, `author ${statement.author}`)
    const placed = isVerified(statement)
      ? statement
      : Object.freeze({ ...signedOnlyBy(statement, [signedBy]), signedBy })
    // The checkpoint vouches for its place, whether what it followed is still there or not.
    const isVouched = this.#statements.isCovered(placed)
    return isVouched || this.#followsItsPrevious(placed) ? placed : this.#wait(placed, `entry ${placed.prev}`)
  }

  /** The author's key that signed it; undefined while no admin set names such a key. Throws a Refusal. */
  #signerOf({ author, key, envelope }: Statement): string | undefined {
    this.#sets ??= buildAdminSets(this.#genesis, this.#statements)
    const named = authorKeys(author, this.#sets).get(key)
    if (named === undefined) return undefined
    if (signersOf(envelope, [named]).length > 0) return key
    throw new Refusal('bad_signature', `its signature is not ${author}'s`)
  }

  /** False while the entry before is missing. Throws a Refusal. */
  #followsItsPrevious({ author, seq, prev }: Statement): boolean {
    if (seq === 1) {
      if (prev === this.#genesis.networkId) return true
      throw new Refusal('broken_chain', 'the first entry of a log follows the genesis')
    }
    const frontier = this.#statements.frontierOf(author)
    if (prev === frontier?.hash && seq === frontier.seq + 1) return true
    const before = this.#statements.get(prev)
    if (before === undefined) return false
    if (before.author === author && before.seq === seq - 1) return true
    throw new Refusal('broken_chain', `entry ${seq} follows entry ${before.seq} of ${before.author}`)
  }

  /** Limits what an admin, or a thief of its key, can make every node keep. Throws a Refusal. */
  #checkRoom(statement: Verified, go: Go): void {
    const { tips, voidCounts, evaluation } = go
    const { author, signedBy, prev, hash } = statement
    // The root makes room, and undoes what a thief filled it with: it always has a place.
    const { size, bytes } = this.#statements
    if ((size >= MAX_STATEMENTS || bytes >= MAX_ROSTER_BYTES) && author !== ROOT_AUTHOR) {
      throw new Refusal(
        'roster_full',
        `the roster holds ${size} statements of ${bytes} bytes, the most that nodes accept`,
      )
    }
    if (this.#statements.isCovered(statement)) return
    const isStranger = !this.#isByAdmin(statement, go)
    const tip = tips.get(author) ?? this.#genesis.networkId
    const others = this.#statements.after(author, prev).filter((other) => other.signedBy === signedBy)
    if (!isStranger && prev === tip && others.length === 0 && !evaluation.cuts.isCut(statement)) {
      tips.set(author, hash)
      return
    }
    const whose = isStranger ? STRANGERS : author
    const count = (voidCounts.get(whose) ?? 0) + voidCostOf(statement)
    if (count > MAX_VOID_STATEMENTS) {
      throw new Refusal('author_void', `${whose} has ${MAX_VOID_STATEMENTS} statements that count for nothing already`)
    }
    voidCounts.set(whose, count)
  }

  /** False where only admin sets name its key that were cut off before this go, or that follow such a one. */
  #isByAdmin(statement: Verified, { evaluation: { cuts } }: Go): boolean {
    if (cuts.isByAdmin(statement)) return true
    this.#sets ??= buildAdminSets(this.#genesis, this.#statements)
    const stands = (set: AdminSet): boolean => {
      for (let at: AdminSet | undefined = set; at !== undefined; at = at.parent) {
        if (at.statement !== undefined && cuts.isCut(at.statement)) return false
      }
      return true
    }
    return [...this.#sets.values()].some(
      (set) => set.admins.get(statement.author)?.keyId === statement.signedBy && stands(set),
    )
  }

  /** Drops what a complete checkpoint does away with, and looks again at what waits: it may need nothing more. */
  #applyCheckpoint(go: Go): void {
    const checkpoint = newestCheckpoint(this.#genesis, this.#statements)
    if (checkpoint === undefined || checkpoint.hash === this.#statements.base?.hash) return
    go.before ??= { statements: this.#statements, count: go.added.length }
    this.#statements = prune(this.#genesis, this.#statements, checkpoint)
    this.#sets = undefined
    go.evaluation = evaluate(this.#genesis, this.#statements)
    Object.assign(go, roomBy(go.evaluation))
    go.ready.push(...this.#waiting.takeAll())
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

function roomBy({ heads, voidCounts }: Evaluation): Pick<Go, 'tips' | 'voidCounts'> {
  return { tips: new Map(heads.map(({ author, hash }) => [author, hash])), voidCounts: new Map(voidCounts) }
}

function endsCheckpoint({ author, known }: Verified): boolean {
  return author === ROOT_AUTHOR && known?.type === 'checkpoint' && known.body.part === known.body.parts
}

/** Without the signatures that nobody asked for: they would be kept and passed on by all. */
function signedOnlyBy(statement: Statement, keyIds: readonly string[]): Statement {
  const { envelope } = statement
  const signatures = envelope.signatures.filter(({ keyid }) => keyIds.includes(keyid))
  return { ...statement, envelope: { ...envelope, signatures } }
}

/** What waited for its entry was verified before. */
function isVerified(statement: Statement): statement is Verified {
  return 'signedBy' in statement
}

function rejectionOf(error: unknown): Rejected {
  if (!(error instanceof Refusal)) throw error
  return { reason: error.reason, message: error.message }
}
