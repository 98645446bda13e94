/** Finds out what kind of NAT lies between this node and others. */
import { createSocket, type Socket as UdpSocket } from 'node:dgram'
import { lookup } from 'node:dns/promises'
import { once } from 'node:events'
import { createServer, isIPv4, isIPv6, type Socket } from 'node:net'
import { type Clock, systemClock } from '../../base/clock.ts'
import { WarrenError } from '../../base/errors.ts'
import { scopeOf } from '../../base/ip-scope.ts'
import { withTimeout } from '../../base/wait.ts'
import { type Binding, bindingTcp, bindingUdp } from './binding.ts'
import { type FilteringFacts, filteringOf, mappingOf, type Sighting } from './classify.ts'
import { MAX_MEASURED_SERVERS, MEASURE_STEP_MS, MEASURE_TIMEOUT_MS, NAME_TIMEOUT_MS } from './constants.ts'
import { localAddresses } from './local-addresses.ts'
import type { Endpoint } from './message.ts'
import type { NatFiltering, NatMapping, NatReport, StunServer } from './nat-report.ts'

interface MeasureNatInit {
  /** The servers to ask, best first; more than one address tells more. Those without an IPv4 address are passed over. */
  readonly servers: readonly StunServer[]
  readonly signal?: AbortSignal | undefined
  readonly clock?: Clock
}

/** A server by its IPv4 address. */
interface Target {
  readonly host: string
  readonly port: number
  readonly alternatePort: number | null
}

interface Steps {
  readonly signal: AbortSignal
  readonly clock: Clock
}

/**
 * The behaviour of the NAT before this node for IPv4, over UDP and TCP, by the tests of RFC 5780 with what these servers
 * have; at most three are asked. Takes 5 s at most, and less than 1 s where nothing is filtered. What cannot be told is
 * `unknown` with a reason. Rejects with the signal's reason alone; leaves nothing open.
 */
export async function measureNat({ servers, signal, clock = systemClock }: MeasureNatInit): Promise<NatReport> {
  signal?.throwIfAborted()
  const ends = new AbortController()
  const timer = clock.setTimeout(() => ends.abort(), MEASURE_TIMEOUT_MS)
  const steps = { signal: signal === undefined ? ends.signal : AbortSignal.any([signal, ends.signal]), clock }
  try {
    const targets = await targetsOf(servers, steps)
    const work = Promise.all([sightUdp(targets, steps), sightTcp(targets, steps), tryFilters(targets, steps)])
    const [udp, tcp, facts] = await work
    signal?.throwIfAborted()
    return reportOf({ udp, tcp, facts, targets, at: clock.now() })
  } finally {
    clock.clearTimeout(timer)
    ends.abort()
  }
}

interface Findings {
  readonly udp: Sightings
  readonly tcp: Sightings
  readonly facts: FilteringFacts
  readonly targets: readonly Target[]
  readonly at: number
}

/** The sightings of one local port. */
interface Sightings {
  readonly localPort: number
  readonly seen: readonly Sighting[]
}

function reportOf({ udp, tcp, facts, targets, at }: Findings): NatReport {
  if (targets.length === 0) {
    const nothing = {
      udp: { mapping: 'unknown', filtering: 'unknown' },
      tcp: { mapping: 'unknown' },
      mapped: null,
    } as const
    return { ...nothing, at, reason: 'no STUN server with an IPv4 address is known' }
  }
  const [udpSeen, tcpSeen] = [outermost(udp.seen), outermost(tcp.seen)]
  const mapped = udpSeen[0]?.mapped.host ?? tcpSeen[0]?.mapped.host ?? null
  if (mapped === null) {
    const nothing = { udp: { mapping: 'unknown', filtering: 'unknown' }, tcp: { mapping: 'unknown' }, mapped } as const
    return { ...nothing, at, reason: 'no STUN server answered, over UDP or TCP' }
  }
  const filter = udpSeen.length === 0 ? { filtering: 'unknown' as const } : filteringOf(facts)
  const forUdp = judge({ ...udp, seen: udpSeen }, filter.filtering)
  const forTcp = judge({ ...tcp, seen: tcpSeen }, filter.filtering)
  const reasons = [
    udpSeen.length === 0 ? 'UDP is blocked: servers answer over TCP alone' : forUdp.reason,
    tcpSeen.length === 0 ? 'TCP is blocked: servers answer over UDP alone' : undefined,
    filter.reason,
  ].filter((reason) => reason !== undefined)
  return {
    udp: { mapping: forUdp.mapping, filtering: filter.filtering, ...forUdp.preserving },
    tcp: { mapping: forTcp.mapping, ...forTcp.preserving },
    mapped,
    at,
    ...(reasons.length === 0 ? {} : { reason: reasons.join('; ') }),
  }
}

