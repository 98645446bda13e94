import type { Clock, TimerHandle } from '../../base/clock.ts'
import type { Logger } from '../../base/log.ts'
import type { Author, Roster, SignedHead } from '../../identity/index.ts'

/** An admin gives a sign of life this often. */
const INTERVAL_MS = 10 * 60_000
/** Own statements come in groups, such as a removal and the change of the network key after it: one head tells of all. */
const AFTER_CHANGE_MS = 500

export interface HeadSignerOptions {
  readonly roster: Pick<Roster, 'signedHeads' | 'ownLogConfirmed'>
  /** Undefined where this node is no admin, or its authority key is locked. */
  author(): Author | undefined
  readonly clock: Clock
  readonly log: Logger
  /** Hears of each head that tells of something new. The others travel with the exchanges, which are as frequent. */
  onNews(head: SignedHead): void
}

/** Signs this admin's head every 10 minutes. */
export interface HeadSigner {
  /** Signs within half a second; call it after own statements. */
  signSoon(): void
  stop(): void
}

/** Starts to sign, first at once. Does nothing as long as this node is no admin whose own log is known to be whole. */
export function startHeadSigner({ roster, author, clock, log, onNews }: HeadSignerOptions): HeadSigner {
  let timer: TimerHandle | undefined
  let dueMs = Number.POSITIVE_INFINITY
  let stopped = false
  /** Since the last head something was said that others should hear of soon. */
  let isNews = false
  const schedule = (delayMs: number): void => {
    const atMs = clock.monotonicMs() + delayMs
    if (stopped || (timer !== undefined && dueMs <= atMs)) return
    if (timer !== undefined) clock.clearTimeout(timer)
    dueMs = atMs
    timer = clock.setTimeout(() => {
      timer = undefined
      schedule(INTERVAL_MS)
      void sign()
    }, delayMs)
    timer.unref?.()
  }
  const sign = async (): Promise<void> => {
    const wasNews = isNews
    const by = author()
    // A head of a restored backup would name less than this admin has signed already.
    if (by === undefined || !roster.ownLogConfirmed(by.authorId)) return
    isNews = false
    try {
      const signed = await roster.signedHeads.sign({ signer: by.authority, authorId: by.authorId })
      if (!stopped && wasNews) onNews(signed)
    } catch (error) {
      log.warn({ err: error }, 'the head of this admin could not be signed')
    }
  }
  schedule(AFTER_CHANGE_MS)
  return {
    signSoon() {
      isNews = true
      schedule(AFTER_CHANGE_MS)
    },
    stop() {
      stopped = true
      if (timer !== undefined) clock.clearTimeout(timer)
    },
  }
}
