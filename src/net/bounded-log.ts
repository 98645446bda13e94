import type { Clock } from '../base/clock.ts'
import type { Logger } from '../base/log.ts'
import { TokenBuckets } from '../base/token-buckets.ts'

/** Strangers can knock, and peers talk nonsense, as often as they like: a line for each would fill the disk. */
const LINES = { perSecond: 0.2, burst: 20, maxKeys: 1 }

/** A log of what others bring about: a few lines a minute whatever happens, each with how many were left out before it. */
export class BoundedLog {
  readonly #log: Logger
  readonly #lines: TokenBuckets
  #leftOut = 0

  constructor(log: Logger, clock: Clock) {
    this.#log = log
    this.#lines = new TokenBuckets({ ...LINES, clock })
  }

  warn(fields: object, message: string): void {
    if (!this.#lines.take('line')) {
      this.#leftOut++
      return
    }
    const more = this.#leftOut === 0 ? {} : { left_out_before: this.#leftOut }
    this.#leftOut = 0
    this.#log.warn({ ...fields, ...more }, message)
  }
}
