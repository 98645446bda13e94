import { mkdir, truncate } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Clock, TimerHandle } from '../base/clock.ts'
import type { Decision } from '../base/decisions.ts'
import { writeFileAtomic } from '../base/files.ts'
import { Growth } from '../base/growth.ts'
import type { Logger } from '../base/log.ts'
import { SerialQueue } from '../base/wait.ts'
import type { Signer } from '../identity/index.ts'
import { type AuditEntry, type Draft, draftOf, weightOf } from './entry.ts'
import { Fold } from './fold.ts'
import { encodeHead, type SignedAuditHead, signHead } from './head.ts'
import { type ChainEnd, findEnd, MAX_FILE_BYTES, MAX_FILES, openSnapshot } from './log-files.ts'
import { ownHeadPath, readOwnHead } from './offline.ts'
import { type ReadAuditOptions, readEntries } from './read.ts'
import { type AuditVerdict, type PeerHeads, verifySnapshot } from './verify.ts'
import { LogWriter } from './writer.ts'

/** Decisions of one moment are flushed together: a flush costs some milliseconds of the disk. */
const FLUSH_MS = 100
/** Then it is tried again to write where it failed. */
const RETRY_MS = 1000
/** Decisions that wait for the disk: some 25,000 of ordinary size. */
const MAX_WAITING_BYTES = 8 * 1000 * 1000
/** Flushed in one go; the file is set aside between two. */
const BATCH_BYTES = 1000 * 1000
/** Folded refusals are written when their minute is over, or so long after it. */
const FOLD_CHECK_MS = 10_000
/** The own head on disk is at most so old while the log grows. */
const HEAD_MS = 10_000

/** The audit log of a node. */
export interface Audit {
  /** Keeps a decision. Never throws and never waits: it is on disk some 100 ms later. */
  tell(decision: Decision): void
  /** The last entry that is flushed, signed; undefined while there is none. */
  head(): SignedAuditHead | undefined
  /** Calls the listener after entries were flushed, until the returned function is called. */
  onGrowth(listener: () => void): () => void
  /** The entries in their order; with `follow` also those to come, until the signal. */
  read(options?: ReadAuditOptions & { readonly follow?: boolean }): AsyncGenerator<AuditEntry>
  /** Recomputes the whole chain, and compares it with the own head and with what peers keep. */
  verify(options?: { peers?: readonly PeerHeads[]; signal?: AbortSignal }): Promise<AuditVerdict>
  /** What a person should look at: that the log cannot be written, or was cut; undefined where all is well. */
  problem(): string | undefined
  /** Resolves when all that was told is on disk, or could not be written. */
  flush(): Promise<void>
  /** Flushes and closes; what is told later is dropped. Safe to call twice. */
  stop(): Promise<void>
}

export interface AuditOptions {
  /** `audit.log`; the files set aside and the own head lie beside it. */
  readonly file: string
  /** The node's key, for the heads. */
  readonly signer: Signer
  readonly nodeId: string
  readonly clock: Clock
  readonly log: Logger
  /** For tests; by default 10 MB, 10 files and 8 MB. */
  readonly limits?: { readonly maxBytes?: number; readonly maxFiles?: number; readonly maxWaitingBytes?: number }
}

/**
 * Opens the log, made where it is missing. A line that a crash cut off is removed; that, a log that ends before its own
 * signed head, and a head that is missing, is noted by an entry. A full disk is no failure; fails as the file system does where the files that
 * are there cannot be read.
 */
export async function openAudit(options: AuditOptions): Promise<Audit> {
  const { file, signer, nodeId } = options
  await mkdir(dirname(file), { recursive: true, mode: 0o700 })
  const { end, size, torn } = await findEnd(file)
  if (torn > 0) await truncate(file, size)
  let headFault = 'it is missing'
  const known = await readOwnHead(file, nodeId).catch((error: Error) => {
    headFault = error.message
    return undefined
  })
  const audit = new ChainedAudit({ ...options, limits: options.limits ?? {} }, { end, size })
  if (end.seq === 0) audit.note('begun', 'done', { detail: { node: nodeId, key: signer.keyId } })
  if (torn > 0) audit.note('torn', 'failed', { reason: 'the end of a line was missing', detail: { bytes: torn } })
  if (known === undefined && end.seq > 0) audit.note('head', 'failed', { reason: `the own head: ${headFault}` })
  if (known !== undefined && (known.seq > end.seq || (known.seq === end.seq && known.hash !== end.hash))) {
    audit.noteCut(known, end)
  }
  await audit.flush()
  return audit
}

type Options = AuditOptions & { readonly limits: NonNullable<AuditOptions['limits']> }

