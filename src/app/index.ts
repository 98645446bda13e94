/**
 * app: one node's apps. Installs versions, starts and stops them under keepers that outlive the daemon, switches between
 * versions behind a health gate, and keeps their logs.
 *
 * `rollout` deploys and reverts through it, the daemon starts and stops it, the API and the command line show it. The
 * truth is `apps/INSTANCE/instance.json`, written before each step, so that after a crash at any point exactly one
 * version runs, the old or the new. It moves no packages, trusts nobody and nothing by itself (the caller has checked
 * the signature), and never talks to the network.
 *
 * ```ts
 * const apps = createApps({ home, packages, clock, log, counters, events, nodeName: 'burrow-1', path: '/usr/bin:/bin',
 *   stopGraceMs: 10_000, logs: { maxBytes: 10e6, files: 5 }, keepVersions: 5 })
 * await apps.start()
 * const outcome = await apps.deploy({ instance: 'hello', digest, trial: DEFAULT_TRIAL }, { signal })
 * if (!outcome.ok) throw new Error(outcome.reason)   // exit code 1 after 0.2 s, last line "boom"
 * ```
 */
export type { AppProblem, Apps, LogsRequest } from './apps.ts'
export type { DeployRequest } from './deploy.ts'
export type { AppEvents, AppPackage, AppPackages, AppsDeps } from './deps.ts'
export { checkPlacement } from './doctor.ts'
export type { AppExit } from './exit-text.ts'
export { createApps } from './node-apps.ts'
export type { PlacementKind } from './placement/index.ts'
export { type Summaries, type SummariesOptions, startSummaries } from './protocol/summaries.ts'
export { appRoutes, type Fleet } from './routes.ts'
export { FAULT_POINTS, type FaultPoint, type Phase, type SwitchOutcome } from './switch.ts'
export type { Trial } from './trial.ts'
