import type { Clock } from '../base/clock.ts'

interface AttemptsInit {
  /** Failed attempts that a key has at once. */
  readonly burst: number
  /** Of these come back in a second. */
  readonly perSecond: number
  /** Keys remembered at once; the one unused longest is forgotten first. */
  readonly maxKeys: number
  readonly clock: Clock
}

interface Account {
  tokens: number
  atMs: number
  underWay: number
  readonly waiting: Set<() => void>
}

/** Ends an attempt; called once, and true where it went well. */
type EndAttempt = (well: boolean) => void

/**
 * Attempts by key (an address, the whole node), of which only the failed ones cost: each takes a token, and one that
 * went well gives it back. One that finds no token waits while others of its key are under way, since they may give
 * theirs back: guessing at many in parallel wins nothing, and a fleet that comes at once from one address is let in.
 */
export class Attempts {
  readonly #init: AttemptsInit
  readonly #accounts = new Map<string, Account>()

  constructor(init: AttemptsInit) {
    this.#init = init
  }

  /** Keys that are remembered: with an attempt under way or one not yet forgiven. */
  get size(): number {
    for (const key of [...this.#accounts.keys()]) this.#forgetIfFull(key, this.#account(key))
    return this.#accounts.size
  }

  /** True where an attempt may begin, now or when one under way has gone well. */
  hasRoom(key: string): boolean {
    const account = this.#account(key)
    return account.tokens >= 1 || account.underWay > 0
  }

  /** Begins an attempt; undefined where the key has none left, or where the signal fired while it waited. */
  async begin(key: string, signal: AbortSignal): Promise<EndAttempt | undefined> {
    for (;;) {
      const account = this.#account(key)
      if (signal.aborted) return undefined
      if (account.tokens >= 1) {
        account.tokens -= 1
        account.underWay += 1
        return (well) => this.#end(key, account, well)
      }
      if (account.underWay === 0) return undefined
      await nextEnd(account, signal)
    }
  }

  /** A failure that was over before it could begin. */
  charge(key: string): void {
    const account = this.#account(key)
    account.tokens = Math.max(0, account.tokens - 1)
  }

  #end(key: string, account: Account, well: boolean): void {
    account.underWay -= 1
    this.#refill(account)
    if (well) account.tokens = Math.min(this.#init.burst, account.tokens + 1)
    for (const wake of [...account.waiting]) wake()
    this.#forgetIfFull(key, account)
  }

  #account(key: string): Account {
    const { burst, maxKeys, clock } = this.#init
    const account = this.#accounts.get(key) ?? {
      tokens: burst,
      atMs: clock.monotonicMs(),
      underWay: 0,
      waiting: new Set(),
    }
    this.#refill(account)
    this.#accounts.delete(key)
    this.#accounts.set(key, account)
    if (this.#accounts.size > maxKeys) this.#forgetOldest()
    return account
  }

  #refill(account: Account): void {
    const nowMs = this.#init.clock.monotonicMs()
    account.tokens = Math.min(this.#init.burst, account.tokens + ((nowMs - account.atMs) / 1000) * this.#init.perSecond)
    account.atMs = nowMs
  }

  #forgetIfFull(key: string, account: Account): void {
    if (account.underWay === 0 && account.tokens >= this.#init.burst) this.#accounts.delete(key)
  }

  #forgetOldest(): void {
    for (const [key, account] of this.#accounts) {
      if (account.underWay > 0) continue
      this.#accounts.delete(key)
      return
    }
  }
}

function nextEnd(account: Account, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const wake = (): void => {
      account.waiting.delete(wake)
      signal.removeEventListener('abort', wake)
      resolve()
    }
    account.waiting.add(wake)
    signal.addEventListener('abort', wake, { once: true })
  })
}
