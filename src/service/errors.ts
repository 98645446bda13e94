import { defineErrors } from '../base/errors.ts'

/** What can go wrong with services and the ways to them. */
export const serviceErrors = defineErrors({
  service_not_found: { status: 404, summary: 'The node exposes no service of that name.' },
  service_refused: { status: 403, summary: 'The node exposes the service, but not to this node.' },
  service_busy: {
    status: 429,
    summary: 'The node that exposes the service has as many connections as it takes, or new ones come too fast.',
  },
  service_unreachable: {
    status: 502,
    summary: 'The node was reached, but the program behind the service was not: it does not run, or not there.',
  },
  service_removed: {
    status: 403,
    summary: 'The connection was cut: the service, the proxy, or the right to it is gone.',
  },
  service_unnamed: {
    status: 400,
    summary: 'What was asked for is neither a node and a service nor a name in service.names.',
  },
  service_limit: { status: 409, summary: 'This node has as many services, or proxies, as it holds.' },
  service_malformed: { status: 502, summary: 'What another node sent does not follow the protocol of services.' },
  proxy_not_found: { status: 404, summary: 'No proxy with that id is open on this node.' },
})
