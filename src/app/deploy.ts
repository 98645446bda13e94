import { type Manifest, refuseUnsupported } from '../bundle/index.ts'
import { transferErrors } from '../transfer/index.ts'
import type { AppPackage, AppsDeps } from './deps.ts'
import { appErrors } from './errors.ts'
import type { Instance } from './instance.ts'
import type { InstanceState } from './instance-file.ts'
import { requireFree } from './ports.ts'
import { type SwitchOptions, type SwitchOutcome, switchTo } from './switch.ts'
import type { Trial } from './trial.ts'
import { installVersion, versionFolderName } from './version-folders.ts'

/** What to run, under which name, and how it is watched. */
export interface DeployRequest {
  /** Name of the app on this node. */
  readonly instance: string
  /** Digest of a complete package in the store. */
  readonly digest: string
  readonly trial: Trial
  /** The app's generation that this deploy makes. Default: one more than it has. */
  readonly generation?: number
}

/**
 * The package of a deploy, when it may run here. Fails with `package_not_found`, `manifest_unsupported`,
 * `platform_not_supported`.
 */
export async function findDeployable(deps: AppsDeps, digest: string): Promise<AppPackage> {
  const stored = await deps.packages.get(digest)
  if (stored === undefined || !stored.complete) {
    throw transferErrors.package_not_found(`package ${digest.slice(0, 12)} is not, or not all, on ${deps.nodeName}`)
  }
  refuseUnsupported(stored.manifest)
  const platform = `${process.platform}-${process.arch}`
  const { platforms } = stored.manifest
  if (platforms.length > 0 && !platforms.includes(platform)) {
    throw appErrors.platform_not_supported(
      `${stored.record.name} ${stored.record.version} runs on ${platforms.join(', ')}; ${deps.nodeName} is ${platform}`,
    )
  }
  return stored
}

/**
 * Installs the package and switches to it. Throws only before anything was stopped: `app_name_taken`,
 * `version_conflict`, `port_in_use`, or as the file system does. A deploy that was done already is not done again.
 */
export async function deployTo(
  instance: Instance,
  { request, stored, portsOfOthers }: DeployWork,
  options: SwitchOptions,
): Promise<SwitchOutcome> {
  const { deps, onPhase } = options
  const { version } = stored.record
  const { state } = instance
  const generation = request.generation ?? state.generation + 1
  requireSameContent(state, stored)
  if (state.active === version && instance.run !== undefined && instance.run.exit === undefined) {
    const isDone = state.history.some((entry) => entry.kind === 'deploy' && entry.generation === generation && entry.ok)
    if (!isDone) {
      const entry = { kind: 'deploy', from: version, to: version, generation, ok: true, reason: null } as const
      await instance.record(entry, { generation, desired: 'running' })
    }
    return { ok: true, version, unchanged: true }
  }
  await requirePortsFree(instance, stored.manifest, portsOfOthers)
  const startedAtMs = deps.clock.now()
  const pending = { kind: 'deploy', from: state.active, to: version, generation, startedAtMs } as const
  await instance.save({ pending })
  await deps.faultPoint?.('journaled')
  onPhase?.('install')
  try {
    await install(instance, stored, options)
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    await instance.record(
      { kind: 'deploy', from: state.active, to: version, generation, ok: false, reason: reason.slice(0, 1000) },
      { pending: null },
    )
    throw error
  }
  await deps.faultPoint?.('installed')
  return switchTo(instance, { kind: 'deploy', to: version, generation, trial: request.trial }, options)
}

interface DeployWork {
  readonly request: DeployRequest
  readonly stored: AppPackage
  readonly portsOfOthers: ReadonlyMap<number, string>
}

function requireSameContent(state: InstanceState, { record, digest }: AppPackage): void {
  if (state.package !== record.name) {
    throw appErrors.app_name_taken(
      `the app ${state.instance} is installed from the package ${state.package}, not ${record.name}`,
      {
        hint: 'Give it another name: warren deploy … --as NAME',
      },
    )
  }
  const installed = state.versions.find((entry) => entry.version === record.version)
  if (installed === undefined || installed.digest === digest) return
  throw appErrors.version_conflict(
    `${state.instance} ${record.version} is installed with digest ${installed.digest.slice(0, 12)}, this package is ${digest.slice(0, 12)}`,
    { hint: 'Raise the version in manifest.yaml and pack again.' },
  )
}

async function install(instance: Instance, stored: AppPackage, { deps, signal }: SwitchOptions): Promise<void> {
  const { digest, record } = stored
  const entry = { version: record.version, digest, installedAtMs: deps.clock.now(), state: 'installed' } as const
  const folder = instance.versionFolder(entry)
  await installVersion(instance.versionsFolder, versionFolderName(entry), (staging) =>
    deps.packages.materialize(digest, staging, { signal }),
  )
  await deps.faultPoint?.('unpacked')
  if (!instance.state.versions.some(({ version }) => version === record.version)) {
    await instance.save({ versions: [...instance.state.versions, entry] })
  }
  await deps.packages.adoptTree?.(digest, folder).catch((error: unknown) => {
    deps.log.warn({ app: instance.name, error }, 'the installed version does not serve as a source of its package')
  })
}

/** Asked while the old version still runs: a port that it holds itself will be free. */
async function requirePortsFree(
  instance: Instance,
  manifest: Manifest,
  others: ReadonlyMap<number, string>,
): Promise<void> {
  const own = instance.run === undefined ? [] : Object.values(instance.state.ports)
  for (const port of Object.values(manifest.ports)) {
    if (port !== 'auto' && !own.includes(port)) await requireFree(port, { instance: instance.name, others })
  }
}
