import { randomBytes } from 'node:crypto'
import { rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Clock, TimerHandle } from '../base/clock.ts'
import { pathExists } from '../base/files.ts'
import type { Logger } from '../base/log.ts'
import { SerialQueue } from '../base/wait.ts'
import {
  type Author,
  announceNetworkKey,
  NETWORK_KEY_FILES,
  networkKeyCheck,
  type Roster,
  readNetworkKey,
  replaceNetworkKey,
  type Statement,
} from '../identity/index.ts'

const KEY_BYTES = 32
/** How long nodes that have not heard of the new key are still let in by the old one; later ones ask for admission. */
const OVERLAP_MS = 10 * 60_000
/** With the newest one and those that a renewal brought, no more than the proof of membership takes. */
const MAX_OLDER = 4
const MAX_RENEWED = 3

/** The network keys that this node holds. */
export interface NetworkKeys {
  /** For the proof of membership: those that this node takes now, the one to prefer first; at most 8. */
  keys(): Uint8Array[]
  /** For a node that is let in: the newest, and those before it that are not forgotten. */
  handOver(): Uint8Array[]
  /** The held key with this check. */
  keyOf(check: string): Uint8Array | undefined
  /** The check of the key that the roster announces and this node does not hold. */
  lacking(): string | undefined
  /** Takes the announced key. False where it is another, or is held already. */
  take(key: Uint8Array): Promise<boolean>
  /**
   * Uses keys that a member has handed over to this node, which does not know yet whether they are announced: for 10
   * minutes at most. True where one of them is new here.
   */
  tryOut(keys: readonly Uint8Array[]): boolean
  /**
   * Makes a new key and announces it. Written down before it is announced, so that no crash leaves a network with a key
   * that nobody has. Fails as `announceNetworkKey` does.
   */
  rotate(author: Author): Promise<Statement>
  /** Ends the timers. */
  stop(): void
}

export interface NetworkKeysOptions {
  /** The home's `keys/`. */
  readonly keysFolder: string
  /** The key that the node started with: of the file, or of the configuration in its place. */
  readonly current: Uint8Array
  readonly roster: Pick<Roster, 'state' | 'onChange'>
  readonly clock: Clock
  readonly log: Logger
}

/** A key and what it is announced by. */
interface Held {
  readonly key: Uint8Array
  readonly check: string
}
interface Passing extends Held {
  /** By the clock's `monotonicMs`, so that nobody who sets the wall clock changes it. */
  readonly untilMs: number
}

/** Reads the files of a home and settles what a crash left between. Fails with `key_permissions` or `network_key_invalid`. */
export async function createNetworkKeys(options: NetworkKeysOptions): Promise<NetworkKeys> {
  const keys = new HeldKeys(options)
  await keys.load()
  return keys
}

class HeldKeys implements NetworkKeys {
  readonly #options: NetworkKeysOptions
  readonly #queue = new SerialQueue()
  readonly #stopListening: () => void
  #newest: Held
  #older: Passing[] = []
  #renewed: Passing[] = []
  /** Made here, and about to be announced. */
  #next: Held | undefined
  /** What this node announced last. */
  #made: { readonly check: string; readonly revision: number; readonly author: Author } | undefined
  #timer: TimerHandle | undefined
  #stopped = false

