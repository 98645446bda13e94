import type { Checkpoint } from './checkpoint.ts'
import { ROOT_AUTHOR } from './constants.ts'
import type { Statement } from './statement.ts'

/** A statement whose author's signature was verified. */
export interface Verified extends Statement {
  /** Id of the key that signed it for its author. */
  readonly signedBy: string
  /** Of a statement of the root: the key that signs the one after it. */
  readonly nextRoot?: Uint8Array
}

/** An entry of a log, by its place and hash. */
export interface Place {
  readonly seq: number
  readonly hash: string
}

/**
 * The statements that a node holds, each following the one before it in its author's log, or named by the checkpoint
 * that the set was made for. Only grows, but for `remove` of the latest.
 */
export class StatementSet {
  /** The checkpoint that says what exists of what it covers. */
  readonly base: Checkpoint | undefined
  #bytes = 0
  readonly #byHash = new Map<string, Verified>()
  readonly #byAuthor = new Map<string, Verified[]>()
  readonly #byType = new Map<string, Verified[]>()
  readonly #after = new Map<string, Verified[]>()

  constructor(base?: Checkpoint) {
    this.base = base
  }

  get size(): number {
    return this.#byHash.size
  }
  /** Of all payloads but the root's. */
  get bytes(): number {
    return this.#bytes
  }
  get(hash: string): Verified | undefined {
    return this.#byHash.get(hash)
  }
  all(): Iterable<Verified> {
    return this.#byHash.values()
  }
  /** All with a log here, or one that the checkpoint covers. */
  authors(): string[] {
    return [...new Set([...this.#byAuthor.keys(), ...(this.base?.frontier.keys() ?? [])])].sort()
  }
  /** All of an author, in the order they came; each comes after the one it follows. */
  ofAuthor(author: string): readonly Verified[] {
    return this.#byAuthor.get(author) ?? []
  }
  ofType(type: string): readonly Verified[] {
    return this.#byType.get(type) ?? []
  }
  /** The author's entries that follow `prev`: more than one is a fork. */
  after(author: string, prev: string): readonly Verified[] {
    return this.#after.get(`${author} ${prev}`) ?? []
  }
  /** The hashes of an entry and all before it in its log. */
  lineOf(hash: string): Set<string> {
    const line = new Set<string>()
    for (let at = this.#byHash.get(hash); at !== undefined; at = this.#byHash.get(at.prev)) line.add(at.hash)
    return line
  }
  /** The last entry of a log that the checkpoint covers; undefined where it covers none. */
  frontierOf(author: string): Place | undefined {
    return this.base?.frontier.get(author)
  }
  /** True at a place of a log that the checkpoint covers: there it is, not the chain, that says what exists. */
  isCovered({ author, seq }: { author: string; seq: number }): boolean {
    return seq <= (this.frontierOf(author)?.seq ?? 0)
  }
  /** True for a statement that a checkpoint did away with, or that follows such a one. */
  isGone({ author, seq, prev, hash }: Pick<Statement, 'author' | 'seq' | 'prev' | 'hash'>): boolean {
    if (this.base === undefined || this.#byHash.has(hash)) return false
    // The root's log is kept whole; what the checkpoint stands on is settled.
    if (author === ROOT_AUTHOR) return seq <= this.base.seq
    const frontier = this.frontierOf(author)
    if (frontier === undefined || seq > frontier.seq + 1) return false
    return seq === frontier.seq + 1 ? prev !== frontier.hash : !this.base.live.has(hash)
  }
  /** What the checkpoint names and this set lacks. */
  missingLive(): string[] {
    return [...(this.base?.live ?? [])].filter((hash) => !this.#byHash.has(hash))
  }
  add(statement: Verified): void {
    this.#byHash.set(statement.hash, statement)
    this.#bytes += bytesOf(statement)
    for (const list of this.#lists(statement)) list.push(statement)
  }
  /** Takes back the statement added last, for instance because it could not be stored. */
  remove(statement: Verified): void {
    if (this.#byHash.delete(statement.hash)) this.#bytes -= bytesOf(statement)
    for (const list of this.#lists(statement)) if (list.at(-1) === statement) list.pop()
  }
  #lists(statement: Verified): Verified[][] {
    return [
      listAt(this.#byAuthor, statement.author),
      listAt(this.#byType, statement.type),
      listAt(this.#after, `${statement.author} ${statement.prev}`),
    ]
  }
}

/** What a statement takes of the room for those that count for nothing. */
export function voidCostOf({ envelope }: Verified): number {
  return Math.ceil(envelope.payload.length / 1024)
}

function bytesOf({ author, envelope }: Verified): number {
  return author === ROOT_AUTHOR ? 0 : envelope.payload.length
}

function listAt(map: Map<string, Verified[]>, key: string): Verified[] {
  const known = map.get(key)
  if (known !== undefined) return known
  const list: Verified[] = []
  map.set(key, list)
  return list
}
