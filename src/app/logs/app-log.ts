import { type FSWatcher, watch } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import type { Clock, TimerHandle } from '../../base/clock.ts'
import type { Logger } from '../../base/log.ts'
import { SerialQueue } from '../../base/wait.ts'
import { OBSERVE_INTERVAL_MS, QUIET_LOOKS } from './limits.ts'
import { type Freeze, LogFile } from './log-file.ts'
import { punchHole as punchHoleByTool } from './punch-hole.ts'

export interface AppLogDeps {
  readonly folder: string
  readonly maxBytes: number
  readonly files: number
  readonly clock: Clock
  readonly log: Logger
  /** Stops all that may write, for a file system that cannot punch holes. */
  readonly freeze: Freeze
  readonly punchHole?: (path: string, offset: number, length: number) => Promise<boolean>
}

/**
 * Both streams of an app. While watched it notes the times of what is written and rotates: at rest it only waits for
 * inotify; while something grows it looks ten times a second, however fast the app writes.
 */
export class AppLog {
  readonly stdout: LogFile
  readonly stderr: LogFile
  readonly #deps: AppLogDeps
  readonly #queue = new SerialQueue()
  readonly #listeners = new Set<() => void>()
  #watcher: FSWatcher | undefined
  #timer: TimerHandle | undefined
  #isWatched = false
  #quietLooks = 0

  constructor(deps: AppLogDeps) {
    this.#deps = deps
    const { folder, maxBytes, files, clock, punchHole = punchHoleByTool } = deps
    this.stdout = new LogFile({ folder, maxBytes, files, clock, punchHole, stream: 'stdout' })
    this.stderr = new LogFile({ folder, maxBytes, files, clock, punchHole, stream: 'stderr' })
  }

  /** Opens both files, made where missing. `close` frees them. */
  async open(): Promise<void> {
    await mkdir(this.#deps.folder, { recursive: true, mode: 0o700 })
    await this.stdout.open()
    await this.stderr.open()
  }

  /** True where `open` found that a crash may have left the app standing still. */
  get wasInterrupted(): boolean {
    return this.stdout.wasInterrupted || this.stderr.wasInterrupted
  }

  async close(): Promise<void> {
    await this.unwatch()
    await this.#queue.run(async () => {
      await this.stdout.close()
      await this.stderr.close()
    })
    this.#tell()
  }

  /** Begins to note times and to rotate, until `unwatch`. */
  watch(): void {
    if (this.#isWatched) return
    this.#isWatched = true
    this.#look()
  }

  /** Ends the watching after a last look. */
  async unwatch(): Promise<void> {
    this.#isWatched = false
    this.#disarm()
    await this.observe().catch((error: unknown) => this.#deps.log.warn({ error }, 'the log could not be looked at'))
  }

  /** Looks once at both files. Readers are told where one grew. */
  observe(): Promise<boolean> {
    return this.#queue.run(async () => {
      const grew = [await this.stdout.observe(), await this.stderr.observe()].includes(true)
      if (grew) this.#tell()
      return grew
    })
  }

  /** Ends last lines without a newline. Only with nobody writing. */
  endLines(): Promise<void> {
    return this.#queue.run(async () => {
      await this.stdout.endLine()
      await this.stderr.endLine()
      this.#tell()
    })
  }

  /** Hears every growth, until the returned function is called. */
  onGrowth(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  #tell(): void {
    for (const listener of [...this.#listeners]) listener()
  }

  #look(): void {
    this.#quietLooks = 0
    this.#disarm()
    void this.#lookOnce()
  }

  async #lookOnce(): Promise<void> {
    try {
      this.#quietLooks = (await this.observe()) ? 0 : this.#quietLooks + 1
      if (this.stdout.isDue || this.stderr.isDue) await this.#rotate()
    } catch (error) {
      this.#deps.log.warn({ error }, 'the log could not be looked at or rotated')
      this.#quietLooks = 0
    }
    if (!this.#isWatched) return
    if (this.#quietLooks >= QUIET_LOOKS) return this.#arm()
    this.#timer = this.#deps.clock.setTimeout(() => void this.#lookOnce(), OBSERVE_INTERVAL_MS)
  }

  #rotate(): Promise<void> {
    return this.#queue.run(async () => {
      await this.stdout.rotate(this.#deps.freeze)
      await this.stderr.rotate(this.#deps.freeze)
    })
  }

  /** Waits for the next write; looks once more when the ear is open, for what came just before. */
  #arm(): void {
    const wake = (name: string | null): void => {
      if (this.#watcher !== undefined && (name === null || name.endsWith('.log'))) this.#look()
    }
    try {
      this.#watcher = watch(this.#deps.folder, (_event, name) => wake(name))
      this.#watcher.on('error', () => wake(null))
    } catch (error) {
      // No inotify left: looking goes on at the same pace, which costs little and loses nothing.
      this.#deps.log.warn({ error }, 'the log cannot be watched; it is looked at by the clock')
      this.#timer = this.#deps.clock.setTimeout(() => void this.#lookOnce(), OBSERVE_INTERVAL_MS)
      return
    }
    this.observe().then(
      (grew) => {
        if (grew) wake(null)
      },
      () => wake(null),
    )
  }

  #disarm(): void {
    this.#watcher?.close()
    this.#watcher = undefined
    if (this.#timer !== undefined) this.#deps.clock.clearTimeout(this.#timer)
    this.#timer = undefined
  }
}
