import { defineErrors } from '../base/errors.ts'

export const memberErrors = defineErrors({
  node_not_found: { status: 404, summary: 'No node of the network has that name, id or label.' },
  node_ambiguous: { status: 409, summary: 'More than one node has an id that begins so; more digits are needed.' },
  node_unreachable: { status: 503, summary: 'The node is known but no connection to it can be had now.' },
  selector_invalid: { status: 400, summary: 'A label selector is not of the form k=v, k!=v, k in (a,b) or k.' },
  roster_exchange_invalid: { status: 400, summary: 'A peer broke the rules of the exchange of rosters.' },
  roster_too_long: { status: 413, summary: 'A peer sent more statements in one exchange than a roster may hold.' },
})
