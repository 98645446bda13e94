import { defineErrors } from '../base/errors.ts'

export const memberErrors = defineErrors({
  node_not_found: { status: 404, summary: 'No node of the network has that name, id or label.' },
  node_ambiguous: { status: 409, summary: 'More than one node has an id that begins so; more digits are needed.' },
  node_unreachable: { status: 503, summary: 'The node is known but no connection to it can be had now.' },
  node_exists: { status: 409, summary: 'The node to add is in the network already.' },
  node_waiting: {
    status: 409,
    summary: 'The node joined by an invite that was used too often; an admin must confirm it before it is changed.',
  },
  node_is_self: { status: 409, summary: 'A node does not remove itself; another admin does.' },
  name_taken: { status: 409, summary: 'Another node or token of the network has that name.' },
  grant_not_found: { status: 404, summary: 'The node has no such right that could be taken back.' },
  invite_not_found: { status: 404, summary: 'No invite, or more than one, has an id that begins so.' },
  invite_missing: { status: 400, summary: 'No join code was given.' },
  invite_expired: { status: 409, summary: 'The invite of a join code has expired.' },
  invite_used: { status: 409, summary: 'As many nodes as the invite allows have joined by that join code.' },
  invite_closed: { status: 409, summary: 'An admin has closed the invite of a join code before it was used.' },
  no_admin_reachable: { status: 503, summary: 'No admin that could admit this node answers, or can admit one now.' },
  not_admitted: {
    status: 403,
    summary: 'The nodes that were asked do not know this one as a member of their network.',
  },
  token_not_found: { status: 404, summary: 'There is no deploy token of that name.' },
  home_taken: {
    status: 409,
    summary: 'The home already holds a node or its configuration; join never overwrites one.',
  },
  selector_invalid: { status: 400, summary: 'A label selector is not of the form k=v, k!=v, k in (a,b) or k.' },
  roster_exchange_invalid: { status: 400, summary: 'A peer broke the rules of the exchange of rosters.' },
  roster_too_long: { status: 413, summary: 'A peer sent more statements in one exchange than a roster may hold.' },
})
