import { mkdir, readdir, rm, rmdir } from 'node:fs/promises'
import { join } from 'node:path'
import { apiErrors } from '../api/index.ts'
import { baseErrors } from '../base/errors.ts'
import { setAside } from '../base/files.ts'
import { mapLimited } from '../base/wait.ts'
import type { AppProblem, Apps, LogsRequest } from './apps.ts'
import type { AppHistory, AppRow, AppStatus, AppVersion, LogRow } from './contract.ts'
import { type DeployRequest, deployTo, findDeployable } from './deploy.ts'
import type { AppsDeps } from './deps.ts'
import { appErrors } from './errors.ts'
import { describeFailure } from './exit-text.ts'
import { Instance, type InstanceContext } from './instance.ts'
import { instanceFile, newInstanceState, readInstance } from './instance-file.ts'
import { endStrays } from './keeper/end-strays.ts'
import { installKeeperScript } from './keeper/script.ts'
import { readLog } from './logs/read-log.ts'
import { type PlacementKind, pickPlacement } from './placement/index.ts'
import { findRollbackVersion, revertDeploy } from './rollback.ts'
import { iso, statusOf } from './status.ts'
import { type Phase, type SwitchOptions, type SwitchOutcome, type SwitchRequest, switchTo } from './switch.ts'
import { DEFAULT_TRIAL } from './trial.ts'
import { removeFolder } from './version-folders.ts'

/** The name of an app is a folder's name, too. */
const NAME_PATTERN = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/
/** So many instances are opened at once when the daemon starts. */
const OPEN_LIMIT = 8
/** An app that ends so soon after `app start` is reported as failed at once. */
const START_LOOK_MS = 300

/** Makes a node's apps; nothing happens before `start`. */
export function createApps(deps: AppsDeps): Apps {
  return new NodeApps(deps)
}

class NodeApps implements Apps {
  readonly #deps: AppsDeps
  readonly #instances = new Map<string, Instance>()
  /** What is being deployed or switched, by instance. */
  readonly #busy = new Map<string, string>()
  #problems: AppProblem[] = []
  readonly #stopping = new AbortController()
  #context: InstanceContext | undefined

  constructor(deps: AppsDeps) {
    this.#deps = deps
  }

  get placement(): PlacementKind {
    return this.#context?.placement.kind ?? 'none'
  }

  problems(): readonly AppProblem[] {
    return this.#problems
  }