function judge(
  { localPort, seen }: Sightings,
  filtering: NatFiltering,
): { mapping: NatMapping; reason?: string; preserving: { portPreserving?: boolean } } {
  const [first] = seen
  if (first === undefined) return { mapping: 'blocked', preserving: {} }
  const own = localAddresses().map(({ host }) => host)
  const isOwn = seen.every(({ mapped }) => own.includes(mapped.host) && mapped.port === localPort)
  const preserving = { portPreserving: seen.every(({ mapped }) => mapped.port === localPort) }
  // A host with a public address behind a firewall is, for who wants to reach it, one behind a NAT that keeps ports.
  if (isOwn) return { mapping: filtering === 'APDF' || filtering === 'ADF' ? 'EIM' : 'none', preserving }
  return { ...mappingOf(seen), preserving }
}

/** The sightings from furthest outside: a relay on the own network sees what is inside of the NAT. */
function outermost(seen: readonly Sighting[]): readonly Sighting[] {
  const outside = seen.filter(({ server }) => scopeOf(server.host) === 'public')
  return outside.length > 0 ? outside : seen
}

async function targetsOf(servers: readonly StunServer[], steps: Steps): Promise<Target[]> {
  const targets = await Promise.all(
    servers.map(async ({ host, port, alternatePort }) => {
      const address = isIPv4(host) ? host : await ipv4Of(host, steps)
      return { host: address, port, alternatePort }
    }),
  )
  const isFirst = ({ host, port }: Target, index: number): boolean =>
    targets.findIndex((other) => other.host === host && other.port === port) === index
  return targets.filter((target, index) => isIPv4(target.host) && isFirst(target, index)).slice(0, MAX_MEASURED_SERVERS)
}

/** The address of a name; empty where it has none, or the answer takes long. */
async function ipv4Of(name: string, { signal, clock }: Steps): Promise<string> {
  if (isIPv6(name)) return ''
  const find = (): Promise<string> => lookup(name, { family: 4 }).then((found) => found.address)
  return (await attempt(withTimeout(`finding ${name}`, NAME_TIMEOUT_MS, find, { signal, clock }))) ?? ''
}

/** Where else a server can be asked: its second port, and its second address where it names one that is of use. */
function furtherPlaces(target: Target, other: Endpoint | undefined): { ports: Endpoint[]; hosts: Endpoint[] } {
  const port = target.alternatePort ?? other?.port ?? null
  const ports = port === null || port === target.port ? [] : [{ host: target.host, port }]
  // Behind a NAT of its own a server names an address that only its own network has.
  const isUseful =
    other !== undefined &&
    isIPv4(other.host) &&
    other.host !== target.host &&
    scopeOf(other.host) === scopeOf(target.host)
  return { ports, hosts: isUseful ? [{ host: other.host, port: target.port }] : [] }
}

/** How one UDP port is seen by all ports and addresses of all servers. */
async function sightUdp(targets: readonly Target[], steps: Steps): Promise<Sightings> {
  return await withUdpSocket(async (socket) => {
    const look = async (server: Endpoint): Promise<{ sighting: Sighting; other: Endpoint | undefined } | undefined> => {
      const binding = await attempt(bindingUdp(socket, server, stepOptions(steps)))
      return (
        binding && { sighting: { server, mapped: { host: binding.host, port: binding.port } }, other: binding.other }
      )
    }
    return { localPort: socket.address().port, seen: await sightAll(targets, look) }
  })
}

