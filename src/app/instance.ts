import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { toWarrenError } from '../base/errors.ts'
import { pathExists } from '../base/files.ts'
import { SerialQueue } from '../base/wait.ts'
import { resolveManifest } from '../bundle/index.ts'
import { type Check, checkOf } from './check.ts'
import type { AppsDeps } from './deps.ts'
import { appEnvironment } from './environment.ts'
import { appErrors } from './errors.ts'
import { type AppExit, describeExit, describeFailure, describeLastLine } from './exit-text.ts'
import { type Health, HealthMonitor } from './health-monitor.ts'
import {
  type HistoryEntry,
  type InstalledVersion,
  type InstanceState,
  withHistory,
  writeInstance,
} from './instance-file.ts'
import { launch } from './keeper/launch.ts'
import { openRuns, type Run } from './keeper/run.ts'
import { AppLog } from './logs/app-log.ts'
import { readLastLine } from './logs/last-line.ts'
import type { Placement } from './placement/index.ts'
import { choosePorts } from './ports.ts'
import { pointCurrent, readInstalledManifest, removeStrayVersions, versionFolderName } from './version-folders.ts'

/** What the instances of a node share. */
export interface InstanceContext {
  readonly deps: AppsDeps
  readonly placement: Placement
  /** Path of the installed keeper script. */
  readonly keeperScript: string
  /** Ports that other instances have, with their names. */
  portsOfOthers(instance: string): ReadonlyMap<number, string>
  onChange(instance: string): void
}

export type AppStatusWord = 'stopped' | 'starting' | 'running' | 'failed'

/**
 * One app on this node: its state on disk, its run, its logs. `settle` makes the processes fit the state; everything
 * else writes the state first and then acts, so that a crash at any point is mended by the next `settle`. The methods
 * are not safe side by side: callers go through `queue`.
 */
export class Instance {
  readonly name: string
  readonly folder: string
  readonly queue = new SerialQueue()
  readonly log: AppLog
  readonly #context: InstanceContext
  readonly #runsFolder: string
  readonly #closing = new AbortController()
  #state: InstanceState
  #run: Run | undefined
  #check: Check | undefined
  #monitor: HealthMonitor | undefined
  #isOnTrial = false
  #lastExit: AppExit | undefined
  #reason: string | null = null
  #sinceMs: number

  constructor(state: InstanceState, folder: string, context: InstanceContext) {
    const { home, clock, log, logs } = context.deps
    this.name = state.instance
    this.folder = folder
    this.#state = state
    this.#context = context
    this.#sinceMs = clock.now()
    this.#runsFolder = join(home, 'run', 'keepers', this.name)
    this.log = new AppLog({
      folder: join(folder, 'logs'),
      ...logs,
      clock,
      log: log.child({ app: this.name }),
      freeze: () => this.#freeze(),
    })
  }

  get state(): InstanceState {
    return this.#state
  }

  /** Fires when the instance is let go of. */
  get closing(): AbortSignal {
    return this.#closing.signal
  }

  get run(): Run | undefined {
    return this.#run
  }

  get check(): Check | undefined {
    return this.#check
  }

