import { defineErrors } from '../base/errors.ts'

/** Error codes of rollouts and of `deploy`. */
export const rolloutErrors = defineErrors({
  app_nowhere: { status: 404, summary: 'No node has the app that is to be upgraded.' },
  rollout_invalid: {
    status: 422,
    summary: 'A rollout document, evidence or halt is malformed, or is not signed by the node that it names.',
  },
  rollout_not_found: { status: 404, summary: 'No rollout of that id is known to this node.' },
  rollout_ambiguous: { status: 409, summary: 'The start of an id fits several rollouts; more of it is needed.' },
  rollout_conflict: {
    status: 409,
    summary: 'Another rollout of the same app was made from the same generation; neither may go on beside the other.',
  },
  rollout_forbidden: { status: 403, summary: 'The author of the rollout, or of the halt, may not deploy that app.' },
  roster_stale: {
    status: 409,
    summary:
      'The node has heard of no admin for longer than `trust.max_stale`, so that it installs no package that is new to it.',
  },
  not_current: {
    status: 503,
    summary:
      'The node was away and has not yet compared its roster with others, so it begins nothing that concerns them.',
  },
  rollout_expired: { status: 409, summary: 'The time until which the rollout may start anywhere is over.' },
  rollout_finished: { status: 409, summary: 'The rollout is over, so there is nothing left to halt.' },
  rollout_limit: { status: 429, summary: 'This node holds as many rollouts as it may; old ones must expire first.' },
  rollout_empty: { status: 400, summary: 'No node was chosen, or none of the chosen ones runs apps.' },
  package_missing: { status: 404, summary: 'The package of the rollout is not stored on the node that was asked.' },
})
