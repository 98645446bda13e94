/** Everything that is tried over TCP, at once. */
import type { Socket } from 'node:net'
import type { Clock } from '../../base/clock.ts'
import { scopeOf } from '../../base/ip-scope.ts'
import { sleep } from '../../base/wait.ts'
import { dialable, multiaddrOf, sameAddress } from './addresses.ts'
import { holdMany, probePorts } from './birthday.ts'
import type { Contest } from './contest.ts'
import { type DiallingInit, dialAll, openSimultaneously } from './dialling.ts'
import { BIRTHDAY_TIMEOUT_MS, MAX_TCP_ADDRESSES, REVERSAL_DELAY_MS, TCP_HOPELESS_MS, TCP_TIMEOUT_MS } from './limits.ts'
import type { Address, Candidates, How } from './messages.ts'
import type { Ports } from './ports.ts'
import type { Side } from './probe-packet.ts'

/** What both stages work with. */
export interface Stage {
  readonly side: Side
  readonly ports: Ports
  readonly mine: Candidates
  readonly theirs: Candidates
  /** Addresses of this machine. */
  readonly hosts: readonly string[]
  readonly contest: Contest
  readonly rttMs: number
  readonly clock: Clock
  /** Ends the stage. */
  readonly signal: AbortSignal
}

/** Whether birthday probing can help, and on which side this node is. */
export function birthdayPart(mine: Candidates, theirs: Candidates, over: 'tcp' | 'udp'): 'hard' | 'easy' | undefined {
  if (!mine.birthday || !theirs.birthday) return undefined
  const [own, other] = [mine[over].mapping, theirs[over].mapping]
  if (own === 'depends' && other === 'same') return 'hard'
  return own === 'same' && other === 'depends' ? 'easy' : undefined
}

/** How long it is worth waiting for TCP; the same for both sides, whoever asks. */
export function tcpTimeMs(mine: Candidates, theirs: Candidates): number {
  if (birthdayPart(mine, theirs, 'tcp') !== undefined) return BIRTHDAY_TIMEOUT_MS
  const both = [mine.tcp.mapping, theirs.tcp.mapping]
  const isHopeless = both.includes('blocked') || both.every((mapping) => mapping === 'depends')
  return isHopeless ? TCP_HOPELESS_MS : TCP_TIMEOUT_MS
}

/** Starts all that fits; what comes about enters the contest. Resolves when everything has ended, at the latest by the signal. */
export async function tryTcp(stage: Stage): Promise<void> {
  const { theirs, hosts, ports } = stage
  const { tcp } = theirs
  const allowed = (list: readonly Address[]): Address[] => dialable(list, hosts, MAX_TCP_ADDRESSES)
  ports.onAccepted((socket) => {
    const from = { host: socket.remoteAddress ?? '', port: socket.remotePort ?? 0 }
    enter(stage, socket, { how: stage.side === 'first' ? 'reversed' : 'dial', target: from })
  })
  await Promise.all([
    dialAll(allowed(tcp.listening), wayOf(stage, 'dial')),
    dialOwn(stage, allowed(tcp.own)),
    meet(stage, allowed(tcp.dialling)),
  ])
}

/**
 * What both sides must do at the same time: a packet that comes before the own one has left may have a router give the
 * own one another port. The second side hears the word half a round trip after it was said.
 */
async function meet(stage: Stage, dialling: readonly Address[]): Promise<void> {
  const { side, ports, rttMs, clock, signal } = stage
  if (side === 'first') await sleep(rttMs / 2, { signal, clock }).catch(() => undefined)
  await Promise.all([
    isWorthMeeting(stage)
      ? openSimultaneously(dialling, { ...wayOf(stage, 'simultaneous'), localPort: ports.dialPort })
      : null,
    celebrate(stage, dialling[0]),
  ])
}

/** The other's ordinary listener makes an ordinary connection of it: who dials is the client. */
async function dialOwn(stage: Stage, targets: readonly Address[]): Promise<void> {
  const { side, contest, rttMs, clock, signal } = stage
  if (side === 'second') {
    await sleep(REVERSAL_DELAY_MS + rttMs, { signal, clock }).catch(() => undefined)
    if (signal.aborted) return
  }
  await dialAll(targets, {
    ...{ rttMs, clock, signal },
    onConnected: (channel, target) => {
      const how = side === 'first' ? 'dial' : 'reversed'
      contest.enter({ channel, how, address: multiaddrOf(target, 'tcp'), kind: 'tcp', direction: 'outbound' })
    },
  })
}

/** Meeting in the middle needs a port on both sides that is the same for all. */
function isWorthMeeting({ mine, theirs }: Stage): boolean {
  return mine.tcp.mapping !== 'depends' && theirs.tcp.mapping !== 'depends'
}

async function celebrate(stage: Stage, target: Address | undefined): Promise<void> {
  const { ports, mine, theirs, signal } = stage
  const part = birthdayPart(mine, theirs, 'tcp')
  // Many ports are tried of nobody but a router on the internet.
  if (part === undefined || target === undefined || scopeOf(target.host) !== 'public') return
  if (part === 'hard') return holdMany({ ...wayOf(stage, 'birthday'), target })
  // A port that answers and is not the peer's says that the address is another's: no further probes.
  const ended = new AbortController()
  const way = wayOf(stage, 'birthday')
  const onConnected = (socket: Socket, at: Address): void => {
    socket.once('close', () => ended.abort())
    way.onConnected(socket, at)
  }
  const both = AbortSignal.any([signal, ended.signal])
  await probePorts({ ...way, onConnected, signal: both, host: target.host, localPort: ports.dialPort })
}

function wayOf(stage: Stage, how: How): DiallingInit {
  const { rttMs, clock, signal } = stage
  return { rttMs, clock, signal, onConnected: (socket, target) => enter(stage, socket, { how, target }) }
}

function enter({ contest }: Stage, channel: Socket, { how, target }: { how: How; target: Address }): void {
  const self = { host: channel.localAddress ?? '', port: channel.localPort ?? 0 }
  // A port can meet itself when it is told its own address.
  if (sameAddress(self, target)) return void channel.destroy()
  contest.enter({ channel, how, address: multiaddrOf(target, 'tcp'), kind: 'punched' })
}
