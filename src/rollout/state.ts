import { type RolloutDocument, waveOf } from './document.ts'
import type { Outcome } from './evidence.ts'

/** All that a node's next step depends on; nothing else does. */
export interface RolloutView {
  readonly document: RolloutDocument
  /** The node that asks. */
  readonly self: string
  /** The outcome known of each node, its own among them. A node that is not here has said nothing. */
  readonly outcomes: ReadonlyMap<string, Outcome>
  /** Halts that were accepted. */
  readonly halts: readonly { readonly revert: boolean }[]
  /** Another document of the same app, from the same base and with a node in common, is known. */
  readonly conflicting: boolean
  /** A document of a later generation for this app names this node. */
  readonly superseded: boolean
  /** This node's own turn has begun (it may have been killed in it). */
  readonly begun: boolean
  readonly nowMs: number
  /** Since when nothing new about this rollout was heard. */
  readonly quietMs: number
}

/** What to do now. */
export type Step =
  /** Nothing, and time alone changes nothing. */
  | { readonly kind: 'none'; readonly reason: string }
  /** Nothing yet; ask again after `untilMs` without news. */
  | { readonly kind: 'wait'; readonly untilMs: number; readonly reason: string }
  /** Begin the turn, or go on with one that was begun. */
  | { readonly kind: 'start' }
  /** Say, for good, that this node will not start. */
  | { readonly kind: 'refuse'; readonly reason: string }
  /** Go back to what ran before. */
  | { readonly kind: 'revert'; readonly reason: string }

/** Nodes whose outcome is known to be bad: they count against the budget and stop every start that has not been made. */
export function failuresOf(view: Pick<RolloutView, 'document' | 'outcomes'>): string[] {
  return nodesWith(view, ['failed', 'refused'])
}

/**
 * Why no node may start this rollout any more; undefined while one may. Depends on the document and the statements
 * only, so that nodes with the same statements agree. Halt outranks start.
 */
export function stoppedBecause(
  view: Pick<RolloutView, 'document' | 'outcomes' | 'halts' | 'conflicting'>,
): string | undefined {
  if (view.halts.length > 0) return 'halted'
  if (view.conflicting) return 'halted: another rollout of this app was made from the same generation'
  const failures = failuresOf(view)
  if (failures.length < view.document.failureBudget) return undefined
  return `halted: ${failures.length} of ${view.document.waves.flat().length} nodes failed`
}

/** Why nodes that are done must go back; undefined where they keep the version. A refusal alone reverts nothing. */
export function revertsBecause(view: Pick<RolloutView, 'document' | 'outcomes' | 'halts'>): string | undefined {
  if (view.halts.some((halt) => halt.revert)) return 'halted by a person, with revert'
  const failed = nodesWith(view, ['failed'])
  if (!view.document.rollback || failed.length < view.document.failureBudget) return undefined
  return `${failed.length} of ${view.document.waves.flat().length} nodes failed`
}

/**
 * Nodes of the waves before `wave` that lack good evidence. Counted over all earlier waves, not the last alone: else
 * every wave could hide `max_unavailable` failures, and their sum would have no bound.
 */
export function missingBefore(view: Pick<RolloutView, 'document' | 'outcomes'>, wave: number): string[] {
  const earlier = view.document.waves.slice(0, wave).flat()
  return earlier.filter((node) => view.outcomes.get(node) !== 'healthy')
}

/**
 * How long a waiting node listens to silence: the deadline for the trial of the wave before, and once more for its
 * answer to arrive.
 */
export function patienceMs(document: RolloutDocument): number {
  return 2 * document.progressDeadlineMs
}

/**
 * The rule of a rollout: what the node `view.self` must do next. A pure function of what it knows; the runner does it
 * and asks again.
 */
export function nextStep(view: RolloutView): Step {
  const wave = waveOf(view.document, view.self)
  if (wave === -1) return { kind: 'none', reason: 'not a target' }
  const own = view.outcomes.get(view.self)
  if (own !== undefined) return stepWhenDone(view, own)
  if (view.superseded) return { kind: 'refuse', reason: 'superseded by a later rollout of this app' }
  const stopped = stoppedBecause(view)
  // A turn that was cut off by a crash may have left the version running: the runner looks, and says which it is.
  if (stopped !== undefined) return view.begun ? { kind: 'refuse', reason: stopped } : { kind: 'none', reason: stopped }
  if (view.begun) return { kind: 'start' }
  if (view.nowMs > view.document.notAfterMs) return { kind: 'none', reason: 'expired' }
  const missing = missingBefore(view, wave)
  if (missing.length <= view.document.maxUnavailable) return { kind: 'start' }
  const reason = `wave ${wave + 1} waits for ${missing.length} of the nodes before it`
  if (view.quietMs >= patienceMs(view.document)) return { kind: 'refuse', reason: `no progress: ${reason}` }
  return { kind: 'wait', untilMs: patienceMs(view.document) - view.quietMs, reason }
}

function stepWhenDone(view: RolloutView, own: Outcome): Step {
  if (own !== 'healthy') return { kind: 'none', reason: own }
  // What a later rollout decided for this node is not undone by an older one.
  if (view.superseded) return { kind: 'none', reason: 'superseded by a later rollout of this app' }
  const reason = revertsBecause(view)
  return reason === undefined ? { kind: 'none', reason: 'healthy' } : { kind: 'revert', reason }
}

function nodesWith(view: Pick<RolloutView, 'document' | 'outcomes'>, wanted: readonly Outcome[]): string[] {
  return view.document.waves.flat().filter((node) => {
    const outcome = view.outcomes.get(node)
    return outcome !== undefined && wanted.includes(outcome)
  })
}
