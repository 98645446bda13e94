import { defineErrors } from '../base/errors.ts'

export const auditErrors = defineErrors({
  audit_broken: {
    status: 409,
    summary: 'The audit log was changed, or a part of it was cut out or off; the message names the first bad entry.',
  },
  audit_not_found: { status: 404, summary: 'There is no audit log at that place.' },
  audit_head_invalid: {
    status: 422,
    summary: 'A signed head of an audit log cannot be read, or is not signed by the node that it speaks of.',
  },
  audit_time_invalid: { status: 400, summary: 'A point in time is neither a duration ago nor an ISO 8601 time.' },
})
