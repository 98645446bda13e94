import { rolloutErrors } from './errors.ts'
import type { Rollout } from './ledger.ts'

/** Most rollouts held. A finished one is dropped after its time, except for the newest of each app. */
const MAX_ROLLOUTS = 1000
/** Of these by one author: the newest of each app is kept for good, so one key with many app names could else fill all. */
const MAX_PER_AUTHOR = 500
/**
 * Pieces of evidence that one rollout keeps of nodes that the roster does not name, which may be about to join: who may
 * deploy could else make up targets with their keys, and fill every disk.
 */
const MAX_UNKNOWN = 16

/**
 * The rollout that is to give its place to a further one by `author`; undefined where there is room. Where all places are
 * taken it is one that no node will start, since its author may not deploy any more. Fails with `rollout_limit`.
 */
export function findRoom(
  held: readonly Rollout[],
  { author, mayDeploy }: { author: string; mayDeploy: (node: string, app: string) => boolean },
): Rollout | undefined {
  if (held.filter(({ document }) => document.author === author).length >= MAX_PER_AUTHOR) {
    throw rolloutErrors.rollout_limit(`${MAX_PER_AUTHOR} rollouts of ${author} are held, as many as one node may have`)
  }
  if (held.length < MAX_ROLLOUTS) return undefined
  const useless = held.filter(({ document, begun }) => !begun && !mayDeploy(document.author, document.app))
  // What has run somewhere carries a generation that matters.
  const [first] = useless.toSorted((a, b) => a.evidence.size - b.evidence.size)
  if (first !== undefined) return first
  throw rolloutErrors.rollout_limit(`${MAX_ROLLOUTS} rollouts are held; the oldest end within a day`)
}

/** Fails with `rollout_invalid` where a first piece of evidence by this node would be one too many. */
export function requireRoomForEvidence({ evidence }: Rollout, node: string, isKnown: (node: string) => boolean): void {
  if (isKnown(node) || [...evidence.keys()].filter((other) => !isKnown(other)).length < MAX_UNKNOWN) return
  throw rolloutErrors.rollout_invalid(`evidence of ${node}, which is in no roster`)
}
