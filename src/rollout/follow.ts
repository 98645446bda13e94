import type { Clock } from '../base/clock.ts'
import type { RolloutEnd, RolloutEvent, RolloutProgress } from './contract.ts'
import { waveOf } from './document.ts'
import type { Ledger, Rollout } from './ledger.ts'
import type { ProgressBoard, ProgressUpdate } from './progress.ts'
import type { RolloutReport } from './report.ts'

/** A node that has gone away makes no event of its own: the report is made anew this often. */
const LOOK_INTERVAL_MS = 500

export interface FollowDeps {
  readonly ledger: Ledger
  readonly board: ProgressBoard
  readonly clock: Clock
  report(rollout: Rollout): RolloutReport
  nameOf(node: string): string
  /** The version that a node runs as this app, as it said last; null where it runs none. */
  versionAt(node: string, app: string): string | null
}

/**
 * What happens in a rollout from now on, beginning with where each node stands, until nothing more is expected of it
 * or `timeoutMs` is over; the last event is always the end. Leaving it, or the signal, ends only the following.
 */
export async function* followRollout(
  rollout: Rollout,
  deps: FollowDeps,
  { signal, timeoutMs }: { signal: AbortSignal; timeoutMs: number },
): AsyncGenerator<RolloutEvent> {
  const { ledger, board, clock } = deps
  const untilMs = clock.monotonicMs() + timeoutMs
  const feed = createFeed(clock, signal)
  const undo = [
    ledger.events.on('changed', feed.wake),
    board.events.on('update', (update) => {
      if (update.document !== rollout.id || update.phase === 'done') return
      feed.add(progressEvent(rollout, deps, update))
    }),
  ]
  const told = new Map<string, string>()
  try {
    yield* currentProgress(rollout, deps)
    for (;;) {
      yield* feed.take()
      yield* newOutcomes(rollout, deps, told)
      const report = deps.report(rollout)
      const timedOut = !report.settled && clock.monotonicMs() >= untilMs
      if (report.settled || timedOut) return yield endOf(rollout, { deps, report, timedOut })
      await feed.wait(Math.min(LOOK_INTERVAL_MS, Math.max(1, untilMs - clock.monotonicMs())))
      signal.throwIfAborted()
    }
  } finally {
    for (const end of undo) end()
  }
}

/** What came of a rollout as the last line of a stream. */
export function endOf(
  rollout: Rollout,
  { deps, report, timedOut }: { deps: FollowDeps; report: RolloutReport; timedOut: boolean },
): RolloutEnd {
  return {
    done: true,
    ok: report.ok,
    timed_out: timedOut,
    id: rollout.id,
    short: deps.ledger.shortId(rollout.id),
    app: rollout.document.app,
    version: rollout.document.package.version,
    state: report.state,
    reason: report.reason,
    results: resultsOf(rollout, report, deps),
  }
}

/** One line a node. */
export function resultsOf(
  rollout: Rollout,
  report: RolloutReport,
  { nameOf, versionAt }: Pick<FollowDeps, 'nameOf' | 'versionAt'>,
): RolloutEnd['results'] {
  return report.nodes.map(({ id, state, version, reason, wave }) => ({
    node: nameOf(id),
    ok: state === 'healthy',
    version: version ?? versionAt(id, rollout.document.app),
    state,
    wave: wave + 1,
    ...(reason === null ? {} : { reason }),
  }))
}

function* currentProgress(rollout: Rollout, { board, nameOf }: FollowDeps): Generator<RolloutEvent> {
  for (const id of rollout.document.waves.flat()) {
    const last = board.get(rollout.id, id)
    if (last === undefined || rollout.evidence.has(id)) continue
    yield progressEvent(rollout, { nameOf }, last)
  }
}

function* newOutcomes(rollout: Rollout, deps: FollowDeps, told: Map<string, string>): Generator<RolloutEvent> {
  for (const [id, { evidence }] of rollout.evidence) {
    if (told.get(id) === evidence.outcome) continue
    told.set(id, evidence.outcome)
    const { bytes, total, moved } = deps.board.get(rollout.id, id) ?? { bytes: 0, total: 0, moved: 0 }
    const event = progressEvent(rollout, deps, { node: id, phase: 'done', bytes, total, moved })
    if (evidence.outcome === 'healthy') yield event
    else yield { ...event, error: evidence.reason ?? evidence.outcome }
  }
}

function progressEvent(
  rollout: Rollout,
  { nameOf }: Pick<FollowDeps, 'nameOf'>,
  { node, phase, bytes, total, moved }: Omit<ProgressUpdate, 'document'>,
): RolloutProgress {
  return { node: nameOf(node), phase, bytes, total, moved, wave: waveOf(rollout.document, node) + 1 }
}

/** Events that wait to be yielded, and the wish to look again. */
function createFeed(clock: Clock, signal: AbortSignal) {
  let waiting: RolloutEvent[] = []
  let wakeUp: (() => void) | undefined
  let woken = false
  const wake = (): void => {
    woken = true
    wakeUp?.()
  }
  return {
    wake,
    add: (event: RolloutEvent): void => {
      waiting.push(event)
      wake()
    },
    take: (): RolloutEvent[] => {
      const taken = waiting
      waiting = []
      return taken
    },
    wait: async (delayMs: number): Promise<void> => {
      if (!woken && !signal.aborted) {
        await new Promise<void>((resolve) => {
          const finish = (): void => {
            clock.clearTimeout(timer)
            signal.removeEventListener('abort', finish)
            resolve()
          }
          const timer = clock.setTimeout(finish, delayMs)
          signal.addEventListener('abort', finish, { once: true })
          wakeUp = finish
        })
      }
      wakeUp = undefined
      woken = false
    },
  }
}
