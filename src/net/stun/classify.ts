/** From how servers saw a port to the name of the behaviour (RFC 5780, 4.3 and 4.4; RFC 4787, 4 and 5). */
import type { Endpoint } from './message.ts'
import type { NatFiltering, NatMapping } from './nat-report.ts'

/** How one local port was seen by one port of a server. */
export interface Sighting {
  /** The server's address and port. */
  readonly server: Endpoint
  readonly mapped: Endpoint
}

/** What was asked about filtering, over all servers: undefined where it was not asked. */
export interface FilteringFacts {
  /** An answer from another port of the address that was asked came. */
  readonly otherPort?: boolean | undefined
  /** An answer from another address came. */
  readonly otherHost?: boolean | undefined
}

/** The mapping of a local port that is not an address of this host's own, with what could not be told. */
export function mappingOf(sightings: readonly Sighting[]): { mapping: NatMapping; reason?: string } {
  const isSame = (a: Sighting, b: Sighting): boolean =>
    a.mapped.host === b.mapped.host && a.mapped.port === b.mapped.port
  const pairs = sightings.flatMap((one, index) => sightings.slice(index + 1).map((other) => [one, other] as const))
  const byPort = pairs.filter(([a, b]) => a.server.host === b.server.host)
  const byHost = pairs.filter(([a, b]) => a.server.host !== b.server.host)
  if (byPort.some(([a, b]) => !isSame(a, b))) return { mapping: 'APDM' }
  if (byHost.some(([a, b]) => !isSame(a, b))) {
    if (byPort.length > 0) return { mapping: 'ADM' }
    return { mapping: 'APDM', reason: 'no server answered on a second port, so ADM cannot be told from APDM' }
  }
  if (byHost.length > 0) return { mapping: 'EIM' }
  if (byPort.length > 0)
    return { mapping: 'EIM', reason: 'only one address of a server answered, so ADM is not excluded' }
  return { mapping: 'unknown', reason: 'one answer from one port of a server tells no behaviour' }
}

/** The filtering of a port; both questions are needed for all but the narrowest. */
export function filteringOf({ otherPort, otherHost }: FilteringFacts): { filtering: NatFiltering; reason?: string } {
  if (otherHost === true) return { filtering: 'EIF' }
  if (otherPort === undefined) return { filtering: 'unknown', reason: 'no server could answer from a second port' }
  if (!otherPort) return { filtering: 'APDF' }
  if (otherHost === false) return { filtering: 'ADF' }
  return { filtering: 'unknown', reason: 'no server has a second address, so EIF cannot be told from ADF' }
}
