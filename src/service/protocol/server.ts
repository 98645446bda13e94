import type { Duplex } from 'node:stream'
import type { Clock } from '../../base/clock.ts'
import type { Counters } from '../../base/counters.ts'
import type { TellDecision } from '../../base/decisions.ts'
import { toWarrenError, type WarrenError } from '../../base/errors.ts'
import type { Logger } from '../../base/log.ts'
import { withTimeout } from '../../base/wait.ts'
import { type Network, readMessage, sendMessage } from '../../net/index.ts'
import { startFlow } from '../datagrams.ts'
import { serviceErrors } from '../errors.ts'
import type { Exposed, Service } from '../exposed.ts'
import {
  FLOW_IDLE_MS,
  HEAD_TIMEOUT_MS,
  MAX_CONNECTIONS,
  MAX_CONNECTIONS_PER_PEER,
  MAX_LIST_STREAMS,
  REFUSAL_LINGER_MS,
  RIGHTS_CHECK_MS,
} from '../limits.ts'
import { type Asker, hintOf, mayUse } from '../rights.ts'
import { reset, splice } from '../splice.ts'
import { bindToTarget, connectTarget } from '../target.ts'
import { LIST_PROTOCOL, MAX_HEAD_BYTES, SERVICE_PROTOCOL } from './constants.ts'
import { decodeHead, encodeRefusal, type Head, type ListedService } from './messages.ts'

/** So many refusals can be under way beyond the limit of connections, so that their reasons are heard. */
const REFUSED_AT_ONCE = 16

export interface ServerContext {
  readonly network: Pick<Network, 'handle'>
  readonly exposed: Exposed
  /** A peer with its rights of now. */
  readonly askerOf: (peer: string) => Asker
  /** Resolves once the peer's roster was compared with ours, so that its rights are of today. */
  readonly whenExchanged: (peer: string) => Promise<void>
  /** What a peer is told of the services of this node. */
  readonly listFor: (asker: Asker) => ListedService[]
  readonly nameOf: (peer: string) => string
  /** Names of those who can give rights. */
  readonly whomToAsk: () => string
  readonly tell: TellDecision
  readonly clock: Clock
  readonly log: Logger
  readonly counters: Counters
}

/** Serves what this node exposes. */
export interface ServiceServer {
  /** Serves one stream of an asker, which is taken over; never rejects. */
  serve(stream: Duplex, asker: () => Asker): Promise<void>
  /** Cuts what is no longer exposed as it was, or no longer to its peer; gives how many. */
  recheck(): number
  /** How many are open to a service. */
  connectionsOf(service: string): number
  /** Ends the serving, and cuts what is open. */
  stop(): void
}

/** A connection that was let in. */
interface Served {
  readonly stream: Duplex
  readonly service: Service
  readonly asker: () => Asker
  readonly cut: AbortController
}

/** Serves both protocols until it is stopped. Rights are judged at every connection, and of the open ones again. */
export function startServiceServer(context: ServerContext): ServiceServer {
  const { network, exposed, askerOf, listFor, whenExchanged, tell } = context
  const open = new Set<Served>()
  const admit = createAdmit(context, open)

  const serve: ServiceServer['serve'] = async (stream, asker) => {
    let served: Served | undefined
    stream.on('error', () => undefined)
    try {
      const head = decodeHead(await readHead(stream))
      await whenExchanged(asker().id)
      served = admit(stream, asker, head)
      open.add(served)
      await carry(served, context)
    } catch (thrown) {
      const error = toWarrenError(thrown)
      if (served?.cut.signal.aborted !== true) await refuse(stream, error)
      context.counters.add('service_failed', 1, { code: error.code })
      context.log.debug({ peer: asker().id, code: error.code, reason: error.message }, 'a connection ended')
    } finally {
      if (served !== undefined) open.delete(served)
    }
  }

  const recheck = (): number => {
    let cuts = 0
    for (const { stream, service, asker, cut } of [...open]) {
      const now = exposed.find(service.name)
      const same = now?.kind === service.kind && now.host === service.host && now.port === service.port
      if (same && mayUse(now, asker())) continue
      cuts++
      const why = same ? 'the right to it is gone' : 'it is exposed no longer as it was'
      const error = serviceErrors.service_removed(`the connection to ${service.name} was cut: ${why}`)
      tell({ ...told(service.name, asker()), outcome: 'refused', reason: `${error.code}: ${error.message}` })
      cut.abort(error)
      reset(stream)
    }
    return cuts
  }
  const timer = setInterval(recheck, RIGHTS_CHECK_MS)
  timer.unref()
  exposed.onChange(recheck)

  const ends = [
    network.handle(SERVICE_PROTOCOL, (stream) => serve(stream, () => askerOf(stream.peer)), {
      maxStreamsPerPeer: MAX_CONNECTIONS_PER_PEER + REFUSED_AT_ONCE,
    }),
    network.handle(
      LIST_PROTOCOL,
      async (stream) => {
        await whenExchanged(stream.peer)
        await sendMessage(stream, { services: listFor(askerOf(stream.peer)) })
        stream.end()
        stream.resume()
      },
      { maxStreamsPerPeer: MAX_LIST_STREAMS },
    ),
  ]
  return {
    serve,
    recheck,
    connectionsOf: (name) => [...open].filter(({ service }) => service.name === name).length,
    stop() {
      clearInterval(timer)
      for (const end of ends) end()
      for (const { stream, cut } of open) {
        cut.abort(serviceErrors.service_removed('this node stops'))
        reset(stream)
      }
    },
  }
}

