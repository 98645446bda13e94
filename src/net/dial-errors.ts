import { WarrenError } from '../base/errors.ts'
import { netErrors } from './errors.ts'

/** Codes that an error of a handshake may carry through libp2p, which keeps nothing of an error but its message. What the peer itself has said comes first. */
const CARRIED = [
  'peer_refused',
  'admission_refused',
  'peer_not_allowed',
  'network_key_mismatch',
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

const SHORT: Partial<Record<(typeof CARRIED)[number], string>> = {
  network_key_mismatch: 'not of this network, or not Warren',
  peer_refused: 'it does not admit this node',
  peer_not_allowed: 'not allowed here',
  peer_id_mismatch: 'another node answers there',
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
    const carried = errors.find((error) => isOf(error, code))
    if (carried === undefined) continue
    if (carried instanceof WarrenError) return carried
    const reason = carried.message.slice(code.length + 2)
    return netErrors[code](`${target}: ${reason}`, { hint: HINTS[code] ?? 'Compare the versions of both nodes.' })
  }
  if (errors.length === 0) {
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

/** Why one attempt failed, in a few words. */
export function shortReason(thrown: unknown): string {
  const errors = flatten(thrown)
  for (const code of CARRIED) {
    const carried = errors.find((error) => isOf(error, code))
    if (carried === undefined || code === 'peer_unreachable') continue
    return SHORT[code] ?? carried.message.replace(`${code}: `, '')
  }
  const reasons = [...new Set(errors.map(plainReason))].join(', ')
  return reasons === '' ? 'no address is known' : reasons
}

function isOf(error: Error, code: (typeof CARRIED)[number]): boolean {
  return error instanceof WarrenError ? error.code === code : error.message.startsWith(`${code}: `)
}

function flatten(thrown: unknown): Error[] {
  if (thrown instanceof AggregateError) return thrown.errors.flatMap(flatten)
  return [thrown instanceof Error ? thrown : new Error(String(thrown))]
}

function plainReason(error: Error): string {
  const { code, cause } = error as NodeJS.ErrnoException
  // Said in full by the dial of one address; the reason alone is wanted.
  if (error instanceof WarrenError && code === 'peer_unreachable' && cause instanceof Error) return shortReason(cause)
  if (code === 'ECONNREFUSED') return 'the port is closed'
  if (code === 'EHOSTUNREACH' || code === 'ENETUNREACH') return 'there is no way to that address'
  if (error.name === 'TimeoutError' || error.name === 'AbortError' || code === 'ETIMEDOUT' || code === 'timed_out')
    return 'no answer in time'
  return error.message
}
