import { implement, type Route } from '../api/index.ts'
import type { Network } from '../net/index.ts'
import { relayContract } from './contract.ts'

/** What the calls about relays need. */
export interface RelayRoutesInit {
  network: Pick<Network, 'reach'>
  /** The name of a node; null where it has none. */
  nameOf: (id: string) => string | null
}

/** The calls about relays. */
export function relayRoutes({ network, nameOf }: RelayRoutesInit): Route[] {
  const node = (id: string) => ({ id, name: nameOf(id) })
  const time = (ms: number): string => new Date(ms).toISOString()
  return [
    implement(relayContract.status, () => {
      const { relay, reservations, relays, reachability } = network.reach()
      return {
        server:
          relay === null
            ? null
            : {
                reservations: relay.reservations.map(({ peer, since, circuits }) => ({
                  node: node(peer),
                  since: time(since),
                  circuits,
                })),
                circuits: relay.circuits.map(({ from, to, since, bytes }) => ({
                  from: node(from),
                  to: node(to),
                  since: time(since),
                  bytes,
                })),
                limits: {
                  max_reservations: relay.limits.maxReservations,
                  max_circuits: relay.limits.maxCircuits,
                  circuits_per_peer: relay.limits.circuitsPerPeer,
                  circuit_bytes: relay.limits.circuitBytes,
                  circuit_time_ms: relay.limits.circuitTimeMs,
                  rate_per_peer: relay.limits.ratePerPeer,
                },
              },
        reservations: reservations.map((held) => ({
          relay: node(held.relay),
          since: time(held.since),
          expires: time(held.expires),
          rtt_ms: held.rttMs === null ? null : Math.round(held.rttMs * 100) / 100,
          mapped_ip: held.mappedIp,
        })),
        relays: relays.map(node),
        reachability,
      }
    }),
  ]
}
