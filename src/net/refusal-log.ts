import type { Clock } from '../base/clock.ts'
import type { Logger } from '../base/log.ts'
import { TokenBuckets } from '../base/token-buckets.ts'
import type { Refusal } from './types.ts'

/** Strangers can knock as often as they like: a line for each would fill the disk. Every one is counted all the same. */
const LINES = { perSecond: 0.2, burst: 20, maxKeys: 1 }

/** The log of refused connections, a few lines a minute whatever happens, each with how many were left out before it. */
export class RefusalLog {
  readonly #log: Logger
  readonly #lines: TokenBuckets
  #leftOut = 0

  constructor(log: Logger, clock: Clock) {
    this.#log = log
    this.#lines = new TokenBuckets({ ...LINES, clock })
  }

  tell(refusal: Refusal): void {
    if (!this.#lines.take('refused')) {
      this.#leftOut++
      return
    }
    const more = this.#leftOut === 0 ? {} : { left_out_before: this.#leftOut }
    this.#leftOut = 0
    this.#log.warn({ ...refusal, ...more }, 'a connection was refused')
  }
}
