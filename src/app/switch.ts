import { toWarrenError } from '../base/errors.ts'
import type { AppsDeps } from './deps.ts'
import { type AppExit, describeFailure, describeLastLine } from './exit-text.ts'
import type { Instance } from './instance.ts'
import type { InstalledVersion } from './instance-file.ts'
import { type Trial, watchTrial } from './trial.ts'
import { pointCurrent, removeFolder, versionFolderName } from './version-folders.ts'

/** Between which steps a test may crash a deploy. Each step is written to disk before it is begun. */
export const FAULT_POINTS = [
  'journaled',
  'unpacked',
  'installed',
  'stopped',
  'started',
  'healthy',
  'committed',
  'pruned',
  'failed',
  'reverted',
] as const
/** A step of a deploy. */
export type FaultPoint = (typeof FAULT_POINTS)[number]

/** What a deploy is doing, as it is shown to people. */
export type Phase = 'install' | 'start' | 'health'

/** What came of a deploy, switch or rollback. `version` is the one that runs, or should, now. */
export type SwitchOutcome =
  | { readonly ok: true; readonly version: string; readonly unchanged: boolean }
  | {
      readonly ok: false
      readonly version: string | null
      /** For people: `exit code 1 after 0.2 s, last line "boom"`. */
      readonly reason: string
      readonly exit: AppExit | null
      readonly lastLine: string | null
    }

export interface SwitchRequest {
  readonly kind: 'deploy' | 'switch' | 'rollback'
  /** An installed version; `pending` of the state tells of this switch already. */
  readonly to: string
  readonly generation: number
  readonly trial: Trial
}

export interface SwitchOptions {
  readonly deps: AppsDeps
  /** Fires when the daemon stops. What was begun is then left as it is, for the next one to go back from. */
  readonly signal: AbortSignal
  readonly onPhase?: ((phase: Phase) => void) | undefined
}

/**
 * Stops what runs, starts another version, and watches it: good, and it is the active one; not good, and the version
 * before runs again. Rejects only with the signal's reason.
 */
export async function switchTo(
  instance: Instance,
  request: SwitchRequest,
  options: SwitchOptions,
): Promise<SwitchOutcome> {
  const { deps, signal, onPhase } = options
  const { kind, to, generation } = request
  const from = instance.state.active
  onPhase?.('start')
  await instance.stopRun()
  await deps.faultPoint?.('stopped')
  const failure = await tryVersion(instance, request, options)
  signal.throwIfAborted()
  if (failure === undefined) {
    await deps.faultPoint?.('healthy')
    const versions = withVersionState(instance, to, 'good')
    const change = { active: to, desired: 'running', restarts: 0, pending: null, generation, versions } as const
    await instance.record({ kind, from, to, generation, ok: true, reason: null }, change)
    await deps.faultPoint?.('committed')
    instance.passTrial()
    await pointCurrent(instance.folder, versionFolderName(instance.version(to)))
    await prune(instance, deps, from)
    await deps.faultPoint?.('pruned')
    deps.counters.add('app_switches', 1, { outcome: 'good' })
    return { ok: true, version: to, unchanged: false }
  }
  const versions = withVersionState(instance, to, 'bad')
  const { reason } = failure
  await instance.record({ kind, from, to, generation, ok: false, reason }, { pending: null, generation, versions })
  await deps.faultPoint?.('failed')
  await instance.settle()
  if (instance.run === undefined) instance.fail(reason)
  await deps.faultPoint?.('reverted')
  deps.counters.add('app_switches', 1, { outcome: 'reverted' })
  return { ok: false, version: instance.state.active, ...failure }
}

interface Failure {
  readonly reason: string
  readonly exit: AppExit | null
  readonly lastLine: string | null
}

/** Runs a version on trial; where it fails it is ended, with the reason. */
async function tryVersion(
  instance: Instance,
  { to, trial }: SwitchRequest,
  { deps, signal, onPhase }: SwitchOptions,
): Promise<Failure | undefined> {
  try {
    const run = await instance.startRun(to, { onTrial: true })
    await deps.faultPoint?.('started')
    onPhase?.('health')
    const spec = instance.check?.spec
    const timeoutMs = instance.check?.times.timeoutMs ?? trial.deadlineMs
    const ended = { result: 'ended' } as const
    const seen =
      spec === undefined ? ended : await watchTrial(run, { spec, timeoutMs, trial, clock: deps.clock, signal })
    if (seen.result === 'healthy') return undefined
    const lastLine = await instance.lastLine(run)
    const exit = (await instance.stopRun()) ?? null
    const reason =
      seen.result === 'unhealthy' || exit === null
        ? `${seen.result === 'unhealthy' ? seen.reason : 'it ended'}${describeLastLine(lastLine)}`
        : describeFailure(exit, lastLine)
    return { reason, exit, lastLine: lastLine ?? null }
  } catch (thrown) {
    if (signal.aborted) throw thrown
    await instance.stopRun()
    const { code, message } = toWarrenError(thrown)
    return { reason: `${code}: ${message}`, exit: null, lastLine: null }
  }
}

function withVersionState(instance: Instance, name: string, state: InstalledVersion['state']): InstalledVersion[] {
  return instance.state.versions.map((entry) => (entry.version === name ? { ...entry, state } : entry))
}

/** Takes away the oldest versions beyond the limit, never the active one nor the one before it. */
async function prune(instance: Instance, deps: AppsDeps, previous: string | null): Promise<void> {
  const { active, versions } = instance.state
  const isNeeded = ({ version }: InstalledVersion): boolean => version === active || version === previous
  const others = versions.filter((entry) => !isNeeded(entry)).sort((a, b) => a.installedAtMs - b.installedAtMs)
  const excess = others.slice(0, Math.max(0, versions.length - Math.max(2, deps.keepVersions)))
  if (excess.length === 0) return
  for (const entry of excess) await deps.packages.releaseTree?.(entry.digest, instance.versionFolder(entry))
  await instance.save({ versions: versions.filter((entry) => !excess.includes(entry)) })
  for (const entry of excess) await removeFolder(instance.versionFolder(entry))
}