class ChainedAudit implements Audit {
  readonly #options: Options
  readonly #writer: LogWriter
  readonly #fold: Fold
  readonly #work = new SerialQueue()
  readonly #listeners = new Set<() => void>()
  #waiting: Draft[] = []
  #waitingBytes = 0
  /** Decisions that found no room while the disk was full. */
  #lost = 0
  #fault: string | undefined
  #cut: string | undefined
  #timer: TimerHandle | undefined
  #foldTimer: TimerHandle | undefined
  #head: SignedAuditHead | undefined
  #headOnDisk: SignedAuditHead | undefined
  #headTimer: TimerHandle | undefined
  #headWrittenMs = Number.NEGATIVE_INFINITY
  #isStopped = false

  constructor(options: Options, { end, size }: { end: ChainEnd; size: number }) {
    this.#options = options
    this.#fold = new Fold(options.clock)
    const { maxBytes = MAX_FILE_BYTES, maxFiles = MAX_FILES } = options.limits
    this.#writer = new LogWriter({ file: options.file, end, size, maxBytes, maxFiles, now: () => options.clock.now() })
  }

  tell(decision: Decision): void {
    try {
      if (this.#isStopped) return
      const line = this.#fold.take(decision)
      if (line !== undefined) this.#add(draftOf(line, this.#options.clock.now()))
      this.#watchFolds()
    } catch (error) {
      this.#lost++
      this.#options.log.error({ err: error }, 'a decision could not be put into the audit log')
    }
  }

  /** An entry about the log itself. */
  note(subject: string, outcome: 'done' | 'failed', rest: Pick<Decision, 'reason' | 'detail'>): void {
    this.tell({ what: 'audit', outcome, by: null, subject, ...rest })
  }

  noteCut(known: ChainEnd, end: ChainEnd): void {
    this.#cut = `the audit log was cut or changed: entry ${known.seq} was signed, but the log ended with ${end.seq}`
    this.#options.log.warn({ signed: known.seq, end: end.seq }, this.#cut)
    this.note('cut', 'failed', {
      reason: 'the log ends before its own signed head, or with another entry',
      detail: { signed: known.seq, hash: known.hash, end: end.seq },
    })
  }

  head(): SignedAuditHead | undefined {
    const { nodeId, signer, clock } = this.#options
    const { seq, hash } = this.#writer.end
    if (seq === 0) return undefined
    if (this.#head?.seq !== seq || this.#head.hash !== hash) {
      this.#head = signHead({ node: nodeId, seq, hash, timeMs: clock.now() }, signer)
    }
    return this.#head
  }

  onGrowth(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  async *read(options: ReadAuditOptions & { follow?: boolean } = {}): AsyncGenerator<AuditEntry> {
    const { follow = false, signal } = options
    const growth = new Growth(this, signal)
    try {
      await this.flush()
      let from: ReadAuditOptions = options
      let seen: { generation: number; size: number } | undefined
      do {
        const { snapshot, end, ...at } = await this.#snapshot()
        // What follows in the same file is read from where the last reading ended.
        const liveFrom = seen?.generation === at.generation ? seen.size : undefined
        try {
          let last = from.cursor ?? (from.tail === 0 ? end.seq : undefined)
          for await (const entry of readEntries(snapshot, end.seq, { ...from, liveFrom })) {
            yield entry
            last = entry.seq
          }
          // A time that nothing was written since stays the place to begin at.
          if (last !== undefined) from = { cursor: last, signal }
          seen = at
        } finally {
          await snapshot.close()
        }
      } while (follow && !this.#isStopped && (await growth.next()))
    } finally {
      growth.close()
    }
  }

  async verify({
    peers = [],
    signal,
  }: {
    peers?: readonly PeerHeads[]
    signal?: AbortSignal
  } = {}): Promise<AuditVerdict> {
    await this.flush()
    const onDisk = await readOwnHead(this.#options.file, this.#options.nodeId).catch(() => undefined)
    const { snapshot, end } = await this.#snapshot(this.#fault === undefined)
    const { maxBytes = MAX_FILE_BYTES, maxFiles = MAX_FILES } = this.#options.limits
    try {
      const own = [...(onDisk === undefined ? [] : [onDisk]), ...(end.seq === 0 ? [] : [end])]
      return await verifySnapshot(snapshot, { own, peers, end, rotatedBytes: maxBytes * maxFiles, signal })
    } finally {
      await snapshot.close()
    }
  }

  problem(): string | undefined {
    if (this.#fault === undefined) return this.#cut
    return `the audit log cannot be written: ${this.#fault} (${this.#waiting.length} decisions wait, ${this.#lost} are lost)`
  }

  flush(): Promise<void> {
    this.#clearTimer()
    return this.#work.run(() => this.#drain())
  }

  async stop(): Promise<void> {
    if (this.#isStopped) return
    for (const timer of [this.#foldTimer, this.#headTimer]) {
      if (timer !== undefined) this.#options.clock.clearTimeout(timer)
    }
    this.#writeFolds(true)
    this.#isStopped = true
    await this.flush()
    this.#clearTimer()
    await this.#work.run(async () => {
      await this.#writeHead(true)
      await this.#writer.close()
    })
    const missing = this.#waiting.length + this.#lost
    if (missing > 0) this.#options.log.error({ missing, reason: this.#fault }, 'decisions are missing in the audit log')
    this.#tellGrowth()
  }

  #add(draft: Draft): void {
    const bytes = weightOf(draft)
    if (this.#waitingBytes + bytes > (this.#options.limits.maxWaitingBytes ?? MAX_WAITING_BYTES)) this.#lost++
    else {
      this.#waiting.push(draft)
      this.#waitingBytes += bytes
    }
    if (this.#timer === undefined) this.#flushIn(FLUSH_MS)
  }

  #flushIn(delayMs: number): void {
    if (this.#isStopped) return
    this.#timer = this.#options.clock.setTimeout(() => void this.flush(), delayMs)
    this.#timer.unref?.()
  }

  #clearTimer(): void {
    if (this.#timer !== undefined) this.#options.clock.clearTimeout(this.#timer)
    this.#timer = undefined
  }

  /** Writes what waits, as far as the disk takes it. Never rejects. */
  async #drain(): Promise<void> {
    while (this.#waiting.length > 0 || this.#lost > 0) {
      const batch = this.#nextBatch()
      const lost = batch.length === this.#waiting.length ? this.#lost : 0
      const drafts = lost === 0 ? batch : [...batch, this.#lostDraft(lost)]
      try {
        await this.#writer.append(drafts)
      } catch (error) {
        this.#failed(error as Error)
        return
      }
      this.#waiting = this.#waiting.slice(batch.length)
      this.#waitingBytes -= batch.reduce((sum, draft) => sum + weightOf(draft), 0)
      this.#lost -= lost
      this.#fault = undefined
      this.#tellGrowth()
    }
    await this.#writeHead(false)
  }

  #nextBatch(): Draft[] {
    let bytes = 0
    const end = this.#waiting.findIndex((draft) => {
      bytes += weightOf(draft)
      return bytes > BATCH_BYTES
    })
    return end === -1 ? this.#waiting.slice() : this.#waiting.slice(0, Math.max(1, end))
  }

  #lostDraft(count: number): Draft {
    const reason = this.#fault ?? 'more came than the disk took'
    return draftOf(
      { what: 'audit', outcome: 'failed', by: null, subject: 'lost', reason, detail: { count } },
      this.#options.clock.now(),
    )
  }

  #failed(error: Error): void {
    if (this.#fault === undefined) this.#options.log.error({ err: error }, 'the audit log cannot be written')
    this.#fault = error.message
    this.#clearTimer()
    this.#flushIn(RETRY_MS)
  }

  /** Writes the own head where the one on disk is old, or in any case. A failure is for `problem` of the log to tell. */
  async #writeHead(always: boolean): Promise<void> {
    const { clock, file, log } = this.#options
    const head = this.head()
    if (head === undefined || head === this.#headOnDisk) return
    const waitMs = this.#headWrittenMs + HEAD_MS - clock.monotonicMs()
    if (!always && waitMs > 0) {
      this.#writeHeadIn(waitMs)
      return
    }
    try {
      await writeFileAtomic(ownHeadPath(file), `${JSON.stringify(encodeHead(head))}\n`)
      this.#headWrittenMs = clock.monotonicMs()
      this.#headOnDisk = head
    } catch (error) {
      log.debug({ err: error }, 'the head of the audit log could not be written')
    }
  }

  #writeHeadIn(delayMs: number): void {
    if (this.#headTimer !== undefined || this.#isStopped) return
    this.#headTimer = this.#options.clock.setTimeout(() => {
      this.#headTimer = undefined
      void this.#work.run(() => this.#writeHead(false))
    }, delayMs)
    this.#headTimer.unref?.()
  }

  #watchFolds(): void {
    if (!this.#fold.isOpen || this.#foldTimer !== undefined) return
    this.#foldTimer = this.#options.clock.setTimeout(() => {
      this.#foldTimer = undefined
      this.#writeFolds(false)
      this.#watchFolds()
    }, FOLD_CHECK_MS)
    this.#foldTimer.unref?.()
  }

  #writeFolds(all: boolean): void {
    for (const line of this.#fold.close(all)) this.#add(draftOf(line, this.#options.clock.now()))
  }

  /** The log between two writes: what is flushed, or `whole` with whatever else may be in the live file. */
  #snapshot(whole = false) {
    return this.#work.run(async () => {
      const { end, size, generation } = this.#writer
      return { snapshot: await openSnapshot(this.#options.file, whole ? undefined : size), end, size, generation }
    })
  }

  #tellGrowth(): void {
    for (const listener of [...this.#listeners]) {
      try {
        listener()
      } catch (error) {
        this.#options.log.error({ err: error }, 'a listener of the audit log failed')
      }
    }
  }
}
