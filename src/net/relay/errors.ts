import { defineErrors, type WarrenError } from '../../base/errors.ts'

/** What a relay can refuse, as the node hears it that asked. */
export const relayErrors = defineErrors({
  relay_no_reservation: {
    status: 503,
    summary: 'The relay holds no reservation of that node: it is off, or reached over other relays.',
  },
  relay_limit_reached: {
    status: 429,
    summary: 'A limit of the relay is reached: its own, or that of one of the two nodes.',
  },
  relay_not_allowed: { status: 403, summary: 'The relay does not serve this node.' },
  relay_target_silent: {
    status: 504,
    summary: 'The node holds a reservation at the relay but did not answer it in time.',
  },
  relay_target_refused: { status: 403, summary: 'The node that was asked for over a relay does not admit this one.' },
  relay_refused: { status: 502, summary: 'The relay refused for a reason of its own.' },
  relay_circuit_ended: {
    status: 502,
    summary: 'The relay ended a relayed connection, such as at its limit of bytes or time.',
  },
})

/** Why a relay refuses or ends something, as it is sent. */
export type RelayCode =
  | 'no_reservation'
  | 'limit_reached'
  | 'not_allowed'
  | 'target_silent'
  | 'target_refused'
  | 'circuit_bytes'
  | 'circuit_time'
  | 'removed'
  | 'replaced'
  | 'silent'
  | 'expired'
  | 'stopping'
  | 'too_fast'

/** A refusal as it came over the wire, as an error of this program; a code of a later release is `relay_refused`. */
export function errorOf(code: string, message: string): WarrenError {
  switch (code) {
    case 'no_reservation':
      return relayErrors.relay_no_reservation(message)
    case 'limit_reached':
    case 'too_fast':
      return relayErrors.relay_limit_reached(message)
    case 'not_allowed':
    case 'removed':
      return relayErrors.relay_not_allowed(message)
    case 'target_silent':
      return relayErrors.relay_target_silent(message)
    case 'target_refused':
      return relayErrors.relay_target_refused(message)
    default:
      return relayErrors.relay_refused(`${message} (${code})`)
  }
}
