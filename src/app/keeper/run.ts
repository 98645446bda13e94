import { type FSWatcher, watch } from 'node:fs'
import { readdir, rm } from 'node:fs/promises'
import { basename, join } from 'node:path'
import type { Clock, TimerHandle } from '../../base/clock.ts'
import { bootId, isProcessAlive, type ProcessIdentity, readProcessStat } from '../../base/proc.ts'
import { sleep, withTimeout } from '../../base/wait.ts'
import { findMarked, type Group, openGroup, signalAll } from '../placement/index.ts'
import { type Launch, type RunExit, readExit, readLaunch, readPid } from './run-files.ts'

/** The exit is heard by inotify; a keeper that was itself killed is found by this look at the process table. */
const LOOK_INTERVAL_MS = 2000
/** A shell needs a few milliseconds; a machine that is starting everything at once may need seconds. */
const BEGIN_TIMEOUT_MS = 15_000
/** Between two looks at a tree that is ending. */
const TREE_INTERVAL_MS = 10
/** What SIGKILL does not end in this time hangs in the kernel. */
const KILL_TIMEOUT_MS = 10_000

export interface RunDeps {
  readonly id: string
  readonly folder: string
  readonly launch: Launch
  readonly clock: Clock
}

/** One run of an app: its process, its keeper, and how it ended. Outlives the daemon: another one opens it by its folder. */
export class Run {
  readonly id: string
  readonly launch: Launch
  readonly group: Group
  readonly #folder: string
  readonly #clock: Clock
  #app: ProcessIdentity | undefined
  #keeper: ProcessIdentity | undefined
  #exit: RunExit | undefined
  #watcher: FSWatcher | undefined
  #timer: TimerHandle | undefined
  readonly #listeners = new Set<() => void>()

  constructor({ id, folder, launch, clock }: RunDeps) {
    this.id = id
    this.launch = launch
    this.#folder = folder
    this.#clock = clock
    this.group = openGroup(launch.placement, launch.group, id)
  }

  /** The app's process; undefined before it began. */
  get app(): ProcessIdentity | undefined {
    return this.#app
  }

  /** How it ended; undefined while it runs. */
  get exit(): RunExit | undefined {
    return this.#exit
  }

