/**
 * punch: a direct connection for two nodes that have one over a relay, or any.
 *
 * Over a stream of the connection that is there both sides tell each other where they can be tried: their listeners, and
 * ports that they have just bound, as STUN servers see them. Then they start at the same moment and try all that fits:
 * dialling each other, opening TCP simultaneously, birthday probing where one router gives another port for each
 * destination, and in the end a data channel over UDP. The first channel over which the expected peer proves itself is
 * the connection; everything else is closed. A failure has a reason for people.
 *
 * `path` asks it, when a path is not direct. It never dials a peer without being asked by this node or the peer, never
 * more than its limits say (docs/protocols/punch.md), and never judges which path is better.
 *
 * ```ts
 * const puncher = createPuncher({ self, handle, opener, upgrader, stunServers, localAddresses, mappedAddresses, clock, log, counters })
 * puncher.start()
 * const outcome = await puncher.punch(peer, { signal })
 * // { ok: true, connection, how: 'simultaneous', ms: 24 } or { ok: false, reason: 'both NATs map per destination (APDM)', permanent: true }
 * ```
 */
export type { PunchOutcome } from './attempt.ts'
export type { Address, How } from './messages.ts'
export { createPuncher, type Puncher, type PuncherInit } from './puncher.ts'
