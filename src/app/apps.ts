import type { AppHistory, AppRow, AppStatus, AppVersion, LogRow } from './contract.ts'
import type { DeployRequest } from './deploy.ts'
import type { ReadLogOptions } from './logs/read-log.ts'
import type { PlacementKind } from './placement/index.ts'
import type { Phase, SwitchOutcome } from './switch.ts'

/** Something about an instance that a person must look at. */
export interface AppProblem {
  readonly instance: string
  readonly message: string
}

/** Whose lines, and which of them. */
export interface LogsRequest extends Omit<ReadLogOptions, 'signal'> {
  readonly instance: string
  /** Ends a following reader quietly. */
  readonly signal: AbortSignal
}

/** One node's apps. Verbs on an app wait for each other; during a deploy or switch they fail with `app_busy`. */
export interface Apps {
  /** Takes over what runs and starts what should. A damaged instance is set aside and named in `problems`. */
  start(): Promise<void>
  /** Lets go of the apps, which run on. Resolves when nothing is being written any more. */
  stop(): Promise<void>
  /** How processes are held together here. */
  readonly placement: PlacementKind
  problems(): readonly AppProblem[]
  /**
   * Installs a package of the store, switches to it, and goes back when it is not good (RUN-2). Killed at any point, one
   * version runs after the next start, the old or the new. Throws only before anything was stopped: `package_not_found`,
   * `manifest_unsupported`, `platform_not_supported`, `app_name_taken`, `version_conflict`, `port_in_use`, `disk_full`.
   * The signal is heard until the old version is stopped; from then on the deploy is finished.
   */
  deploy(
    request: DeployRequest,
    options: { signal: AbortSignal; onPhase?: (phase: Phase) => void },
  ): Promise<SwitchOutcome>
  /** Goes back to what was active before the deploy of that generation. Does nothing where that was done or overtaken. */
  revert(instance: string, options: { generation: number; signal?: AbortSignal }): Promise<{ version: string | null }>
  /** What runs, or should; undefined where the app is not here or has no version that was good. */
  active(instance: string): Promise<{ version: string; digest: string; generation: number } | undefined>
  list(): AppRow[]
  /** Fails with `app_not_found`, as all below do. */
  status(instance: string): AppStatus
  /** Starts what does not run. Fails with `app_failed` when it ends at once, `port_in_use`, `version_not_found`. */
  startApp(instance: string): Promise<AppStatus>
  /** SIGTERM, the grace, SIGKILL, to the whole tree; it stays stopped. */
  stopApp(instance: string): Promise<AppStatus>
  restartApp(instance: string): Promise<AppStatus>
  /** Stops every app, and whatever a damaged instance left running; gives the names of what it stopped. */
  stopAll(): Promise<string[]>
  removeApp(
    instance: string,
    options: { purge: boolean },
  ): Promise<{ node: string; app: string; data_kept: string | null }>
  versions(instance: string): AppVersion[]
  /** Fails with `version_not_found`, and with `app_failed` when it had to go back. */
  switchVersion(instance: string, version: string): Promise<AppStatus>
  /** To the version that was active before. Fails with `nothing_to_roll_back`, `app_failed`. */
  rollback(instance: string): Promise<AppStatus>
  history(instance: string): AppHistory[]
  /** The lines of an app in the order of time. A following reader ends when its signal fires or the app is removed. */
  logs(request: LogsRequest): AsyncIterable<LogRow>
}
