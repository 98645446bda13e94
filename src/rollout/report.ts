import type { RolloutDocument } from './document.ts'
import { type Ledger, outcomesOf, type Rollout } from './ledger.ts'
import type { ProgressBoard } from './progress.ts'
import { failuresOf, missingBefore, revertsBecause, stoppedBecause } from './state.ts'
import type { OutcomeState, Phase, RolloutState } from './words.ts'

/** What is said about one node. */
export interface NodeReport {
  readonly id: string
  /** From 0. */
  readonly wave: number
  readonly state: OutcomeState
  /** Version that runs there as it said itself; null where it said nothing. */
  readonly version: string | null
  readonly reason: string | null
}

/** What is said about a rollout. */
export interface RolloutReport {
  readonly nodes: readonly NodeReport[]
  readonly state: RolloutState
  /** Nothing more is expected of nodes that can be reached. */
  readonly settled: boolean
  readonly ok: boolean
  readonly reason: string | null
}

export interface ReportDeps {
  readonly ledger: Ledger
  readonly board: ProgressBoard
  /** True where a node has been away for so long that nobody waits for it. */
  isAway(node: string): boolean
}

/** Where a rollout stands, from what this node knows. Pure but for the questions it asks its deps. */
export function reportOf(rollout: Rollout, deps: ReportDeps): RolloutReport {
  const { document } = rollout
  const view = deps.ledger.viewOf(rollout)
  const expired = view.nowMs > document.notAfterMs
  const stopped = stoppedBecause(view) ?? (expired ? 'expired' : undefined)
  const nodes: NodeReport[] = []
  const settledBad = new Set<string>()
  for (const [wave, ids] of document.waves.entries()) {
    for (const id of ids) {
      const held = rollout.evidence.get(id)?.evidence
      const said = { id, wave, version: held?.version ?? null, reason: held?.reason ?? null }
      const node = { ...said, ...judge({ rollout, deps, id, wave, stopped, settledBad }) }
      if (!['healthy', 'working', 'waiting'].includes(node.state)) settledBad.add(id)
      nodes.push(node)
    }
  }
  return summarise({ rollout, nodes, deps, stopped, expired })
}

/** The phase that a node without an outcome is in, as it said itself. */
export function phaseOf(rollout: Rollout, node: string, board: ProgressBoard): Phase | null {
  if (rollout.evidence.has(node)) return 'done'
  return board.get(rollout.id, node)?.phase ?? null
}

function judge(of: {
  rollout: Rollout
  deps: ReportDeps
  id: string
  wave: number
  stopped: string | undefined
  settledBad: ReadonlySet<string>
}): Pick<NodeReport, 'state'> & Partial<Pick<NodeReport, 'reason'>> {
  const { rollout, deps, id, wave, stopped, settledBad } = of
  const { document } = rollout
  const view = { document, outcomes: outcomesOf(rollout), halts: [...rollout.halts.values()].map(({ halt }) => halt) }
  const outcome = view.outcomes.get(id)
  const away = deps.isAway(id)
  if (outcome === 'healthy') {
    const reverts = deps.ledger.isSuperseded(rollout, id) ? undefined : revertsBecause(view)
    if (reverts === undefined) return { state: 'healthy' }
    return away ? { state: 'unreachable', reason: 'goes back when it can be reached' } : { state: 'going_back' }
  }
  if (outcome !== undefined) return { state: outcome }
  if (away) return { state: 'unreachable', reason: 'unreachable' }
  const inTurn = deps.board.get(rollout.id, id) !== undefined
  if (inTurn) return { state: 'working' }
  if (stopped !== undefined) return { state: 'skipped', reason: `not started: ${stopped}` }
  const missing = missingBefore(view, wave)
  if (missing.length <= document.maxUnavailable) return { state: 'working' }
  const lost = missing.filter((node) => settledBad.has(node))
  if (lost.length <= document.maxUnavailable) return { state: 'waiting' }
  return { state: 'skipped', reason: `not started: ${lost.length} of the nodes before it cannot be reached` }
}

function summarise(of: {
  rollout: Rollout
  nodes: NodeReport[]
  deps: ReportDeps
  stopped: string | undefined
  expired: boolean
}): RolloutReport {
  const { rollout, nodes, deps, stopped, expired } = of
  const { document } = rollout
  const settled = nodes.every(({ state }) => !['waiting', 'working', 'going_back'].includes(state))
  const good = nodes.filter(({ state }) => state === 'healthy').length
  const halted = rollout.halts.size > 0 || deps.ledger.conflictsOf(rollout.id, document).length > 0
  const enough = nodes.length - good <= document.maxUnavailable
  const ok = settled && enough && !halted && failuresWithin(rollout)
  const reason = ok ? null : (stopped ?? null)
  const base = { nodes, settled, ok, reason }
  if (halted) return { ...base, state: 'halted' }
  if (good === nodes.length) return { ...base, state: 'done' }
  if (nodes.every(({ id }) => deps.ledger.isSuperseded(rollout, id))) return { ...base, state: 'superseded' }
  if (ok) return { ...base, state: 'done' }
  if (expired) return { ...base, state: 'expired' }
  return { ...base, state: settled ? 'failed' : 'running' }
}

function failuresWithin(rollout: { document: RolloutDocument; evidence: Rollout['evidence'] }): boolean {
  const outcomes = new Map([...rollout.evidence].map(([node, { evidence }]) => [node, evidence.outcome]))
  return failuresOf({ document: rollout.document, outcomes }).length < rollout.document.failureBudget
}
