import type { Clock } from '../base/clock.ts'
import { toWarrenError } from '../base/errors.ts'
import { sleep } from '../base/wait.ts'
import type { RolloutApps, RolloutTransfer, RolloutTrust, StoredPackage } from './deps.ts'
import type { RolloutDocument } from './document.ts'
import { rolloutErrors } from './errors.ts'
import type { Outcome } from './evidence.ts'
import type { Phase } from './words.ts'

/** While a version is on trial it is probed this often (RUN-3). */
const PROBE_INTERVAL_MS = 250

/** What a turn came to; the runner signs it. */
export interface TurnResult {
  readonly outcome: Outcome
  readonly version: string | null
  readonly reason: string | null
}

/** Named points at which a test may stop a turn, as a crash would. */
export const FAULT_POINTS = ['begun', 'fetched', 'checked', 'deployed', 'recorded', 'reverted'] as const
/** One of them. */
export type FaultPoint = (typeof FAULT_POINTS)[number]

export interface TurnDeps<P extends StoredPackage = StoredPackage> {
  readonly apps: RolloutApps
  readonly transfer: RolloutTransfer<P>
  readonly trust: RolloutTrust<P>
  readonly clock: Clock
  readonly faultPoint?: ((name: FaultPoint) => void | Promise<void>) | undefined
}

export interface Turn {
  readonly document: RolloutDocument
  /** Nodes to fetch from, best first; asked again at every try, since more nodes may have the package by then. */
  sources(): string[]
  /** Throws where the turn may no longer go on: right lost, halted, superseded, roster too old. Asked before anything is started. */
  requireAllowed(): void
  /** Called when the app is about to be touched: from here on the turn is finished, not cut off. */
  onInstalling(): void
  onProgress(progress: { phase: Phase; bytes: number; total: number; moved?: number }): void
  readonly signal: AbortSignal
}

/**
 * One node's turn: fetch, check trust, deploy. Gives the outcome; a package that cannot be had or is not trusted is
 * `refused`, since nothing was started. Throws only when the signal fires
 * or the app is busy. May be repeated after a crash at any point.
 */
export async function runTurn<P extends StoredPackage>(deps: TurnDeps<P>, turn: Turn): Promise<TurnResult> {
  const { document } = turn
  try {
    turn.requireAllowed()
    const bytes = await bringPackage(deps, turn)
    turn.requireAllowed()
    turn.onInstalling()
    try {
      return await deployPackage(deps, turn, bytes)
    } catch (thrown) {
      if ((thrown as { code?: unknown }).code !== 'package_damaged') throw thrown
      // The store has noticed what it lost; nothing was stopped yet.
      return await deployPackage(deps, turn, await bringPackage(deps, turn))
    }
  } catch (thrown) {
    if (turn.signal.aborted) throw turn.signal.reason
    // Another verb works on the app now; the runner tries the turn again.
    if ((thrown as { code?: unknown }).code === 'app_busy') throw thrown
    const current = await deps.apps.active(document.app)
    return { outcome: 'refused', version: current?.version ?? null, reason: describe(thrown) }
  }
}

/** Has the package here and trusted; gives its size. */
async function bringPackage<P extends StoredPackage>(deps: TurnDeps<P>, turn: Turn): Promise<number> {
  const stored = await fetchPackage(deps, turn)
  await deps.faultPoint?.('fetched')
  const { bytes } = stored.record
  turn.onProgress({ phase: 'verify', bytes, total: bytes })
  await checkPackage(deps.trust, stored, turn.document)
  await deps.faultPoint?.('checked')
  return bytes
}

async function fetchPackage<P extends StoredPackage>(deps: TurnDeps<P>, turn: Turn): Promise<P> {
  const { document, signal } = turn
  const { digest } = document.package
  const held = await deps.transfer.get(digest)
  if (held?.complete === true) return held
  for (let attempt = 0; ; attempt++) {
    turn.onProgress({ phase: 'send', bytes: 0, total: 0 })
    try {
      return await deps.transfer.fetch(digest, {
        sources: turn.sources(),
        signal,
        onProgress: ({ bytes, total, movedBytes }) =>
          turn.onProgress({ phase: 'send', bytes, total, moved: movedBytes }),
      })
    } catch (error) {
      if (signal.aborted || attempt >= document.retries || isForGood(error)) throw error
      await sleep(document.retryDelayMs, { signal, clock: deps.clock })
    }
  }
}

/** The package itself is not accepted here, or the disk is full: asking again gives the same answer. */
function isForGood(error: unknown): boolean {
  const { status } = toWarrenError(error)
  return status < 500 || status === 501 || status === 507
}

async function checkPackage<P extends StoredPackage>(
  trust: RolloutTrust<P>,
  stored: P,
  document: RolloutDocument,
): Promise<void> {
  const { name, version } = stored.record
  if (name !== document.package.name || version !== document.package.version) {
    throw rolloutErrors.rollout_invalid(
      `the rollout says ${document.package.name} ${document.package.version}, the package is ${name} ${version}`,
    )
  }
  await trust.check(stored, { app: document.app, author: document.author })
}

async function deployPackage(
  deps: Pick<TurnDeps, 'apps' | 'faultPoint'>,
  turn: Turn,
  bytes: number,
): Promise<TurnResult> {
  const { document, signal } = turn
  turn.onProgress({ phase: 'install', bytes, total: bytes })
  const outcome = await deps.apps.deploy(
    {
      instance: document.app,
      digest: document.package.digest,
      trial: {
        minHealthyMs: document.minHealthyMs,
        probeIntervalMs: PROBE_INTERVAL_MS,
        deadlineMs: document.progressDeadlineMs,
      },
      generation: document.base + 1,
    },
    { signal, onPhase: (phase) => turn.onProgress({ phase, bytes, total: bytes }) },
  )
  await deps.faultPoint?.('deployed')
  if (outcome.ok) return { outcome: 'healthy', version: outcome.version, reason: null }
  return { outcome: 'failed', version: outcome.version, reason: outcome.reason }
}

/** One line for people: the message, with the code before it where it is an error of ours. */
export function describe(thrown: unknown): string {
  const error = toWarrenError(thrown)
  return error.code === 'internal' ? error.message : `${error.code}: ${error.message}`
}