  async start(): Promise<void> {
    const { home, placement, events } = this.#deps
    await mkdir(this.#appsFolder, { recursive: true, mode: 0o700 })
    this.#context = {
      deps: this.#deps,
      placement: await pickPlacement(placement),
      keeperScript: await installKeeperScript(join(home, 'run', 'keepers')),
      portsOfOthers: (instance) => this.#portsOfOthers(instance),
      onChange: (instance) => events.emit('changed', { instance }),
    }
    const names = (await readdir(this.#appsFolder)).filter((name) => NAME_PATTERN.test(name))
    for (const name of names) await this.#load(name)
    await mapLimited([...this.#instances.values()], OPEN_LIMIT, async (instance) => {
      try {
        await instance.queue.run(() => instance.open())
      } catch (error) {
        this.#instances.delete(instance.name)
        this.#report(instance.name, `could not be opened: ${String(error)}`)
      }
    })
  }

  async stop(): Promise<void> {
    this.#stopping.abort(baseErrors.cancelled('the daemon is stopping'))
    await Promise.all(
      [...this.#instances.values()].map((instance) =>
        instance.queue.run(() => instance.close()).catch(() => undefined),
      ),
    )
    this.#instances.clear()
  }

  async deploy(
    request: DeployRequest,
    { signal, onPhase }: { signal: AbortSignal; onPhase?: (phase: Phase) => void },
  ): Promise<SwitchOutcome> {
    const stored = await findDeployable(this.#deps, request.digest)
    signal.throwIfAborted()
    const instance = await this.#obtain(request.instance, stored.record.name)
    try {
      const outcome = await this.#exclusively(instance, `deploy of ${stored.record.version}`, (options) => {
        signal.throwIfAborted()
        const portsOfOthers = this.#portsOfOthers(instance.name)
        return deployTo(instance, { request, stored, portsOfOthers }, { ...options, onPhase })
      })
      if (outcome.ok) this.#problems = this.#problems.filter((problem) => problem.instance !== instance.name)
      return outcome
    } catch (error) {
      if (!this.#stopping.signal.aborted && instance.state.versions.length === 0) await this.#erase(instance)
      throw error
    }
  }

  async revert(name: string, { generation }: { generation: number }): Promise<{ version: string | null }> {
    const instance = this.#instances.get(name)
    if (instance === undefined) return { version: null }
    await this.#exclusively(instance, 'revert', () => revertDeploy(instance, generation))
    return { version: instance.state.active }
  }

  async active(name: string): Promise<{ version: string; digest: string; generation: number } | undefined> {
    const state = this.#instances.get(name)?.state
    const version = state?.versions.find((entry) => entry.version === state.active)
    if (state === undefined || version === undefined) return undefined
    return { version: version.version, digest: version.digest, generation: state.generation }
  }

  list(): AppRow[] {
    return [...this.#instances.values()]
      .sort((a, b) => (a.name < b.name ? -1 : 1))
      .map((instance) => {
        const { node, app, version, status, health, pid, since, restarts, ports, seen } = this.#statusOf(instance)
        return { node, app, version, status, health, pid, since, restarts, ports, seen }
      })
  }

  status(name: string): AppStatus {
    return this.#statusOf(this.#get(name))
  }

  startApp(name: string): Promise<AppStatus> {
    return this.#verb(name, (instance) => this.#begin(instance))
  }

  stopApp(name: string): Promise<AppStatus> {
    return this.#verb(name, async (instance) => {
      await instance.save({ desired: 'stopped' })
      await instance.stopRun()
      instance.clearFailure()
    })
  }

  async stopAll(): Promise<string[]> {
    const running = [...this.#instances.values()].filter(({ status }) => status !== 'stopped').map(({ name }) => name)
    await Promise.all(running.map((name) => this.stopApp(name)))
    const { home, clock, stopGraceMs } = this.#deps
    const known = new Set(this.#instances.keys())
    const strays = await endStrays({ folder: join(home, 'run', 'keepers'), known, graceMs: stopGraceMs, clock })
    return [...running, ...strays]
  }

  restartApp(name: string): Promise<AppStatus> {
    return this.#verb(name, async (instance) => {
      await instance.stopRun()
      await this.#begin(instance)
    })
  }

  async removeApp(
    name: string,
    { purge }: { purge: boolean },
  ): Promise<{ node: string; app: string; data_kept: string | null }> {
    const instance = this.#get(name)
    this.#requireIdle(name)
    await instance.queue.run(async () => {
      await instance.save({ desired: 'stopped' })
      await instance.stopRun()
      for (const version of instance.state.versions) {
        await this.#deps.packages.releaseTree?.(version.digest, instance.versionFolder(version))
      }
      await instance.save({ active: null, versions: [] })
      await this.#erase(instance)
    })
    if (purge) await removeFolder(instance.folder)
    const isKept = !purge && (await readdir(instance.dataFolder).catch(() => [])).length > 0
    this.#deps.events.emit('changed', { instance: name })
    return { node: this.#deps.nodeName, app: name, data_kept: isKept ? instance.dataFolder : null }
  }

  versions(name: string): AppVersion[] {
    const { state } = this.#get(name)
    return [...state.versions]
      .sort((a, b) => b.installedAtMs - a.installedAtMs)
      .map((entry) => ({
        version: entry.version,
        digest: entry.digest,
        installed: iso(entry.installedAtMs),
        state: entry.state,
        active: entry.version === state.active,
      }))
  }

  switchVersion(name: string, version: string): Promise<AppStatus> {
    return this.#switch(name, 'switch', (instance) => instance.version(version).version)
  }

  rollback(name: string): Promise<AppStatus> {
    return this.#switch(name, 'rollback', findRollbackVersion)
  }

  history(name: string): AppHistory[] {
    return this.#get(name)
      .state.history.map(({ atMs, kind, from, to, ok, reason }) => ({ time: iso(atMs), kind, from, to, ok, reason }))
      .reverse()
  }

  async *logs({ instance: name, signal, ...options }: LogsRequest): AsyncGenerator<LogRow> {
    const instance = this.#get(name)
    const either = AbortSignal.any([signal, instance.closing, this.#stopping.signal])
    for await (const { timeMs, stream, line, cursor } of readLog(instance.log, { ...options, signal: either })) {
      yield { time: iso(timeMs), node: this.#deps.nodeName, app: name, stream, line, cursor }
    }
    // No end for a follower: it goes on with the next daemon.
    if (this.#stopping.signal.aborted && !signal.aborted) throw apiErrors.connection_lost('the daemon is stopping')
  }

  get #appsFolder(): string {
    return join(this.#deps.home, 'apps')
  }

  #get(name: string): Instance {
    const instance = this.#instances.get(name)
    if (instance !== undefined) return instance
    throw appErrors.app_not_found(`no app "${name}" on ${this.#deps.nodeName}`, {
      hint: 'See what is there: warren list',
    })
  }

  #statusOf(instance: Instance): AppStatus {
    const { nodeName, clock } = this.#deps
    return statusOf(instance, { nodeName, placement: this.placement, nowMs: clock.now() })
  }

  async #load(name: string): Promise<void> {
    const folder = join(this.#appsFolder, name)
    try {
      const state = await readInstance(folder, name)
      if (state !== undefined) this.#instances.set(name, new Instance(state, folder, this.#requireStarted()))
      else await this.#reportSetAside(name, folder)
    } catch (error) {
      const aside = await setAside(instanceFile(folder), this.#deps.clock.now())
      const reason = error instanceof Error ? error.message : String(error)
      this.#report(name, `its instance.json is damaged (${reason}) and was set aside as ${aside}; deploy the app again`)
    }
  }

  /** Set aside at an earlier start: it is named until the app was deployed again, or its folder removed. */
  async #reportSetAside(name: string, folder: string): Promise<void> {
    const aside = (await readdir(folder)).filter((file) => file.startsWith('instance.json.damaged-')).sort()
    const last = aside.at(-1)
    if (last !== undefined) {
      this.#report(name, `its instance.json was damaged and set aside as ${join(folder, last)}; deploy the app again`)
    }
  }

  #report(instance: string, message: string): void {
    this.#problems.push({ instance, message })
    this.#deps.log.error({ app: instance }, `app ${instance}: ${message}`)
  }

  #requireStarted(): InstanceContext {
    if (this.#context === undefined) throw baseErrors.internal('apps were used before their start')
    return this.#context
  }

  /** The instance of that name; a new one has nothing on disk but empty folders. */
  async #obtain(name: string, packageName: string): Promise<Instance> {
    const present = this.#instances.get(name)
    if (present !== undefined) return present
    if (!NAME_PATTERN.test(name)) {
      throw baseErrors.invalid_value(`"${name}" is not a name for an app: a-z, 0-9 and hyphens, at most 63`)
    }
    const folder = join(this.#appsFolder, name)
    const instance = new Instance(newInstanceState(name, packageName), folder, this.#requireStarted())
    this.#instances.set(name, instance)
    await instance.queue.run(() => instance.open())
    return instance
  }

  async #exclusively<T>(instance: Instance, what: string, work: (options: SwitchOptions) => Promise<T>): Promise<T> {
    return instance.queue.run(async () => {
      this.#stopping.signal.throwIfAborted()
      this.#busy.set(instance.name, what)
      try {
        return await work({ deps: this.#deps, signal: this.#stopping.signal })
      } finally {
        this.#busy.delete(instance.name)
      }
    })
  }

  #requireIdle(name: string): void {
    const what = this.#busy.get(name)
    if (what === undefined) return
    throw appErrors.app_busy(`a ${what} of ${name} is under way on ${this.#deps.nodeName}`, {
      hint: 'Wait for its end, and try again.',
    })
  }

  async #verb(name: string, work: (instance: Instance) => Promise<void>): Promise<AppStatus> {
    const instance = this.#get(name)
    this.#requireIdle(name)
    await instance.queue.run(() => work(instance))
    return this.#statusOf(instance)
  }

  async #begin(instance: Instance): Promise<void> {
    const { active } = instance.state
    if (active === null) {
      throw appErrors.version_not_found(`${instance.name} has no version that was good`, {
        hint: `Pick one: warren app versions ${instance.name}   warren app switch ${instance.name} VERSION`,
      })
    }
    await instance.save({ desired: 'running' })
    if (instance.run !== undefined && instance.run.exit === undefined) return
    await instance.stopRun()
    const run = await instance.startRun(active)
    const look = AbortSignal.timeout(START_LOOK_MS)
    await run.ended(look).catch(() => undefined)
    if (run.exit === undefined) return
    const lastLine = await instance.lastLine(run)
    const exit = await instance.stopRun()
    const reason = exit === undefined ? 'it ended' : describeFailure(exit, lastLine)
    if (exit?.code === 0) return
    instance.fail(reason)
    throw appErrors.app_failed(`${instance.name} ${active}: ${reason}`, { hint: `See: warren logs ${instance.name}` })
  }

  async #switch(name: string, kind: SwitchRequest['kind'], pick: (instance: Instance) => string): Promise<AppStatus> {
    const instance = this.#get(name)
    this.#requireIdle(name)
    const outcome = await this.#exclusively(instance, kind, async (options) => {
      const to = pick(instance)
      const { active, generation } = instance.state
      if (to === active && instance.run !== undefined) return { ok: true, version: to, unchanged: true } as const
      const startedAtMs = this.#deps.clock.now()
      await instance.save({ pending: { kind, from: active, to, generation, startedAtMs } })
      return switchTo(instance, { kind, to, generation, trial: DEFAULT_TRIAL }, options)
    })
    if (outcome.ok) return this.#statusOf(instance)
    const now = outcome.version === null ? 'nothing runs' : `${outcome.version} runs again`
    throw appErrors.app_failed(`${name}: ${outcome.reason}; ${now}`, { hint: `See: warren logs ${name} --tail 20` })
  }

  async #erase(instance: Instance): Promise<void> {
    await instance.erase()
    await removeFolder(instance.versionsFolder)
    await rm(join(instance.folder, 'current'), { force: true })
    await rm(join(instance.folder, 'logs'), { recursive: true, force: true })
    await rm(instanceFile(instance.folder), { force: true })
    await rmdir(instance.dataFolder).catch(() => undefined)
    await rmdir(instance.folder).catch(() => undefined)
    this.#instances.delete(instance.name)
  }

  #portsOfOthers(name: string): Map<number, string> {
    const ports = new Map<number, string>()
    for (const instance of this.#instances.values()) {
      if (instance.name === name) continue
      for (const port of Object.values(instance.state.ports)) ports.set(port, instance.name)
    }
    return ports
  }
}
