/**
 * rollout: what is to run where. A deploy is a document that its author signs and the nodes carry; there is no
 * coordinator, and the author may leave.
 *
 * Every node holds the same set of signed statements (documents, evidence, halts), and one pure rule (state.ts) says
 * what it does next: it takes its turn when the waves before it have shown that they are healthy, stops when too many
 * have failed or a person says so, and goes back where the document wants that. The daemon runs it; the commands
 * `deploy`, `run` and `rollout` speak to it over the API. It never starts a process itself (app does), never moves a
 * byte of a package (transfer does), and never takes silence for health.
 *
 * ```ts
 * const rollouts = createRollouts({ folder, signer, network, directory, apps, transfer, trust, settings, ... })
 * await rollouts.start()
 * const { envelope } = rollouts.sign({ package: { name, version, digest }, on: [], all: true, batch: [1, 2], ... })
 * for await (const event of rollouts.submit(envelope, { signal })) show(event)
 * ```
 */
import type { StoredPackage } from './deps.ts'
import { Rollouts, type RolloutsInit } from './rollouts.ts'

export type * from './deps.ts'
export type { RolloutSettings } from './plan.ts'
export { createRolloutRights } from './rights.ts'
export type { FollowOptions, Rollouts, RolloutsInit } from './rollouts.ts'
export { rolloutRoutes } from './routes.ts'
export type { FaultPoint } from './turn.ts'

/** The rollouts of one node. `start()` it after the network and the apps, `stop()` it before them. */
export function createRollouts<P extends StoredPackage>(init: RolloutsInit<P>): Rollouts<P> {
  return new Rollouts(init)
}
