import { createHash } from 'node:crypto'
import type { Clock, TimerHandle } from '../../base/clock.ts'
import { readFileBounded, setAside, writeFileAtomic } from '../../base/files.ts'
import type { Logger } from '../../base/log.ts'
import { TokenBuckets } from '../../base/token-buckets.ts'
import { SerialQueue } from '../../base/wait.ts'
import { readRecord, type SignedRecord } from './address-record.ts'
import { MAX_RECORDS, MAX_RECORDS_FILE_BYTES, RECORD_RATE, SAVE_AFTER_MS } from './limits.ts'

/** What a store of records needs. */
export interface RecordStoreInit {
  readonly self: string
  /** Kept here, one envelope a line; undefined: in memory alone. */
  readonly file: string | undefined
  /** Whether a node's addresses are of interest: those of who may be dialled. */
  readonly allow: (peer: string) => boolean
  readonly clock: Clock
  readonly log: Logger
}

/** Characters of an id that tell records apart in a comparison: 70 bits of a hash of nobody's choice. */
const TAIL = 12

/** The newest record of each member, verified, and kept over restarts. */
export class RecordStore {
  readonly #init: RecordStoreInit
  readonly #records = new Map<string, SignedRecord>()
  readonly #rate: TokenBuckets
  readonly #writes = new SerialQueue()
  #timer: TimerHandle | undefined

  constructor(init: RecordStoreInit) {
    this.#init = init
    this.#rate = new TokenBuckets({ ...RECORD_RATE, clock: init.clock })
  }

  /** Reads the file, where there is one. A damaged one is set aside, a damaged line left out. */
  async load(): Promise<void> {
    const { file, log, clock } = this.#init
    if (file === undefined) return
    let text: string
    try {
      text = (await readFileBounded(file, MAX_RECORDS_FILE_BYTES))?.toString('utf8') ?? ''
    } catch (error) {
      log.warn({ file, error: String(error) }, 'the known addresses are unreadable; they are learned again')
      await setAside(file, clock.now()).catch(() => undefined)
      return
    }
    for (const line of text.split('\n')) {
      if (line === '') continue
      try {
        this.#take(readRecord(Buffer.from(line)))
      } catch (error) {
        log.warn({ file, error: String(error) }, 'a line of the known addresses is damaged and left out')
      }
    }
  }

  of(peer: string): SignedRecord | undefined {
    return this.#records.get(peer)
  }

  /** Every record but those of nodes that are no longer admitted. */
  all(): SignedRecord[] {
    this.#sweep()
    return [...this.#records.values()]
  }

  /** Sets this node's own record. */
  setOwn(signed: SignedRecord): void {
    this.#records.set(signed.record.id, signed)
    this.#saveSoon()
  }

  /**
   * Takes a record from anywhere. True where it is newer than what was known. False where it is not, where its node is
   * not admitted, changes its addresses too often, or there are too many. Fails with `address_record_invalid`.
   */
  add(bytes: Uint8Array): SignedRecord | undefined {
    const signed = readRecord(bytes)
    const { id } = signed.record
    if (id !== this.#init.self && this.#isNewer(signed) && !this.#rate.take(id)) return undefined
    if (!this.#take(signed)) return undefined
    this.#saveSoon()
    return signed
  }

  /** Equal on two nodes that know the same of all others but of these two. */
  digestWithout(...peers: string[]): string {
    const known = this.all().filter(({ record }) => !peers.includes(record.id))
    const lines = known.map(({ record }) => `${record.id} ${record.sequence}`).sort()
    return createHash('sha256').update(lines.join('\n')).digest('base64url').slice(0, 22)
  }

  /** The sequence of each record by the end of its node's id. */
  sequences(): Record<string, number> {
    return Object.fromEntries(this.all().map(({ record }) => [record.id.slice(-TAIL), record.sequence]))
  }

  /** The records that are newer than those with these sequences. */
  newerThan(sequences: Readonly<Record<string, unknown>>): SignedRecord[] {
    return this.all().filter(({ record }) => {
      const known = sequences[record.id.slice(-TAIL)]
      return typeof known !== 'number' || known < record.sequence
    })
  }

  /** Writes what is not on disk yet. */
  async stop(): Promise<void> {
    if (this.#timer !== undefined) {
      this.#init.clock.clearTimeout(this.#timer)
      this.#timer = undefined
      this.#save()
    }
    await this.#writes.run(async () => undefined)
  }

  #isNewer({ record }: SignedRecord): boolean {
    return record.sequence > (this.#records.get(record.id)?.record.sequence ?? 0)
  }

  #take(signed: SignedRecord): boolean {
    const { id } = signed.record
    if (!this.#isNewer(signed)) return false
    if (id !== this.#init.self && !this.#init.allow(id)) return false
    if (!this.#records.has(id) && this.#records.size >= MAX_RECORDS) this.#sweep()
    if (!this.#records.has(id) && this.#records.size >= MAX_RECORDS) return false
    this.#records.set(id, signed)
    return true
  }

  #sweep(): void {
    for (const id of this.#records.keys()) {
      if (id !== this.#init.self && !this.#init.allow(id)) this.#records.delete(id)
    }
  }

  #saveSoon(): void {
    if (this.#init.file === undefined || this.#timer !== undefined) return
    this.#timer = this.#init.clock.setTimeout(() => {
      this.#timer = undefined
      this.#save()
    }, SAVE_AFTER_MS)
    this.#timer.unref?.()
  }

  #save(): void {
    const { file, log } = this.#init
    if (file === undefined) return
    const text = this.all()
      .map(({ bytes }) => `${Buffer.from(bytes).toString('utf8')}\n`)
      .join('')
    void this.#writes.run(() =>
      writeFileAtomic(file, text).catch((error: unknown) =>
        log.error({ file, error: String(error) }, 'the known addresses could not be written'),
      ),
    )
  }
}
