/**
 * net/relay: peers that cannot reach each other meet at a third node that both can reach. A node without an address of
 * its own keeps reservations, long-lived streams to one or two relays; a dialler asks such a relay for a circuit, the
 * relay brings it to the node, and passes bytes between the two from then on.
 *
 * A circuit becomes an ordinary connection at its two ends, by the same upgrade as every other: TLS from end to end, the
 * network key proved, the gate asked. So a relay sees who speaks with whom, when and how much, and nothing else, and it
 * cannot bring another peer than the one that was asked for. It never decides which way to a peer is best; that is
 * `net/path`. Wire format: docs/protocols/relay.md.
 *
 * ```ts
 * const server = createRelayServer({ handle, opener, mayUse, observed, limits, clock, log, counters })
 * server.start()
 * const client = createRelayClient({ handle, opener, upgrader, connect, addressOf, mayAnswer, clock, log, counters })
 * client.setCandidates([relay])
 * client.start()
 * const connection = await client.dial(relay, peer, { signal })
 * ```
 */

export { type RelayAddresses, relaysOf } from './addresses.ts'
export type { Refusal } from './call-target.ts'
export { createRelayClient } from './client.ts'
export { createRelayServer } from './server.ts'
export type {
  Passage,
  PassageWish,
  RelayClient,
  RelayClientEvents,
  RelayClientInit,
  RelayLimits,
  RelayReservation,
  RelayServer,
  RelayServerInit,
  RelayServerStatus,
} from './types.ts'
