import type { Clock } from '../base/clock.ts'
import { EventBus } from '../base/events.ts'
import type { Phase } from './words.ts'

/** How far a node is. Unsigned and for showing only: it starts nothing. */
export interface ProgressUpdate {
  readonly document: string
  readonly node: string
  readonly phase: Phase
  readonly bytes: number
  readonly total: number
  /** Bytes of content that other nodes have sent for this turn. */
  readonly moved: number
}

/** At most five updates a second within one phase: enough for a moving bar, little for the wire. */
const MIN_INTERVAL_MS = 200

/** The last update of every node in every rollout. */
export interface ProgressBoard {
  readonly events: EventBus<{ update: ProgressUpdate }>
  /** Keeps an update and tells the listeners. */
  set(update: ProgressUpdate): void
  get(document: string, node: string): ProgressUpdate | undefined
  /** Forgets a rollout. */
  drop(document: string): void
}

export function createProgressBoard(): ProgressBoard {
  const events = new EventBus<{ update: ProgressUpdate }>()
  const last = new Map<string, Map<string, ProgressUpdate>>()
  return {
    events,
    set: (update) => {
      const nodes = last.get(update.document) ?? new Map<string, ProgressUpdate>()
      nodes.set(update.node, update)
      last.set(update.document, nodes)
      events.emit('update', update)
    },
    get: (document, node) => last.get(document)?.get(node),
    drop: (document) => void last.delete(document),
  }
}

/** Lets the first and last update of a phase through, and at most five a second between. */
export function throttleProgress(
  clock: Clock,
  pass: (update: ProgressUpdate) => void,
): (update: ProgressUpdate) => void {
  let phase: Phase | undefined
  let passedMs = 0
  return (update) => {
    const nowMs = clock.monotonicMs()
    const whole = update.total > 0 && update.bytes >= update.total
    if (update.phase === phase && !whole && nowMs - passedMs < MIN_INTERVAL_MS) return
    phase = update.phase
    passedMs = nowMs
    pass(update)
  }
}
