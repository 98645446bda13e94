import type { Statement } from './statement.ts'

/** Statements that came before what they follow, by what they need. In memory only: whoever sent them will again. */
export class WaitingRoom {
  readonly #byNeed = new Map<string, Statement[]>()
  /** In the order of arrival, so that the oldest makes room. */
  readonly #needs = new Map<string, string>()

  get size(): number {
    return this.#needs.size
  }
  add(statement: Statement, need: string): void {
    if (this.#needs.has(statement.hash)) return
    this.#needs.set(statement.hash, need)
    const others = this.#byNeed.get(need)
    if (others === undefined) this.#byNeed.set(need, [statement])
    else others.push(statement)
  }
  /** Takes out all that need this. */
  take(need: string): Statement[] {
    const statements = this.#byNeed.get(need) ?? []
    this.#byNeed.delete(need)
    for (const { hash } of statements) this.#needs.delete(hash)
    return statements
  }
  /** Takes out all. */
  takeAll(): Statement[] {
    const statements = [...this.#byNeed.values()].flat()
    this.#byNeed.clear()
    this.#needs.clear()
    return statements
  }
  /** Drops the oldest until at most `limit` are left. */
  trim(limit: number): void {
    for (const [hash, need] of this.#needs) {
      if (this.#needs.size <= limit) return
      this.#needs.delete(hash)
      const left = (this.#byNeed.get(need) ?? []).filter((statement) => statement.hash !== hash)
      if (left.length === 0) this.#byNeed.delete(need)
      else this.#byNeed.set(need, left)
    }
  }
}
