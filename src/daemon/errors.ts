import { defineErrors } from '../base/errors.ts'

export const daemonErrors = defineErrors({
  token_unusable: {
    status: 403,
    summary: 'The deploy token was removed, has expired, or no admin that it names could be reached.',
  },
  home_not_found: { status: 404, summary: 'There is no node in that home yet.' },
  daemon_start_failed: { status: 500, summary: 'The daemon ended before it was ready; its log says why.' },
  daemon_stop_failed: { status: 504, summary: 'The daemon did not end in time.' },
  home_in_use: { status: 409, summary: 'The home already holds a node; init never overwrites one.' },
  label_invalid: { status: 400, summary: 'A label is not of the form KEY=VALUE.' },
})