/** Judges a connection, and tells how. Fails with `service_not_found`, `service_refused` and `service_busy`. */
function createAdmit({ exposed, nameOf, whomToAsk, tell, counters }: ServerContext, open: ReadonlySet<Served>) {
  const judge = (asker: Asker, { service: name, kind }: Head): Service => {
    const service = exposed.find(name)
    // Who has no rights here learns no names.
    if (service === undefined && asker.rights !== undefined) throw notFound(`this node exposes no service "${name}"`)
    if (service === undefined || !mayUse(service, asker))
      throw refusalOf(name, { node: nameOf(asker.id), admins: whomToAsk() })
    if (service.kind !== kind)
      throw notFound(`${name} is a service of ${service.kind.toUpperCase()}, not of ${kind.toUpperCase()}`)
    const own = [...open].filter((served) => served.asker().id === asker.id).length
    if (own >= MAX_CONNECTIONS_PER_PEER) throw busy(`this node already has ${own} connections to it, the most it may`)
    if (open.size >= MAX_CONNECTIONS) throw busy(`${open.size} connections are open, the most there may be`)
    return service
  }
  return (stream: Duplex, asker: () => Asker, head: Head): Served => {
    try {
      const service = judge(asker(), head)
      tell({ ...told(head.service, asker()), outcome: 'allowed' })
      counters.add('service_connections', 1, { kind: head.kind })
      return { stream, service, asker, cut: new AbortController() }
    } catch (thrown) {
      const { code, message } = toWarrenError(thrown)
      tell({ ...told(head.service, asker()), outcome: 'refused', reason: `${code}: ${message}` })
      throw thrown
    }
  }
}

const told = (service: string, { id }: Asker) => ({ what: 'service', by: id, subject: service })

function notFound(message: string): WarrenError {
  return serviceErrors.service_not_found(message, { hint: 'See what there is: warren services' })
}

function refusalOf(name: string, who: { node: string; admins: string }): WarrenError {
  return serviceErrors.service_refused(`this node may not connect to ${name}`, { hint: hintOf(name, who) })
}

function busy(message: string): WarrenError {
  return serviceErrors.service_busy(message, { hint: 'Close connections, or wait for some to end.' })
}

async function readHead(stream: Duplex): Promise<Buffer> {
  const head = await withTimeout('the head of a connection', HEAD_TIMEOUT_MS, (signal) =>
    readMessage(stream, { maxBytes: MAX_HEAD_BYTES, signal }),
  )
  if (head === undefined) throw serviceErrors.service_malformed('a stream without a head')
  return head
}

/** Connects to the target, says yes, and carries bytes or datagrams until both sides have ended. */
async function carry({ stream, service, cut }: Served, { clock, counters }: ServerContext): Promise<void> {
  const { signal } = cut
  stream.once('close', () => cut.abort(serviceErrors.service_removed('the other side left')))
  if (service.kind === 'tcp') {
    const socket = await connectTarget(service, { signal })
    try {
      await sendMessage(stream, { ok: true })
      await splice(socket, stream)
    } finally {
      counters.add('service_bytes', socket.bytesWritten, { direction: 'in' })
      counters.add('service_bytes', socket.bytesRead, { direction: 'out' })
      reset(socket)
    }
    return
  }
  const socket = await bindToTarget(service, { signal })
  try {
    await sendMessage(stream, { ok: true })
    const flow = startFlow(stream, { deliver: (datagram) => socket.send(datagram), idleMs: FLOW_IDLE_MS, clock })
    socket.on('message', (datagram) => flow.send(datagram))
    await new Promise<void>((resolve) => {
      if (stream.closed) resolve()
      else stream.once('close', resolve)
    })
    if (flow.dropped > 0) counters.add('service_datagrams_dropped', flow.dropped)
  } finally {
    socket.close()
  }
}

/** Says why not, waits a moment for the other side to hear it, and ends the stream. */
async function refuse(stream: Duplex, error: WarrenError): Promise<void> {
  if (stream.destroyed) return
  const timer = setTimeout(() => stream.destroy(), REFUSAL_LINGER_MS)
  timer.unref()
  stream.once('close', () => clearTimeout(timer))
  await sendMessage(stream, encodeRefusal(error)).catch(() => undefined)
  stream.end()
  stream.resume()
}
