import { appErrors } from './errors.ts'
import type { Instance } from './instance.ts'

/** The version that was active before the one that is. Fails with `nothing_to_roll_back`. */
export function findRollbackVersion(instance: Instance): string {
  const { active, history, versions } = instance.state
  const entry = history.findLast(({ ok, from, to }) => ok && to === active && from !== active)
  const isInstalled = versions.some(({ version }) => version === entry?.from)
  if (entry?.from && isInstalled) return entry.from
  throw appErrors.nothing_to_roll_back(
    entry?.from
      ? `${entry.from}, which ${instance.name} ran before, is no longer installed`
      : `${instance.name} has run no version before ${active ?? 'this'}`,
    { hint: `See what is there: warren app versions ${instance.name}` },
  )
}

/**
 * Goes back to what was active before the deploy of a generation, without a trial: the version was good before. Does
 * nothing where that deploy was never done, is undone already, or something later is active.
 */
export async function revertDeploy(instance: Instance, generation: number): Promise<void> {
  const { history, active, versions } = instance.state
  const isThatDeploy = (entry: (typeof history)[number]): boolean =>
    entry.kind === 'deploy' && entry.ok && entry.generation === generation
  const deploy = history.find(isThatDeploy)
  if (deploy === undefined || deploy.undone || deploy.to !== active || deploy.from === deploy.to) return
  const { from, to } = deploy
  if (from !== null && !versions.some(({ version }) => version === from)) instance.version(from)
  const reason = 'the rollout was halted'
  const desired = from === null ? 'stopped' : 'running'
  const undone = history.map((entry) => (isThatDeploy(entry) ? { ...entry, undone: true } : entry))
  const entry = { kind: 'revert', from: to, to: from, generation, ok: true, reason } as const
  await instance.record(entry, { active: from, desired, history: undone })
  await instance.settle()
}
