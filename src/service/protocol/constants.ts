/** One connection to a service a stream: a head, an answer, then the service's own bytes, or datagrams. */
export const SERVICE_PROTOCOL = '/warren/service/1'
/** One list a stream: what the sender exposes, as far as its peer may know. */
export const LIST_PROTOCOL = '/warren/services/1'

/** A name of 63 characters and a kind. */
export const MAX_HEAD_BYTES = 4 * 1024
/** A code, a sentence and a hint. */
export const MAX_ANSWER_BYTES = 4 * 1024
/** 256 services with a target and some names each. */
export const MAX_LIST_BYTES = 2 * 1024 * 1024
