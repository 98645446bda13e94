import { defineErrors } from '../base/errors.ts'

/** What can go wrong between nodes. */
export const netErrors = defineErrors({
  network_key_mismatch: {
    status: 403,
    summary: 'The other side does not prove the same network key: it belongs to another network, or is no Warren node.',
  },
  peer_refused: { status: 403, summary: 'The other node does not admit this one.' },
  admission_refused: {
    status: 403,
    summary: 'The node that was asked for admission closed the connection without an answer.',
  },
  peer_not_allowed: { status: 403, summary: 'The rules of this node do not allow a connection with that peer.' },
  peer_id_mismatch: { status: 502, summary: 'Another node than the one asked for answers at that address.' },
  peer_unreachable: { status: 503, summary: 'No address of that peer answers.' },
  address_record_invalid: {
    status: 400,
    summary: 'What a node says of its addresses is not signed by it, or not of its form.',
  },
  address_invalid: { status: 400, summary: 'An address or peer id is not written as it must be.' },
  listen_failed: { status: 500, summary: 'The operating system refuses an address that this node is to listen on.' },
  network_not_running: { status: 503, summary: 'The network of this node is not started, or was stopped.' },
  protocol_unsupported: { status: 501, summary: 'The other node does not speak that protocol or that version of it.' },
  stream_reset: { status: 502, summary: 'The other node gave up a stream before its end.' },
  message_too_large: { status: 413, summary: 'A message of another node is longer than its protocol allows.' },
  message_malformed: {
    status: 400,
    summary: 'A message of another node is not of the form that its protocol has.',
  },
  message_incomplete: { status: 502, summary: 'A stream ended in the middle of a message.' },
})
