import type { z } from 'zod'
import type { relaySection } from './config.ts'

/** The values of the section `relay:`. */
export type RelayConfig = z.output<(typeof relaySection)['schema']>

/** What the rules of a relay ask about nodes. */
export interface RelayRules {
  /** Whether a peer is in the roster now: a node of whatever role, or a deploy token. */
  isMember(peer: string): boolean
  /** Whether its role is that of a relay. */
  isRelay(peer: string): boolean
}

/** The settings with which a network uses relays, and serves as one: what `createNetwork` takes as `relay`. */
export function relaySettings(config: RelayConfig, { isMember, isRelay }: RelayRules) {
  return {
    servers: config.servers,
    serve: config.serve,
    limits: {
      maxReservations: config.max_reservations,
      maxCircuits: config.max_circuits,
      circuitsPerPeer: config.circuits_per_peer,
      circuitBytes: config.circuit_bytes,
      circuitTimeMs: config.circuit_time,
      ratePerPeer: config.rate_per_peer,
    },
    // Who is connected has proved the network key and passed the gate.
    mayUse: (peer: string): boolean => config.access === 'network' || isMember(peer),
    isRelay,
  }
}