  /** Learns what is new, and keeps on doing so until `unwatch`. */
  watch(): void {
    if (this.#watcher !== undefined || this.#exit !== undefined) return
    try {
      this.#watcher = watch(this.#folder, () => void this.refresh())
      this.#watcher.on('error', () => undefined)
    } catch {
      // No inotify left: the looks below find the exit later.
    }
    this.#schedule()
  }

  unwatch(): void {
    this.#watcher?.close()
    this.#watcher = undefined
    if (this.#timer !== undefined) this.#clock.clearTimeout(this.#timer)
    this.#timer = undefined
  }

  /** Hears when the process is there and when it has ended, until the returned function is called. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  /** Resolves when the app's process is there, or has come and gone. Fails with `timed_out`. */
  begun(): Promise<void> {
    return this.#until('the start of the keeper', BEGIN_TIMEOUT_MS, () => this.#app !== undefined || this.#hasEnded())
  }

  /** Resolves with the exit. Rejects with the signal's reason. */
  async ended(signal?: AbortSignal): Promise<RunExit> {
    for (;;) {
      if (this.#exit !== undefined) return this.#exit
      await this.#change(signal)
    }
  }

  /** Looks once. */
  async refresh(): Promise<void> {
    if (this.#exit !== undefined) return
    const before = this.#app
    const pid = this.#app === undefined ? await readPid(this.#folder, this.launch).catch(() => undefined) : undefined
    if (pid !== undefined) {
      this.#app = pid.app
      this.#keeper = keeperOf(pid)
    }
    const exit = (await readExit(this.#folder)) ?? (await this.#unseenExit())
    if (this.#hasEnded()) return
    if (exit !== undefined) {
      this.#exit = exit
      this.unwatch()
    }
    if (exit !== undefined || this.#app !== before) for (const listener of [...this.#listeners]) listener()
  }

  /** All processes of the run but its keeper. */
  members(): Promise<number[]> {
    return this.group.members()
  }

  /** Sends a signal to all of them. */
  async signal(signal: NodeJS.Signals): Promise<void> {
    signalAll(await this.members(), signal)
  }

  /** Resolves when no process of the run is left, its keeper included. False when that takes longer than `timeoutMs`. */
  async gone(timeoutMs: number, signal?: AbortSignal): Promise<boolean> {
    const until = this.#clock.monotonicMs() + timeoutMs
    for (;;) {
      await this.refresh()
      if ((await this.members()).length === 0 && !this.#isKeeperAlive()) return true
      if (this.#clock.monotonicMs() >= until) return false
      await sleep(TREE_INTERVAL_MS, { signal, clock: this.#clock })
    }
  }

  /** Kills the whole tree with SIGKILL and waits until it is gone and its exit is known. Fails with `timed_out`. */
  async killAll(): Promise<void> {
    await withTimeout(`killing run ${this.id}`, KILL_TIMEOUT_MS, async (signal) => {
      for (;;) {
        await this.group.kill()
        if (await this.gone(TREE_INTERVAL_MS * 10, signal)) return
      }
    })
    await this.refresh()
  }

  /** Takes the folder and the group away; only when all have ended. */
  async discard(): Promise<void> {
    this.unwatch()
    await this.group.remove()
    await rm(this.#folder, { recursive: true, force: true })
  }

  #hasEnded(): boolean {
    return this.#exit !== undefined
  }

  #isKeeperAlive(): boolean {
    return this.#keeper !== undefined && isProcessAlive(this.#keeper)
  }

  /** An exit that no keeper will record any more: its code is not known. */
  async #unseenExit(): Promise<RunExit | undefined> {
    const now = { code: null, atMs: this.#clock.now() }
    if (this.launch.bootId !== bootId()) return now
    if (this.#app !== undefined) {
      if (isProcessAlive(this.#app) || this.#isKeeperAlive()) return undefined
    } else {
      if (this.#watcher !== undefined && this.#clock.now() - this.launch.startedAtMs < BEGIN_TIMEOUT_MS)
        return undefined
      const { keeper, members } = await findMarked(this.id)
      if (keeper !== undefined || members.length > 0) return undefined
    }
    // The keeper may have written its last word between the two looks.
    return (await readExit(this.#folder)) ?? now
  }

  #schedule(): void {
    this.#timer = this.#clock.setTimeout(() => {
      void this.refresh().finally(() => {
        if (this.#timer !== undefined) this.#schedule()
      })
    }, LOOK_INTERVAL_MS)
    this.#timer.unref?.()
  }

  #until(what: string, timeoutMs: number, isTrue: () => boolean): Promise<void> {
    return withTimeout(what, timeoutMs, async (signal) => {
      await this.refresh()
      while (!isTrue()) await this.#change(signal)
    })
  }

  #change(signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason)
      const finish = (): void => {
        stop()
        signal?.removeEventListener('abort', onAbort)
        resolve()
      }
      const onAbort = (): void => {
        stop()
        reject(signal?.reason)
      }
      const stop = this.onChange(finish)
      signal?.addEventListener('abort', onAbort, { once: true })
    })
  }
}

/** The keeper where it lives still: a process that got its pid later began after the app. */
function keeperOf({ app, keeperPid }: { app: ProcessIdentity; keeperPid: number }): ProcessIdentity | undefined {
  const stat = readProcessStat(keeperPid)
  if (stat === undefined || BigInt(stat.startTicks) > BigInt(app.startTicks)) return undefined
  return { pid: keeperPid, startTicks: stat.startTicks, bootId: app.bootId }
}

/** The runs that an instance's run folder tells of, oldest first; what is damaged or empty is taken away. */
export async function openRuns(folder: string, clock: Clock): Promise<Run[]> {
  const runs: Run[] = []
  for (const name of await readdir(folder).catch(() => [])) {
    const path = join(folder, name)
    const launch = await readLaunch(path)
    if (launch === undefined) {
      // Without it nothing was begun: the file is there before the process.
      await rm(path, { recursive: true, force: true })
      continue
    }
    const run = new Run({ id: basename(path), folder: path, launch, clock })
    await run.refresh()
    runs.push(run)
  }
  return runs.sort((a, b) => a.launch.startedAtMs - b.launch.startedAtMs)
}
