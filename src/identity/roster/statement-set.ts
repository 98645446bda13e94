import type { Statement } from './statement.ts'

/** A statement whose author's signature was verified. */
export interface Verified extends Statement {
  /** Id of the key that signed it for its author. */
  readonly signedBy: string
}

/** The statements that a node holds, each following the one before it in its author's log. Only grows, but for `remove` of the latest. */
export class StatementSet {
  readonly #byHash = new Map<string, Verified>()
  readonly #byAuthor = new Map<string, Verified[]>()
  readonly #byType = new Map<string, Verified[]>()
  readonly #after = new Map<string, Verified[]>()

  get size(): number {
    return this.#byHash.size
  }
  get(hash: string): Verified | undefined {
    return this.#byHash.get(hash)
  }
  all(): Iterable<Verified> {
    return this.#byHash.values()
  }
  authors(): string[] {
    return [...this.#byAuthor.keys()].sort()
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
  add(statement: Verified): void {
    this.#byHash.set(statement.hash, statement)
    for (const list of this.#lists(statement)) list.push(statement)
  }
  /** Takes back the statement added last, for instance because it could not be stored. */
  remove(statement: Verified): void {
    this.#byHash.delete(statement.hash)
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

function listAt(map: Map<string, Verified[]>, key: string): Verified[] {
  const known = map.get(key)
  if (known !== undefined) return known
  const list: Verified[] = []
  map.set(key, list)
  return list
}
