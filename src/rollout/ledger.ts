import { createHash } from 'node:crypto'
import type { Clock } from '../base/clock.ts'
import { EventBus } from '../base/events.ts'
import type { Logger } from '../base/log.ts'
import { SerialQueue } from '../base/wait.ts'
import type { Envelope } from '../identity/index.ts'
import { type Archive, type ArchivedRollout, createArchive } from './archive.ts'
import type { RolloutRights } from './deps.ts'
import { type RolloutDocument, readDocument, type SignedDocument, waveOf } from './document.ts'
import { rolloutErrors } from './errors.ts'
import { type Outcome, readEvidence, type SignedEvidence, worseEvidence } from './evidence.ts'
import { readHalt, type SignedHalt, strongerHalt } from './halt.ts'
import { findRoom, requireRoomForEvidence } from './room.ts'
import { matchIds, shortIdOf } from './short-id.ts'
import type { RolloutView } from './state.ts'

/** Rollouts kept of one app, whose oldest are dropped first: enough to look back on, few enough to exchange. */
const KEPT_PER_APP = 50
/** How long after `not_after` a rollout is still exchanged, so that late evidence finds its way. */
const AFTERLIFE_MS = 24 * 3_600_000
/** Generations that an app may be ahead of one a second since the network began, so that tests and clocks have room. */
const GENERATION_SLACK = 1000
/** Most people whose halts one rollout keeps; one is enough to stop it. */
const MAX_HALTS = 64

/** What is known of one rollout. */
export interface Rollout {
  readonly id: string
  readonly document: RolloutDocument
  readonly envelope: Envelope
  /** The piece that counts, by node. */
  readonly evidence: Map<string, SignedEvidence>
  /** The one that counts, by signer. */
  readonly halts: Map<string, SignedHalt>
  /** This node's turn has begun. */
  begun: boolean
  /** Monotonic time of the last news. */
  lastNewsMs: number
}

export interface LedgerDeps {
  /** `rollouts/` of the home. */
  readonly folder: string
  /** This node's id. */
  readonly self: string
  /** The network's id. */
  network(): string
  readonly rights: Pick<RolloutRights, 'mayDeploy' | 'maySee' | 'isKnown' | 'networkAgeMs' | 'admins'>
  readonly clock: Clock
  readonly log: Logger
}

/** A statement that was new here, to be passed on. */
export interface Statement {
  readonly kind: 'document' | 'evidence' | 'halt'
  /** Id of the rollout. */
  readonly id: string
  readonly envelope: Envelope
}

/** What adding a statement came to. `unknown`: its document is not held, so the statement cannot be judged. */
export type Added = { readonly result: 'new' | 'known' | 'unknown'; readonly id: string }

/**
 * All rollouts that this node knows, in memory and on disk: a set of signed statements that merges in any order. It
 * checks signature, network and right; it never acts. Every statement is on disk before `add…` returns.
 */
export class Ledger {
  readonly events: EventBus<{ changed: { id: string }; news: Statement; dropped: { id: string } }>
  readonly #deps: LedgerDeps
  readonly #archive: Archive
  readonly #rollouts = new Map<string, Rollout>()
  /** One statement at a time, so that memory and disk keep the same one of two that compete. */
  readonly #queue = new SerialQueue()
  /** News that is told when the statements that belong together are all in. */
  #held: Statement[] | undefined

  constructor(deps: LedgerDeps) {
    this.#deps = deps
    this.#archive = createArchive({ folder: deps.folder, log: deps.log })
    this.events = new EventBus((error) => deps.log.error({ error }, 'a listener of the rollouts failed'))
  }

