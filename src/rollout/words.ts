/** The parts of a node's turn, in order. */
export const PHASES = ['send', 'verify', 'install', 'start', 'health', 'done'] as const
export type Phase = (typeof PHASES)[number]

/**
 * Where a node stands in a rollout. `waiting`: its wave has not begun. `working`: in its turn, or about to begin.
 * `going_back`: healthy, and about to be reverted. `unreachable`: away, and has said nothing. `skipped`: will not start.
 */
export const OUTCOME_STATES = [
  'waiting',
  'working',
  'going_back',
  'healthy',
  'failed',
  'refused',
  'reverted',
  'unreachable',
  'skipped',
] as const
export type OutcomeState = (typeof OUTCOME_STATES)[number]

/**
 * Where a rollout stands. `done`: as asked for. `failed`: over, and not as asked for. `halted`: by a person, or by a
 * conflict with another. `expired`: its time is over. `superseded`: a later rollout has taken its nodes.
 */
export const ROLLOUT_STATES = ['running', 'done', 'failed', 'halted', 'expired', 'superseded'] as const
export type RolloutState = (typeof ROLLOUT_STATES)[number]

/** A day: longer waits are for `rollout watch`, again. */
export const MAX_WAIT_MS = 24 * 3_600_000
