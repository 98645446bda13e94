import { bundleErrors } from './errors.ts'
import type { Manifest } from './manifest.ts'

interface Support {
  /** `warn`: the app runs, less well than asked. `refuse`: it would run wrongly. */
  readonly action: 'warn' | 'refuse'
  readonly isUsed: (manifest: Manifest) => boolean
  readonly message: string
}

/** What the format has and this release does not act on. A key leaves this table when it works. */
const NOT_YET: readonly Support[] = [
  {
    action: 'warn',
    isUsed: ({ resources }) => resources !== undefined && !resources.required,
    message: 'resources: this release does not enforce limits; the app runs without them',
  },
  {
    action: 'refuse',
    isUsed: ({ resources }) => resources?.required === true,
    message: 'resources.required: this release does not enforce limits',
  },
  {
    action: 'warn',
    isUsed: ({ restart }) => restart !== undefined,
    message: 'restart: this release does not restart an app that ended by itself',
  },
  {
    action: 'warn',
    isUsed: ({ update }) => update !== undefined,
    message: 'update: this release does not follow new releases by itself, nor does it keep snapshots of data',
  },
  {
    action: 'refuse',
    isUsed: ({ scripts }) => scripts !== undefined,
    message: 'scripts: this release does not run pre-start and post-stop programs',
  },
  {
    action: 'refuse',
    isUsed: ({ schedule }) => schedule !== undefined,
    message: 'schedule: this release does not run apps at set times',
  },
  {
    action: 'refuse',
    isUsed: ({ sandbox }) => sandbox !== undefined,
    message: 'sandbox: this release has no sandbox',
  },
]

/** A sentence for each key that the manifest sets and this release does not act on, refused ones included. */
export function manifestWarnings(manifest: Manifest): string[] {
  return NOT_YET.filter(({ isUsed }) => isUsed(manifest)).map(({ message }) => message)
}

/**
 * Called before an app is deployed: fails with `manifest_unsupported` where the manifest asks for something without
 * which the app would run wrongly. What is merely left out comes from `manifestWarnings`.
 */
export function refuseUnsupported(manifest: Manifest): void {
  const refused = NOT_YET.filter(({ action, isUsed }) => action === 'refuse' && isUsed(manifest))
  if (refused.length === 0) return
  throw bundleErrors.manifest_unsupported(
    `${manifest.name} ${manifest.version}: ${refused.map(({ message }) => message).join('; ')}`,
    { hint: 'Take the key out of manifest.yaml and pack again, or use a release of Warren that has it.' },
  )
}
