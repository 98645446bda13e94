import { defineErrors } from '../base/errors.ts'

export const apiErrors = defineErrors({
  call_not_found: {
    status: 404,
    summary: 'No call has that method and path; the other side may be of another release.',
  },
  request_invalid: { status: 400, summary: 'A part of the request does not have the form that the contract asks for.' },
  request_too_large: { status: 413, summary: 'The body of the request is longer than the call takes.' },
  role_required: { status: 403, summary: 'The caller does not have the role that the call needs.' },
  local_only: { status: 403, summary: 'The call is answered on the own socket of the daemon only, not to peers.' },
  rate_limited: { status: 429, summary: 'The peer sent more requests than it may; it can try again in a second.' },
  cookie_wrong: { status: 401, summary: 'The request to the socket carried no cookie, or that of an earlier start.' },
  socket_untrusted: {
    status: 403,
    summary: 'The folder of the daemon’s socket is not this user’s alone, so that anyone may answer there.',
  },
  daemon_not_running: {
    status: 503,
    summary: 'No daemon answers in that home; commands that need the network ask it.',
  },
  connection_lost: { status: 502, summary: 'The connection ended before the answer was complete.' },
  response_invalid: {
    status: 502,
    summary: 'The answer does not have the form of the contract; the other side may be of another release.',
  },
})