  /** Reads what is on disk. Call once, before anything else. */
  async load(): Promise<void> {
    for (const one of await this.#archive.load()) this.#insert(one.signed, one)
    await this.#prune()
  }

  /**
   * Takes a document in. Fails with `rollout_invalid` (form, signature, network), `rollout_forbidden`,
   * `rollout_expired` (too old to matter) or `rollout_limit` (in all, or of its author). A conflicting one is taken: it stops both.
   */
  addDocument(envelope: Envelope): Promise<Added> {
    return this.#queue.run(() => this.#addDocument(envelope))
  }

  /** Takes a node's evidence in. Fails with `rollout_invalid`; evidence of a node that is no target is refused so. */
  addEvidence(envelope: Envelope): Promise<Added> {
    return this.#queue.run(() => this.#addEvidence(envelope))
  }

  /** Takes a halt in. Fails with `rollout_invalid`, or `rollout_forbidden` where its signer has no right to halt. */
  addHalt(envelope: Envelope): Promise<Added> {
    return this.#queue.run(() => this.#addHalt(envelope))
  }

  /**
   * Takes in statements that belong together, as an exchange brings them: documents first, then halts, then evidence,
   * and nobody is told before the last one is in. So a node that was away never starts what it is just being told was
   * stopped. `onRefused` is called for each one that is refused; the others stay.
   */
  addAll(
    statements: readonly Omit<Statement, 'id'>[],
    onRefused: (statement: Omit<Statement, 'id'>, error: unknown) => void,
  ): Promise<void> {
    return this.#queue.run(async () => {
      this.#held = []
      for (const kind of ['document', 'halt', 'evidence'] as const) {
        for (const statement of statements) {
          if (statement.kind !== kind) continue
          await this.#addOne(statement).catch((error: unknown) => onRefused(statement, error))
        }
      }
      const held = this.#held
      this.#held = undefined
      for (const statement of held) this.#tell(statement)
    })
  }

  /** Resolves when everything that was being taken in is on disk. */
  async settle(): Promise<void> {
    await this.#queue.run(async () => undefined)
  }

  /** Notes on disk that this node's turn begins. */
  async markBegun(id: string): Promise<void> {
    await this.#archive.writeTurn(id, this.#deps.clock.now())
    const rollout = this.#rollouts.get(id)
    if (rollout !== undefined) rollout.begun = true
  }

  /** Sign of life of a target in its turn: it only puts off the moment at which waiting nodes give up. */
  noteProgress(id: string): void {
    const rollout = this.#rollouts.get(id)
    if (rollout !== undefined) rollout.lastNewsMs = this.#deps.clock.monotonicMs()
  }

  get(id: string): Rollout | undefined {
    return this.#rollouts.get(id)
  }

  /** Newest first. */
  all(): Rollout[] {
    return [...this.#rollouts.values()].sort(
      (a, b) => b.document.createdMs - a.document.createdMs || (a.id < b.id ? -1 : 1),
    )
  }

  /** The rollout meant by a full id or a unique start. Fails with `rollout_not_found`, `rollout_ambiguous`. */
  resolve(text: string): Rollout {
    const matches = matchIds(text, this.#rollouts.keys())
    if (matches.length === 1) return this.#rollouts.get(matches[0] as string) as Rollout
    if (matches.length === 0) {
      throw rolloutErrors.rollout_not_found(`no rollout "${text}" is known here`, {
        hint: 'See which there are: warren rollout list',
      })
    }
    const names = matches.map((id) => this.shortId(id)).join(', ')
    throw rolloutErrors.rollout_ambiguous(`"${text}" may be ${names}`, { hint: 'Give more of the id.' })
  }

  shortId(id: string): string {
    return shortIdOf(id, this.#rollouts.keys())
  }

  /** The generation of an app as far as this node knows; 0 where it was never rolled out. */
  generationOf(app: string): number {
    let generation = 0
    for (const rollout of this.#rollouts.values()) {
      if (rollout.document.app !== app) continue
      const reverted = [...rollout.evidence.values()].some(({ evidence }) => evidence.outcome === 'reverted')
      const own = rollout.document.base + 1 + (rollout.halts.size > 0 ? 1 : 0) + (reverted ? 1 : 0)
      generation = Math.max(generation, own)
    }
    return generation
  }

  /** Rollouts of the same app from the same base with a node in common: neither may go on. */
  conflictsOf(id: string, document: RolloutDocument): Rollout[] {
    const targets = new Set(document.waves.flat())
    return [...this.#rollouts.values()].filter(
      (other) =>
        other.id !== id &&
        other.document.app === document.app &&
        other.document.base === document.base &&
        other.document.waves.flat().some((node) => targets.has(node)),
    )
  }

  /** True where a document of a later generation names the node. */
  isSuperseded(rollout: Rollout, node: string): boolean {
    return [...this.#rollouts.values()].some(
      (other) =>
        other.document.app === rollout.document.app &&
        other.document.base > rollout.document.base &&
        waveOf(other.document, node) !== -1,
    )
  }

  /** The rollout as the state rule sees it from a node. */
  viewOf(rollout: Rollout, self = this.#deps.self): RolloutView {
    return {
      document: rollout.document,
      self,
      outcomes: outcomesOf(rollout),
      halts: [...rollout.halts.values()].map(({ halt }) => halt),
      conflicting: this.conflictsOf(rollout.id, rollout.document).length > 0,
      superseded: this.isSuperseded(rollout, self),
      begun: self === this.#deps.self && rollout.begun,
      nowMs: this.#deps.clock.now(),
      quietMs: this.#deps.clock.monotonicMs() - rollout.lastNewsMs,
    }
  }

  /** Fails with `rollout_forbidden` unless the node may deploy the app. A node may always deploy to itself alone. */
  requireRight(node: string, document: RolloutDocument): void {
    if (this.#deps.rights.mayDeploy(node, document.app)) return
    if (node === this.#deps.self && isOwnAffair(document)) return
    throw rolloutErrors.rollout_forbidden(`${node} may not deploy ${document.app}`, {
      hint: `Ask an admin for the role operator, or for this app alone: ${this.#deps.rights.admins().join(', ')}`,
    })
  }

  /**
   * What is exchanged with a peer: all that may still matter, and the newest of each app, which carries its generation;
   * of these what the peer may see.
   */
  exchanged(peer: string): { rollout: Rollout; digest: string }[] {
    return [...this.#rollouts.values()]
      .filter(({ id, document }) => this.#isKept(id, document) && this.#concernsOthers(document))
      .filter(({ document }) => this.#deps.rights.maySee(peer, document.app))
      .map((rollout) => ({ rollout, digest: digestOf(rollout) }))
  }

  async #addDocument(envelope: Envelope): Promise<Added> {
    const signed = readDocument(envelope)
    if (this.#rollouts.has(signed.id)) return { result: 'known', id: signed.id }
    const { document } = signed
    if (document.network !== this.#deps.network()) {
      throw rolloutErrors.rollout_invalid(`rollout of network ${document.network}, not of this one`)
    }
    this.requireRight(document.author, document)
    this.#requirePlausible(document)
    if (!this.#isKept(signed.id, document)) {
      throw rolloutErrors.rollout_expired(
        `the rollout of ${document.app} ended at ${new Date(document.notAfterMs).toISOString()}`,
      )
    }
    await this.#prune()
    const { mayDeploy } = this.#deps.rights
    const leaves = findRoom([...this.#rollouts.values()], { author: document.author, mayDeploy })
    if (leaves !== undefined) await this.#drop(leaves.id)
    await this.#archive.writeDocument(signed)
    this.#insert(signed)
    return this.#announce('document', signed.id, envelope)
  }

  /**
   * Whoever may deploy could else take an app to its last generation, after which nobody could deploy it. No real app
   * is deployed once a second from the first second on, so there is always room for the next one. Depends on nothing
   * that this node happens to have heard, so that one which was long away takes what the others took.
   */
  #requirePlausible({ app, base }: RolloutDocument): void {
    const most = Math.floor(Math.max(0, this.#deps.rights.networkAgeMs()) / 1000) + GENERATION_SLACK
    if (base <= most) return
    throw rolloutErrors.rollout_invalid(
      `a rollout of ${app} from generation ${base}: a network of this age has none beyond ${most}`,
    )
  }

  async #addEvidence(envelope: Envelope): Promise<Added> {
    const signed = readEvidence(envelope)
    const { document: id, node } = signed.evidence
    const rollout = this.#rollouts.get(id)
    if (rollout === undefined) return { result: 'unknown', id }
    if (waveOf(rollout.document, node) === -1) {
      throw rolloutErrors.rollout_invalid(`evidence of ${node}, which is no target of the rollout`)
    }
    const held = rollout.evidence.get(node)
    if (held === undefined) requireRoomForEvidence(rollout, node, this.#deps.rights.isKnown)
    const better = held === undefined ? signed : worseEvidence(held, signed)
    if (held !== undefined && better.hash === held.hash) return { result: 'known', id }
    await this.#archive.writeEvidence(better)
    rollout.evidence.set(node, better)
    return this.#announce('evidence', id, envelope)
  }

  async #addHalt(envelope: Envelope): Promise<Added> {
    const signed = readHalt(envelope)
    const { document: id, by } = signed.halt
    const rollout = this.#rollouts.get(id)
    if (rollout === undefined) return { result: 'unknown', id }
    // To stop is safe whoever asks; to go back to an older version is a deploy of it.
    if (by !== rollout.document.author || signed.halt.revert) this.requireRight(by, rollout.document)
    const held = rollout.halts.get(by)
    if (held === undefined && rollout.halts.size >= MAX_HALTS) return { result: 'known', id }
    const stronger = held === undefined ? signed : strongerHalt(held, signed)
    if (held !== undefined && stronger.hash === held.hash) return { result: 'known', id }
    await this.#archive.writeHalt(stronger)
    rollout.halts.set(by, stronger)
    return this.#announce('halt', id, envelope)
  }

  #insert(signed: SignedDocument, archived?: ArchivedRollout): void {
    const { document } = signed
    this.#rollouts.set(signed.id, {
      ...signed,
      evidence: new Map(
        archived?.evidence
          .filter(({ evidence }) => waveOf(document, evidence.node) !== -1)
          .map((one) => [one.evidence.node, one]),
      ),
      halts: new Map(archived?.halts.map((one) => [one.halt.by, one])),
      begun: archived?.begun ?? false,
      lastNewsMs: this.#deps.clock.monotonicMs(),
    })
  }

  #addOne({ kind, envelope }: Omit<Statement, 'id'>): Promise<Added> {
    if (kind === 'document') return this.#addDocument(envelope)
    if (kind === 'evidence') return this.#addEvidence(envelope)
    return this.#addHalt(envelope)
  }

  #announce(kind: Statement['kind'], id: string, envelope: Envelope): Added {
    this.noteProgress(id)
    const statement = { kind, id, envelope }
    if (this.#held === undefined) this.#tell(statement)
    else this.#held.push(statement)
    return { result: 'new', id }
  }

  #tell(statement: Statement): void {
    this.events.emit('changed', { id: statement.id })
    const document = this.#rollouts.get(statement.id)?.document
    if (document !== undefined && this.#concernsOthers(document)) this.events.emit('news', statement)
  }

  /** What a node without the right deploys to itself is refused by every other, so it is not told to them. */
  #concernsOthers(document: RolloutDocument): boolean {
    return !isOwnAffair(document) || this.#deps.rights.mayDeploy(document.author, document.app)
  }

  /** Depends on the set of documents and the time only, so that nodes drop the same ones and do not send them round. */
  #isKept(id: string, document: RolloutDocument): boolean {
    const later = [...this.#rollouts.values()].filter(
      (other) =>
        other.id !== id &&
        other.document.app === document.app &&
        (other.document.base > document.base || (other.document.base === document.base && other.id < id)),
    ).length
    if (later >= KEPT_PER_APP) return false
    return later === 0 || this.#deps.clock.now() <= document.notAfterMs + AFTERLIFE_MS
  }

  async #prune(): Promise<void> {
    for (const rollout of [...this.#rollouts.values()]) {
      if (!this.#isKept(rollout.id, rollout.document)) await this.#drop(rollout.id)
    }
  }

  async #drop(id: string): Promise<void> {
    this.#rollouts.delete(id)
    await this.#archive.remove(id)
    this.events.emit('dropped', { id })
  }
}

/** The outcome that counts, by node. */
export function outcomesOf(rollout: Rollout): Map<string, Outcome> {
  return new Map([...rollout.evidence].map(([node, { evidence }]) => [node, evidence.outcome]))
}

/** True where a node deploys to itself alone. */
export function isOwnAffair({ author, waves }: RolloutDocument): boolean {
  return waves.flat().every((target) => target === author)
}

/** Same statements, same digest: 64 hex digits. */
function digestOf(rollout: Rollout): string {
  const hashes = [...rollout.evidence.values(), ...rollout.halts.values()].map(({ hash }) => hash).sort()
  return createHash('sha256').update(hashes.join('\n')).digest('hex')
}
