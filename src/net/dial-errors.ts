import { WarrenError } from '../base/errors.ts'
import { netErrors } from './errors.ts'

/** Codes that an error of a handshake may carry through libp2p, which keeps nothing of an error but its message. */
const CARRIED = [
  'network_key_mismatch',
  'peer_refused',
  'admission_refused',
  'peer_not_allowed',
  'peer_id_mismatch',
  'protocol_unsupported',
  'peer_unreachable',
] as const

const HINTS: Partial<Record<(typeof CARRIED)[number], string>> = {
  network_key_mismatch: 'Both nodes must belong to the same network: compare "warren status" on both.',
  peer_refused: 'An admin adds this node to the network, or to authorized_peers on the other node.',
  peer_not_allowed: 'See who is admitted: warren nodes',
  admission_refused: 'It does not take this request, or not now: ask one of its admins, and try again after a minute.',
  peer_unreachable: 'Check that the node runs and that its port is open, then try again.',
  peer_id_mismatch: 'The node there may have been set up anew: check its id with "warren status" on it.',
}

/** An error whose message names its code, so that `dialError` finds it again. */
export function carryCode(error: WarrenError): Error {
  return new Error(`${error.code}: ${error.message}`, { cause: error })
}

/** What a failed dial means, in Warren's codes. `target` is the peer id or address that was dialled. */
export function dialError(thrown: unknown, target: string): WarrenError {
  if (thrown instanceof WarrenError) return thrown
  const errors = flatten(thrown)
  for (const code of CARRIED) {
    const carried = errors.find((error) => error.message.startsWith(`${code}: `))
    if (carried === undefined) continue
    const reason = carried.message.slice(code.length + 2)
    return netErrors[code](`${target}: ${reason}`, { hint: HINTS[code] ?? 'Compare the versions of both nodes.' })
  }
  if (errors.some((error) => error.name === 'NoValidAddressesError')) {
    return netErrors.peer_unreachable(`no address is known for ${target}`, {
      hint: 'Give one: warren connect /ip4/ADDRESS/tcp/9010',
    })
  }
  const reasons = [...new Set(errors.map(plainReason))].join('; ')
  return netErrors.peer_unreachable(`cannot reach ${target}: ${reasons}`, {
    hint: 'Check that the node runs and that its port is open, then try again.',
    cause: thrown,
  })
}

function flatten(thrown: unknown): Error[] {
  if (thrown instanceof AggregateError) return thrown.errors.flatMap(flatten)
  return [thrown instanceof Error ? thrown : new Error(String(thrown))]
}

function plainReason(error: Error): string {
  const { code } = error as NodeJS.ErrnoException
  if (code === 'ECONNREFUSED') return 'the port is closed'
  if (code === 'EHOSTUNREACH' || code === 'ENETUNREACH') return 'there is no way to that address'
  if (error.name === 'TimeoutError' || error.name === 'AbortError' || code === 'ETIMEDOUT') return 'no answer in time'
  return error.message
}
