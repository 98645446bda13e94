import { baseErrors } from '../base/errors.ts'
import type { RolloutPlan, RolloutRequest } from './contract.ts'
import type { RolloutDirectory, RolloutNode } from './deps.ts'
import { APP_NAME, type RolloutDocument } from './document.ts'
import { cutWaves, resolveTargets } from './targets.ts'

/** A node that was away catches up this long; afterwards the rollout starts nowhere any more. */
const CATCH_UP_MS = 24 * 3_600_000

export interface PlanDeps {
  readonly directory: RolloutDirectory
  /** What a node runs as this app, by the summaries that nodes send each other. */
  current(node: string, app: string): { readonly version: string; readonly digest: string } | undefined
  generationOf(app: string): number
}

/** Values of the section `deploy`, for what a request leaves out. */
export interface RolloutSettings {
  readonly retries: number
  readonly retryDelayMs: number
  readonly minHealthyMs: number
  readonly progressDeadlineMs: number
  /** Longest wait of a command. */
  readonly timeoutMs: number
}

/** What would happen, node by node. Fails as `resolveTargets` and `cutWaves`. */
export function planRollout(request: RolloutRequest, deps: PlanDeps): RolloutPlan {
  const app = appOf(request)
  const waves = wavesOf(request, deps.directory)
  return {
    app,
    package: request.package,
    generation: deps.generationOf(app) + 1,
    waves: waves.map((wave) => wave.map(({ name }) => name)),
    nodes: waves.flatMap((nodes, index) =>
      nodes.map((node) => {
        const current = deps.current(node.id, app)
        const change =
          current === undefined ? 'install' : current.digest === request.package.digest ? 'none' : 'replace'
        const { name, id, state } = node
        return { node: name, id, wave: index + 1, state, current: current?.version ?? null, change }
      }),
    ),
  }
}

/** The document for a request, ready to be signed by `deps.directory.self`. Fails as `planRollout`. */
export function draftDocument(
  request: RolloutRequest,
  deps: PlanDeps,
  { settings, network, nowMs }: { settings: RolloutSettings; network: string; nowMs: number },
): Omit<RolloutDocument, 'nonce'> {
  const app = appOf(request)
  return {
    network,
    app,
    package: request.package,
    waves: wavesOf(request, deps.directory).map((wave) => wave.map(({ id }) => id)),
    base: deps.generationOf(app),
    maxUnavailable: request.max_unavailable,
    // Who accepts that so many nodes are away accepts as well that so many fail.
    failureBudget: request.max_unavailable + 1,
    minHealthyMs: settings.minHealthyMs,
    progressDeadlineMs: settings.progressDeadlineMs,
    rollback: request.rollback,
    retries: request.retries ?? settings.retries,
    retryDelayMs: request.retry_delay_ms ?? settings.retryDelayMs,
    sources: request.sources,
    acceptStale: request.accept_stale,
    author: deps.directory.self.id,
    createdMs: nowMs,
    notAfterMs: nowMs + CATCH_UP_MS,
  }
}

function appOf(request: RolloutRequest): string {
  const app = request.app ?? request.package.name
  if (APP_NAME.test(app)) return app
  throw baseErrors.invalid_value(`"${app}" cannot be the name of an instance`, {
    hint: 'Small letters, digits and dashes, at most 63: --as NAME',
  })
}

function wavesOf(request: RolloutRequest, directory: RolloutDirectory): RolloutNode[][] {
  return cutWaves(resolveTargets(directory, request), request.batch)
}
