import type { Clock } from '../base/clock.ts'
import type { Decision } from '../base/decisions.ts'
import { TokenBuckets } from '../base/token-buckets.ts'

/** So many equal refusals in a window have a line each; that shows a pattern, and more add nothing to it. */
const LINES_EACH = 20
const WINDOW_MS = 60_000
/**
 * Lines for refusals of one kind in all: 10 a minute are 5 MB a day, so that a stranger who asks with ever new
 * addresses needs weeks to push what was written before out of the files that are kept; the burst keeps an ordinary
 * mishap whole.
 */
const LINES_PER_SECOND = 10 / 60
const BURST = 200
/** Of these so many for each one that is a member, so that one who is refused without end uses up nobody else's lines. */
const REFUSALS_EACH = { perSecond: 2 / 60, burst: 20, maxKeys: 4096 }
/** There are about a dozen kinds. */
const MAX_KINDS = 64
/**
 * What is told of whoever comes: those who are refused may be anybody, with a new id each time; those who are let in may
 * come again without end, and must not push out what was written before.
 */
const COMINGS: ReadonlySet<string> = new Set(['connection', 'join'])
/** Comings of one member with a line each. */
const COMINGS_EACH = { perSecond: 1 / 60, burst: 20, maxKeys: 4096 }
/** The subject of the line that stands for refusals beyond those limits. */
const OTHERS = 'others'

/** A decision to be written, which may stand for several. */
export type Folded = Decision & { readonly count?: number }

interface Window {
  readonly startMs: number
  lines: number
  /** Decisions without a line of their own, and the last of them. */
  folded: number
  last: Decision
}

/**
 * Keeps a flood of refusals and failures from filling the disk. Of what was allowed, only equal decisions on one peer are
 * told as one; connections and renewals of one that comes again and again are, too. What else was done is never folded.
 */
export class Fold {
  readonly #clock: Clock
  readonly #buckets: TokenBuckets
  readonly #refusals: TokenBuckets
  readonly #comings: TokenBuckets
  readonly #windows = new Map<string, Window>()

  constructor(clock: Clock) {
    this.#clock = clock
    this.#buckets = new TokenBuckets({ perSecond: LINES_PER_SECOND, burst: BURST, maxKeys: MAX_KINDS, clock })
    this.#refusals = new TokenBuckets({ ...REFUSALS_EACH, clock })
    this.#comings = new TokenBuckets({ ...COMINGS_EACH, clock })
  }

  /** True where windows are open, which `close` will end. */
  get isOpen(): boolean {
    return this.#windows.size > 0
  }

  /** The decision, where it has a line of its own; undefined where it was counted. */
  take(decision: Decision): Folded | undefined {
    const { what, outcome, by } = decision
    const isComing = COMINGS.has(what) && (outcome === 'allowed' || outcome === 'done')
    if (!isComing && (outcome === 'done' || (outcome === 'allowed' && by === 'local'))) return decision
    const key = JSON.stringify([decision.what, decision.outcome, decision.by, decision.subject])
    const window = this.#windows.get(key)
    if (window !== undefined && window.lines >= LINES_EACH) {
      count(window, decision)
      return undefined
    }
    if (isComing && !this.#comings.take(`${what} ${by}`)) {
      count(this.#windowOf(JSON.stringify([what, outcome, by]), decision), { ...decision, subject: OTHERS })
      return undefined
    }
    const isRefusal = !isComing && outcome !== 'allowed'
    const isMember = by !== null && by !== 'local' && !COMINGS.has(what)
    if (isRefusal && isMember && !this.#refusals.take(`${what} ${by}`)) {
      count(this.#windowOf(JSON.stringify([what, outcome, by]), decision), { ...decision, subject: OTHERS })
      return undefined
    }
    if (isRefusal && !this.#buckets.take(what)) {
      count(this.#windowOf(JSON.stringify([what, outcome]), decision), { ...decision, by: null, subject: OTHERS })
      return undefined
    }
    this.#windowOf(key, decision).lines++
    return decision
  }

  /** One line for each kind of decision that was counted in windows that are over, or in all of them. */
  close(all = false): Folded[] {
    const nowMs = this.#clock.monotonicMs()
    const lines: Folded[] = []
    for (const [key, { startMs, folded, last }] of this.#windows) {
      if (!all && nowMs - startMs < WINDOW_MS) continue
      this.#windows.delete(key)
      if (folded > 0) lines.push({ ...last, count: folded })
    }
    return lines
  }

  #windowOf(key: string, last: Decision): Window {
    let window = this.#windows.get(key)
    if (window === undefined) {
      window = { startMs: this.#clock.monotonicMs(), lines: 0, folded: 0, last }
      this.#windows.set(key, window)
    }
    return window
  }
}

function count(window: Window, decision: Decision): void {
  window.folded++
  window.last = decision
}