  get health(): Health {
    if (this.#run === undefined) return 'none'
    return this.#isOnTrial ? 'pending' : (this.#monitor?.health ?? 'pending')
  }

  get status(): AppStatusWord {
    if (this.#run !== undefined) return this.#isOnTrial ? 'starting' : 'running'
    return this.#reason === null ? 'stopped' : 'failed'
  }

  /** Why it failed or is unhealthy; null where all is well. */
  get reason(): string | null {
    return this.#reason ?? this.#monitor?.reason ?? null
  }

  get lastExit(): AppExit | undefined {
    return this.#lastExit
  }

  /** Since when the status is what it is, in milliseconds since 1970. */
  get sinceMs(): number {
    return this.#run?.launch.startedAtMs ?? this.#sinceMs
  }

  get versionsFolder(): string {
    return join(this.folder, 'versions')
  }

  get dataFolder(): string {
    return join(this.folder, 'data')
  }

  /** Folder of an installed version. */
  versionFolder(version: InstalledVersion): string {
    return join(this.versionsFolder, versionFolderName(version))
  }

  /** Fails with `version_not_found`. */
  version(name: string): InstalledVersion {
    const found = this.#state.versions.find(({ version }) => version === name)
    if (found !== undefined) return found
    const there = this.#state.versions.map(({ version }) => version).join(', ') || 'none'
    throw appErrors.version_not_found(`${this.name} is not installed in version ${name}; installed: ${there}`, {
      hint: `See them: warren app versions ${this.name}`,
    })
  }

  /** Writes a change of the state to disk, then holds it. */
  async save(change: Partial<InstanceState>): Promise<void> {
    const next = { ...this.#state, ...change }
    await writeInstance(this.folder, next)
    this.#state = next
    this.#context.onChange(this.name)
  }

  /** Opens the logs and finds the runs that are there: those of other versions are ended, what should run runs. */
  async open(): Promise<void> {
    await mkdir(this.dataFolder, { recursive: true, mode: 0o700 })
    const runs = await openRuns(this.#runsFolder, this.#context.deps.clock)
    await this.log.open()
    // A crash during a rotation may have left the app standing still.
    for (const run of runs) if (this.log.wasInterrupted && run.exit === undefined) await run.group.thaw()
    await this.#notePending()
    const names = this.#state.versions.map(versionFolderName)
    await removeStrayVersions(this.versionsFolder, names, this.#context.deps.packages)
    for (const run of runs) {
      const isWanted = this.#state.desired === 'running' && run.launch.version === this.#state.active
      if (run.exit === undefined && isWanted && this.#run === undefined) await this.#adopt(run)
      else await this.#end(run, { graceMs: this.#context.deps.stopGraceMs })
    }
    const hadRun = runs.some((run) => run.launch.version === this.#state.active)
    if (hadRun && this.#run === undefined && this.#state.desired === 'running') {
      await this.save({ restarts: this.#state.restarts + 1 })
    }
    await this.settle()
  }

  /** Leaves the app running and lets go of it. */
  async close(): Promise<void> {
    this.#closing.abort()
    this.#monitor?.stop()
    this.#run?.unwatch()
    await this.log.close()
  }

  /** Makes what runs fit the state. An app that cannot be started is left failed, with the reason; nothing is thrown. */
  async settle(): Promise<void> {
    const { active, desired } = this.#state
    if (this.#run !== undefined && (desired === 'stopped' || this.#run.launch.version !== active)) await this.stopRun()
    const version = this.#state.versions.find((entry) => entry.version === active)
    await pointCurrent(this.folder, version === undefined ? undefined : versionFolderName(version))
    if (desired === 'stopped' || version === undefined || this.#run !== undefined) return
    try {
      await this.startRun(version.version)
    } catch (thrown) {
      this.fail(describeError(thrown))
      this.#context.deps.log.error({ app: this.name, error: thrown }, 'the app could not be started')
    }
  }

  /** Starts a version. Nothing may run. Fails with `port_in_use`, `version_not_found`, `keeper_failed`. */
  async startRun(name: string, { onTrial = false } = {}): Promise<Run> {
    const { deps, placement, keeperScript } = this.#context
    const version = this.version(name)
    const folder = this.versionFolder(version)
    const manifest = await readInstalledManifest(folder)
    const ports = await choosePorts({
      instance: this.name,
      wanted: manifest.ports,
      kept: this.#state.ports,
      others: this.#context.portsOfOthers(this.name),
    })
    if (JSON.stringify(ports) !== JSON.stringify(this.#state.ports)) await this.save({ ports })
    const { args, env: manifestEnv } = resolveManifest(manifest, ports)
    const env = appEnvironment({
      path: deps.path,
      timeZone: deps.timeZone,
      nodeName: deps.nodeName,
      instance: this.name,
      packageName: manifest.name,
      version: name,
      dataFolder: this.dataFolder,
      env: manifestEnv,
      ports,
    })
    const program = join(folder, manifest.entrypoint)
    await this.log.endLines()
    this.#reason = null
    const run = await launch(
      {
        folder: this.#runsFolder,
        script: keeperScript,
        version: name,
        argv: [(await pathExists(program)) ? program : manifest.entrypoint, ...args],
        cwd: folder,
        env,
        limits: {},
        stdoutFile: this.log.stdout.path,
        stderrFile: this.log.stderr.path,
        logOffsets: { stdout: this.log.stdout.end, stderr: this.log.stderr.end },
      },
      { placement, clock: deps.clock },
    )
    deps.counters.add('app_starts', 1, { app: this.name })
    this.#isOnTrial = onTrial
    await this.#hold(run, 'pending')
    return run
  }

  /** Ends the run: SIGTERM to all its processes, after the grace SIGKILL. Does nothing where nothing runs. */
  async stopRun(): Promise<AppExit | undefined> {
    const run = this.#run
    if (run === undefined) return undefined
    return this.#end(run, { graceMs: this.#context.deps.stopGraceMs })
  }

  /** The version on trial has passed: from now on it is probed at its own interval. */
  passTrial(): void {
    this.#isOnTrial = false
    this.#startMonitor('healthy')
    this.#context.onChange(this.name)
  }

  /** Marks the app failed, for a person to read; nothing runs. */
  fail(reason: string): void {
    this.#reason = reason
    this.#sinceMs = this.#context.deps.clock.now()
    this.#context.onChange(this.name)
  }

  /** A person has stopped it: what it failed of is past. */
  clearFailure(): void {
    this.#reason = null
    this.#context.onChange(this.name)
  }

  /** The last line of the run that was or is, for reasons. */
  async lastLine(run: Run): Promise<string | undefined> {
    return readLastLine(this.log, run.launch.logOffsets)
  }

  /** Adds to the history and changes the state with it, in one write. */
  async record(entry: Omit<HistoryEntry, 'atMs' | 'undone'>, change: Partial<InstanceState> = {}): Promise<void> {
    const atMs = this.#context.deps.clock.now()
    const history = change.history ?? this.#state.history
    await this.save({ ...change, history: withHistory(history, { ...entry, atMs, undone: false }) })
  }

  /** A deploy or switch that a crash cut off: what ran before is the truth again. */
  async #notePending(): Promise<void> {
    const { pending } = this.#state
    if (pending === null) return
    const { kind, from, to, generation } = pending
    const reason = 'interrupted: the daemon ended before the version was found good'
    this.#context.deps.log.warn({ app: this.name, kind, from, to }, 'going back: the last switch was interrupted')
    await this.record({ kind, from, to, generation, ok: false, reason }, { pending: null })
    if (from === null) this.#reason = reason
  }

  async #adopt(run: Run): Promise<void> {
    this.#context.deps.log.info({ app: this.name, pid: run.app?.pid }, 'running app taken over')
    await this.#hold(run, 'pending')
    this.#startMonitor('pending')
  }

  async #hold(run: Run, initial: Health): Promise<void> {
    this.#run = run
    this.#check = await this.#checkOf(run)
    const onChange = (): void => {
      if (run.exit === undefined) return
      this.queue.run(() => this.#afterExit(run)).catch((thrown: unknown) => this.fail(describeError(thrown)))
    }
    run.onChange(onChange)
    run.watch()
    this.log.watch()
    onChange()
    if (!this.#isOnTrial) this.#startMonitor(initial)
    this.#context.onChange(this.name)
  }

  async #checkOf(run: Run): Promise<Check | undefined> {
    const folder = this.versionFolder(this.version(run.launch.version))
    const { healthCheck } = resolveManifest(await readInstalledManifest(folder), this.#state.ports)
    const env = { PATH: this.#context.deps.path, HOME: this.dataFolder, LANG: 'C.UTF-8', WARREN_DATA: this.dataFolder }
    return checkOf(healthCheck, { process: run.app, folder, env })
  }

  #startMonitor(initial: Health): void {
    this.#monitor?.stop()
    if (this.#check === undefined || this.#run === undefined) return
    const { clock, log } = this.#context.deps
    this.#monitor = new HealthMonitor({
      ...this.#check,
      clock,
      startedAtMs: this.#run.launch.startedAtMs,
      initial,
      onChange: (health, reason) => {
        log[health === 'unhealthy' ? 'warn' : 'info']({ app: this.name, health, reason }, 'health of an app changed')
        this.#context.onChange(this.name)
      },
    })
    this.#monitor.start()
  }

  /** The app's own process has ended and nobody asked for it. What it left behind is ended, too. */
  async #afterExit(run: Run): Promise<void> {
    if (this.#run !== run || this.#isOnTrial) return
    const lastLine = await this.lastLine(run)
    const exit = await this.#end(run, { graceMs: 0, byWarren: false })
    if (exit.code !== 0) this.fail(describeFailure(exit, lastLine))
    const { log, counters } = this.#context.deps
    counters.add('app_exits', 1, { app: this.name })
    log.warn({ app: this.name, exit: describeExit(exit) + describeLastLine(lastLine) }, 'an app ended by itself')
  }

  /** Ends all processes of a run, notes how it ended, and takes away what was kept of it. */
  async #end(run: Run, { graceMs, byWarren = true }: { graceMs: number; byWarren?: boolean }): Promise<AppExit> {
    if (this.#run === run) this.#monitor?.stop()
    const wasAlive = run.exit === undefined
    run.watch()
    if (graceMs > 0 && wasAlive) await run.signal('SIGTERM')
    if (!(await run.gone(wasAlive ? graceMs : 0))) await run.killAll()
    await run.refresh()
    const { clock } = this.#context.deps
    const { code, atMs } = run.exit ?? { code: null, atMs: clock.now() }
    const exit = { code, atMs, afterMs: atMs - run.launch.startedAtMs, byWarren: byWarren && wasAlive }
    this.#lastExit = exit
    this.#sinceMs = atMs
    if (this.#run === run || this.#run === undefined) {
      await this.log.unwatch()
      await this.log.endLines()
    }
    await run.discard()
    if (this.#run === run) {
      this.#run = undefined
      this.#monitor = undefined
      this.#check = undefined
      this.#isOnTrial = false
      this.#context.onChange(this.name)
    }
    return exit
  }

  async #freeze(): Promise<() => Promise<void>> {
    const group = this.#run?.group
    await group?.freeze()
    return async () => group?.thaw()
  }

  /** Takes the instance off the disk but for its data. Nothing may run. */
  async erase(): Promise<void> {
    this.#closing.abort()
    await this.log.close()
    await rm(this.#runsFolder, { recursive: true, force: true })
  }
}

function describeError(thrown: unknown): string {
  const { code, message } = toWarrenError(thrown)
  return `${code}: ${message}`
}