  constructor(options: NetworkKeysOptions) {
    this.#options = options
    this.#newest = held(options.current)
    this.#stopListening = options.roster.onChange(() => {
      this.#takeKnown()
      this.#rotateAgain()
    })
  }

  /** Call it once, first. */
  async load(): Promise<void> {
    const file = await this.#read('newest')
    const previous = await this.#read('previous')
    const next = await this.#read('next')
    const announced = this.#announced()
    // From the configuration; what is in the file counts once it is announced.
    const isGiven = file?.check !== this.#newest.check
    if (file !== undefined && isGiven && file.check === announced) {
      const given = this.#newest
      this.#newest = file
      this.#keepOlder(given, await this.#ageOf('newest'))
    }
    if (previous !== undefined) this.#keepOlder(previous, await this.#ageOf('previous'))
    if (next === undefined) return
    // Where the file has it already only the end of the move is missing.
    if (next.check === announced && next.check !== file?.check) await this.#adopt(next)
    else await rm(this.#path('next'), { force: true })
  }

  keys(): Uint8Array[] {
    this.#forget()
    return [this.#newest, ...this.#renewed, ...this.#older].map(({ key }) => key)
  }

  handOver(): Uint8Array[] {
    this.#forget()
    return [this.#newest, ...this.#older].map(({ key }) => key)
  }

  keyOf(check: string): Uint8Array | undefined {
    this.#forget()
    const next = this.#next?.check === this.#announced() ? this.#next : undefined
    return [next, this.#newest, ...this.#older].find((each) => each?.check === check)?.key
  }

  lacking(): string | undefined {
    const check = this.#announced()
    if (check === undefined || [this.#newest, this.#next].some((each) => each?.check === check)) return undefined
    return check
  }

  take(key: Uint8Array): Promise<boolean> {
    const taken = held(key)
    return this.#queue.run(async () => {
      if (key.length !== KEY_BYTES || this.lacking() !== taken.check) return false
      await this.#adopt(taken)
      return true
    })
  }

  tryOut(keys: readonly Uint8Array[]): boolean {
    this.#forget()
    const untilMs = this.#options.clock.monotonicMs() + OVERLAP_MS
    const known = new Set([this.#newest, ...this.#older, ...this.#renewed].map(({ check }) => check))
    const added = keys.map((key) => ({ ...held(key), untilMs })).filter(({ check }) => !known.has(check))
    this.#renewed = [...added, ...this.#renewed].slice(0, MAX_RENEWED)
    this.#schedule()
    this.#takeKnown()
    return added.length > 0
  }

  async rotate(author: Author): Promise<Statement> {
    const { statement, check, revision } = await this.#announceNext(author)
    // At the highest revision of all an equal one is the next.
    if (revision < Number.MAX_SAFE_INTEGER) this.#made = { check, revision, author }
    this.#rotateAgain()
    return statement
  }

  /**
   * Another admin announced a key at the same time, and that one counts. Its maker may not have known who was removed
   * here, and so may those be who have handed it over since. Once for each rotation: two admins would go on for ever.
   */
  #rotateAgain(): void {
    const made = this.#made
    const { networkKey } = this.#options.roster.state
    if (made === undefined || this.#stopped || networkKey === undefined) return
    if (networkKey.revision === made.revision && networkKey.check === made.check) return
    this.#made = undefined
    if (networkKey.revision !== made.revision) return
    this.#announceNext(made.author).catch((error: unknown) =>
      this.#options.log.warn({ err: error }, 'the network key of another admin counts, and could not be changed again'),
    )
  }

  #announceNext(author: Author): Promise<{ statement: Statement; check: string; revision: number }> {
    return this.#queue.run(async () => {
      const next = held(new Uint8Array(randomBytes(KEY_BYTES)))
      await replaceNetworkKey(this.#path('next'), next.key)
      this.#next = next
      let isStored = true
      try {
        const statement = await announceNetworkKey(author, next.check)
        // Unless another admin did the same in the same moment, and its key is the one that counts.
        if (this.#announced() === next.check) isStored = await this.#adopt(next)
        const revision = statement.known?.type === 'network-key' ? statement.known.body.revision : 0
        return { statement, check: next.check, revision }
      } finally {
        this.#next = undefined
        if (isStored) await rm(this.#path('next'), { force: true })
      }
    })
  }

  stop(): void {
    this.#stopped = true
    this.#stopListening()
    if (this.#timer !== undefined) this.#options.clock.clearTimeout(this.#timer)
  }

  /** A key that was tried out, or was put away, may be what is announced now. */
  #takeKnown(): void {
    const check = this.lacking()
    const known = [...this.#renewed, ...this.#older].find((each) => each.check === check)
    if (known !== undefined) void this.take(known.key)
  }

  /** Makes a key the newest one, in memory first: a full disk must not keep this node out. False where it is not stored. */
  async #adopt(next: Held): Promise<boolean> {
    const before = this.#newest
    this.#newest = next
    this.#renewed = this.#renewed.filter(({ check }) => check !== next.check)
    this.#older = this.#older.filter(({ check }) => check !== next.check)
    this.#keepOlder(before, 0)
    const { log } = this.#options
    try {
      await replaceNetworkKey(this.#path('previous'), before.key)
      await replaceNetworkKey(this.#path('newest'), next.key)
      await rm(this.#path('next'), { force: true })
      log.info({ check: next.check.slice(0, 8) }, 'the network key has changed')
      return true
    } catch (error) {
      log.error({ err: error }, 'the new network key could not be stored; after a start this node asks for it again')
      return false
    }
  }

  #keepOlder(key: Held, ageMs: number): void {
    if (key.check === this.#newest.check) return
    const untilMs = this.#options.clock.monotonicMs() + OVERLAP_MS - ageMs
    const others = this.#older.filter(({ check }) => check !== key.check)
    this.#older = [{ ...key, untilMs }, ...others].slice(0, MAX_OLDER)
    this.#forget()
  }

  /** Drops what is over, and the file of the previous key with the last one. */
  #forget(): void {
    const nowMs = this.#options.clock.monotonicMs()
    const isOver = ({ untilMs }: Passing): boolean => nowMs >= untilMs
    if (this.#older.some(isOver)) {
      this.#older = this.#older.filter((each) => !isOver(each))
      if (this.#older.length === 0) void this.#removePrevious()
    }
    this.#renewed = this.#renewed.filter((each) => !isOver(each))
    this.#schedule()
  }

  #removePrevious(): Promise<void> {
    return this.#queue.run(async () => {
      if (this.#older.length > 0) return
      await rm(this.#path('previous'), { force: true }).catch((error: unknown) =>
        this.#options.log.error({ err: error }, 'the file of the previous network key could not be removed'),
      )
    })
  }

  #schedule(): void {
    const { clock } = this.#options
    if (this.#timer !== undefined) clock.clearTimeout(this.#timer)
    this.#timer = undefined
    const first = Math.min(...[...this.#older, ...this.#renewed].map(({ untilMs }) => untilMs))
    if (this.#stopped || first === Number.POSITIVE_INFINITY) return
    this.#timer = clock.setTimeout(() => this.#forget(), Math.max(0, first - clock.monotonicMs()))
    this.#timer.unref?.()
  }

  #announced(): string | undefined {
    return this.#options.roster.state.networkKey?.check
  }

  #path(which: keyof typeof NETWORK_KEY_FILES): string {
    return join(this.#options.keysFolder, NETWORK_KEY_FILES[which])
  }

  async #read(which: keyof typeof NETWORK_KEY_FILES): Promise<Held | undefined> {
    const path = this.#path(which)
    return (await pathExists(path)) ? held(await readNetworkKey(path)) : undefined
  }

  /** Since when a file is as it is; a time to come counts as now. */
  async #ageOf(which: keyof typeof NETWORK_KEY_FILES): Promise<number> {
    const { mtimeMs } = await stat(this.#path(which))
    return Math.max(0, this.#options.clock.now() - mtimeMs)
  }
}

function held(key: Uint8Array): Held {
  return { key, check: networkKeyCheck(key) }
}
