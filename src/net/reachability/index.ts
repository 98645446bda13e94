/**
 * reachability: whether other nodes can connect to this one from the public Internet.
 *
 * Nobody can see that from inside, so up to three directly connected peers at other public addresses are asked to
 * connect back (`/warren/reach/1`, docs/protocols/reachability.md). A helper connects to the address from which it sees
 * the asker and to no other, so that it can be used neither to scan nor to flood. It says the asker's nonce there, as the
 * transaction of a STUN request, and the asker believes only what it has seen come in. Where nobody can tell (a lab on
 * loopback, a LAN, peers behind the same NAT, no peers) the answer is `unknown`. Used by `path` and by what decides
 * whether this node serves as a relay; a person can force the answer.
 *
 * ```ts
 * const reachability = createReachability({ handle, opener, connections, ports: () => [9010], clock, log, counters })
 * reachability.start()
 * doors.stun = (socket) => reachability.answerTcp(socket) // on a relay the STUN server has it, with `expects: reachability.admits`
 * reachability.events.on('changed', ({ reach }) => ...)
 * ```
 */
export { createReachability, type Reachability, type ReachabilityInit } from './reachability.ts'
export type { Reach } from './verdict.ts'