/** How one local TCP port is seen; its connections are open side by side, so that no mapping makes room for the next. */
async function sightTcp(targets: readonly Target[], steps: Steps): Promise<Sightings> {
  const localPort = await freeTcpPort()
  const sockets: Socket[] = []
  const look = async (server: Endpoint): Promise<{ sighting: Sighting; other: Endpoint | undefined } | undefined> => {
    const binding = await attempt(bindingTcp({ server, localPort, ...stepOptions(steps) }))
    if (binding === undefined) return undefined
    sockets.push(binding.socket)
    return { sighting: { server, mapped: binding.mapped }, other: binding.other }
  }
  try {
    return { localPort, seen: await sightAll(targets, look) }
  } finally {
    // A reset leaves neither side with a connection that waits to be forgotten.
    for (const socket of sockets) socket.resetAndDestroy()
  }
}

type Look = (server: Endpoint) => Promise<{ sighting: Sighting; other: Endpoint | undefined } | undefined>

async function sightAll(targets: readonly Target[], look: Look): Promise<Sighting[]> {
  const seen = await Promise.all(
    targets.map(async (target) => {
      const first = await look({ host: target.host, port: target.port })
      if (first === undefined) return []
      const places = furtherPlaces(target, first.other)
      const further = await Promise.all([...places.ports, ...places.hosts].map(look))
      return [first, ...further].flatMap((found) => (found === undefined ? [] : [found.sighting]))
    }),
  )
  return seen.flat()
}

/** Whom the NAT lets in; each server is asked by a socket that has sent to no other place. */
async function tryFilters(targets: readonly Target[], steps: Steps): Promise<FilteringFacts> {
  const outside = targets.filter(({ host }) => scopeOf(host) === 'public')
  const facts = await Promise.all((outside.length > 0 ? outside : targets).map((target) => tryFilter(target, steps)))
  const merged = (name: keyof FilteringFacts): boolean | undefined => {
    const known = facts.map((one) => one[name]).filter((value) => value !== undefined)
    return known.length === 0 ? undefined : known.some((value) => value)
  }
  return { otherPort: merged('otherPort'), otherHost: merged('otherHost') }
}

async function tryFilter(target: Target, steps: Steps): Promise<FilteringFacts> {
  return await withUdpSocket(async (socket) => {
    const server = { host: target.host, port: target.port }
    const first = await attempt(bindingUdp(socket, server, stepOptions(steps)))
    if (first === undefined) return {}
    const places = furtherPlaces(target, first.other)
    const ask = async (place: Endpoint | undefined, change: { host: boolean; port: boolean }) => {
      if (place === undefined) return undefined
      return await cameFrom({ socket, server, steps, change })
    }
    const [otherPort, otherHost] = await Promise.all([
      ask(places.ports[0], { host: false, port: true }),
      ask(places.hosts[0], { host: true, port: true }),
    ])
    return { otherPort, otherHost }
  })
}

interface ChangedAnswer {
  readonly socket: UdpSocket
  readonly server: Endpoint
  readonly steps: Steps
  readonly change: { host: boolean; port: boolean }
}

/** True where an answer from elsewhere came; undefined where the server would give none, or time ran out. */
async function cameFrom({ socket, server, steps, change }: ChangedAnswer): Promise<boolean | undefined> {
  let binding: Binding
  try {
    binding = await bindingUdp(socket, server, { ...stepOptions(steps), change })
  } catch (thrown) {
    const hasRefused = thrown instanceof WarrenError && thrown.details?.stunError !== undefined
    return steps.signal.aborted || hasRefused ? undefined : false
  }
  // Some servers pass over what they do not know and answer from where they always do.
  const { origin } = binding
  if (origin === undefined) return undefined
  return change.host ? origin.host !== server.host : origin.port !== server.port
}

function stepOptions({ signal, clock }: Steps): { signal: AbortSignal; clock: Clock; timeoutMs: number } {
  return { signal, clock, timeoutMs: MEASURE_STEP_MS }
}

async function attempt<T>(work: Promise<T>): Promise<T | undefined> {
  return await work.catch(() => undefined)
}

async function withUdpSocket<T>(work: (socket: UdpSocket) => Promise<T>): Promise<T> {
  const socket = createSocket('udp4')
  try {
    socket.bind(0)
    await once(socket, 'listening')
    socket.on('error', () => undefined)
    return await work(socket)
  } finally {
    await new Promise<void>((resolve) => void socket.close(resolve))
  }
}

/** A TCP port that nobody has now; several connections are to share it, so it is needed before the first. */
async function freeTcpPort(): Promise<number> {
  const server = createServer()
  server.listen(0, '0.0.0.0')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  await new Promise((resolve) => server.close(resolve))
  return port
}
