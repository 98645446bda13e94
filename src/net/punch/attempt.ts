/** One attempt, as the side that wants the connection does it and as the other does. */
import { randomBytes } from 'node:crypto'
import type { Connection } from '@libp2p/interface'
import type { Clock } from '../../base/clock.ts'
import { scopeOf } from '../../base/ip-scope.ts'
import { rejectOnAbort, sleep } from '../../base/wait.ts'
import type { ChannelUpgrader } from '../channel.ts'
import type { Stream } from '../types.ts'
import { Contest, type Win } from './contest.ts'
import type { DataChannels } from './data-channel.ts'
import { MESSAGE_TIMEOUT_MS, PROOF_MS, SETTLE_MS } from './limits.ts'
import { type Candidates, type How, type Message, Talk } from './messages.ts'
import type { Ports } from './ports.ts'
import { probeKey, type Side } from './probe-packet.ts'
import { reasonOf } from './reasons.ts'
import { birthdayPart, type Stage, tcpTimeMs, tryTcp } from './tcp-stage.ts'
import { isUdpWorthIt, tryUdp, type UdpProgress } from './udp-stage.ts'

/** What came of an attempt. */
export type PunchOutcome =
  | {
      readonly ok: true
      /** Null where the other side dialled the ordinary listener of this node: it is among the connections then. */
      readonly connection: Connection | null
      /** `dial`, `reversed`, `simultaneous`, `birthday`, `udp` or `udp birthday`. */
      readonly how: How
      /** From the first message to the proven connection. */
      readonly ms: number
    }
  | {
      readonly ok: false
      /** For people. */
      readonly reason: string
      /** Whether another attempt is pointless until the network of either side changes. */
      readonly permanent: boolean
    }

export interface AttemptInit {
  peer: string
  stream: Stream
  upgrader: ChannelUpgrader
  channels: DataChannels
  openPorts(signal: AbortSignal): Promise<Ports>
  /** Addresses of this machine. */
  hosts: readonly string[]
  /** Whether birthday probing may be done once more; takes what is allowed. */
  takeBirthday(): boolean
  /** Whether somebody else than the peer says that it is at this IP address. */
  wasSeenAt(host: string): boolean
  clock: Clock
  /** Ends the attempt. */
  signal: AbortSignal
}

/** The other side does not take part; `folded`: its own attempt counts instead. */
export class Declined extends Error {
  readonly reason: 'folded' | 'limited' | 'busy'
  constructor(reason: 'folded' | 'limited' | 'busy') {
    super(`the other side declined: ${reason}`)
    this.reason = reason
  }
}

/** As the side that wants the connection. Rejects with `Declined`, with what broke, and with the signal's reason. */
export async function attemptFirst(init: AttemptInit): Promise<PunchOutcome> {
  const { clock, signal } = init
  const startedMs = clock.monotonicMs()
  const talk = new Talk(init.stream)
  const nonce = randomBytes(16).toString('hex')
  const opening = init.openPorts(signal)
  opening.catch(() => undefined)
  try {
    await talk.say({ type: 'begin', nonce })
    // Not only when the other side is ready: both messages travel, and both sides ask their servers, at the same time.
    const offering = opening.then(({ candidates }) => talk.say({ type: 'offer', candidates }))
    offering.catch(() => undefined)
    const ready = await heard(init, talk.hear(['ready', 'refused'], signal))
    if (ready.type === 'refused') throw new Declined(ready.reason)
    const rttMs = clock.monotonicMs() - startedMs
    const ports = await opening
    await offering
    const { candidates: theirs } = await heard(init, talk.hear(['answer'], signal))
    const mine = withBirthday(init, ports.candidates, theirs)
    return await lead({ init, talk, ports, mine, theirs, rttMs, startedMs, key: probeKey(nonce, ready.nonce) })
  } finally {
    opening.then((ports) => ports.close()).catch(() => undefined)
  }
}

/** As the side that was asked, after `begin` was heard and found welcome. Rejects as `attemptFirst`. */
export async function attemptSecond(
  init: AttemptInit,
  { talk, firstNonce }: { talk: Talk; firstNonce: string },
): Promise<PunchOutcome> {
  const { clock, signal } = init
  const startedMs = clock.monotonicMs()
  const nonce = randomBytes(16).toString('hex')
  const opening = init.openPorts(signal)
  opening.catch(() => undefined)
  try {
    await talk.say({ type: 'ready', nonce })
    const { candidates: theirs } = await heard(init, talk.hear(['offer'], signal))
    const ports = await opening
    const answer = withBirthday(init, ports.candidates, theirs)
    await talk.say({ type: 'answer', candidates: answer })
    const { rttMs, birthday } = await heard(init, talk.hear(['go'], signal))
    const mine = { ...answer, birthday: answer.birthday && birthday }
    return await follow({ init, talk, ports, mine, theirs, rttMs, startedMs, key: probeKey(firstNonce, nonce) })
  } finally {
    opening.then((ports) => ports.close()).catch(() => undefined)
  }
}

interface Meeting {
  init: AttemptInit
  talk: Talk
  ports: Ports
  mine: Candidates
  theirs: Candidates
  rttMs: number
  startedMs: number
  key: Buffer
}

async function lead(meeting: Meeting): Promise<PunchOutcome> {
  const { init, talk, mine, theirs, rttMs } = meeting
  const { birthday } = mine
  const contest = contestOf(meeting, 'first')
  let udp: UdpProgress = 'not tried'
  const onProgress = (progress: UdpProgress): void => {
    udp = progress
  }
  try {
    let won = await during(meeting, contest, async (stage) => {
      await talk.say({ type: 'go', stage: 'tcp', rttMs, birthday })
      void tryTcp(stage).catch(() => undefined)
      await sleep(tcpTimeMs(mine, theirs) + 4.5 * rttMs, { signal: stage.signal, clock: init.clock })
    })
    if (won === undefined && isUdpWorthIt(mine, theirs)) {
      won = await during(meeting, contest, async (stage) => {
        await talk.say({ type: 'go', stage: 'udp', rttMs, birthday })
        await sleep(rttMs / 2, { signal: stage.signal, clock: init.clock })
        await tryUdp({ ...stage, peer: init.peer, talk, key: meeting.key, channels: init.channels, onProgress })
        await sleep(PROOF_MS + 6 * rttMs, { signal: stage.signal, clock: init.clock })
      })
    }
    const ms = elapsedMs(meeting)
    await talk.say({ type: 'result', ok: won !== undefined, how: won?.how ?? null, ms }).catch(() => undefined)
    if (won === undefined) return { ok: false, ...reasonOf({ mine, theirs, udp, unseen: unseenOf(meeting) }) }
    return { ok: true, connection: won.connection, how: won.how, ms }
  } finally {
    contest.close()
  }
}

async function follow(meeting: Meeting): Promise<PunchOutcome> {
  const { init, talk, mine, theirs } = meeting
  const contest = contestOf(meeting, 'second')
  let udp: UdpProgress = 'not tried'
  const onProgress = (progress: UdpProgress): void => {
    udp = progress
  }
  let own: Win | undefined
  const stages = new AbortController()
  const signal = AbortSignal.any([init.signal, stages.signal])
  const stage = stageOf(meeting, contest, signal)
  const tcp = new AbortController()
  void contest.won.then((win) => {
    own = win
    // Only what this side has dialled itself is news to the other one.
    if (win.how === 'reversed')
      void talk.say({ type: 'result', ok: true, how: 'reversed', ms: elapsedMs(meeting) }).catch(() => undefined)
  })
  const work = async (): Promise<void> => {
    void tryTcp({ ...stage, signal: AbortSignal.any([signal, tcp.signal]) }).catch(() => undefined)
    await talk.hear(['go'], signal)
    tcp.abort()
    await tryUdp({ ...stage, peer: init.peer, talk, key: meeting.key, channels: init.channels, onProgress })
  }
  try {
    void work().catch(() => undefined)
    const result = await Promise.race([talk.result, rejectOnAbort(init.signal)]).catch((error: unknown) => {
      // The way by which the talk went may be gone as soon as there is a better one.
      if (own === undefined) throw error
      return undefined
    })
    if (result !== undefined && !result.ok) {
      return { ok: false, ...reasonOf({ mine, theirs, udp, unseen: unseenOf(meeting) }) }
    }
    if (own === undefined) {
      // The own end of what the first side calls proven may have a step to go.
      stages.abort()
      await Promise.race([contest.won, sleep(SETTLE_MS, { signal: init.signal, clock: init.clock })])
    }
    const how = result?.how ?? own?.how ?? 'dial'
    return { ok: true, connection: own?.connection ?? null, how, ms: result?.ms ?? elapsedMs(meeting) }
  } finally {
    stages.abort()
    contest.close()
  }
}

/** The first side's stage: until it is won, the other side says so, or the work is over. The work is ended in any case. */
async function during(
  meeting: Meeting,
  contest: Contest,
  work: (stage: Stage) => Promise<void>,
): Promise<{ connection: Connection | null; how: How } | undefined> {
  const ended = new AbortController()
  const { init, talk } = meeting
  const stage = stageOf(meeting, contest, AbortSignal.any([init.signal, ended.signal]))
  const toldWon = async (): Promise<{ connection: null; how: How } | undefined> => {
    const { ok } = await talk.result
    return ok ? { connection: null, how: 'reversed' } : undefined
  }
  try {
    const working = work(stage).then(
      () => undefined,
      () => undefined,
    )
    return await Promise.race([contest.won, toldWon(), working, rejectOnAbort(init.signal)])
  } finally {
    ended.abort()
  }
}

function stageOf({ init, ports, mine, theirs, rttMs }: Meeting, contest: Contest, signal: AbortSignal): Stage {
  const side: Side = contest.isFirst ? 'first' : 'second'
  return { side, ports, mine, theirs, hosts: init.hosts, contest, rttMs, clock: init.clock, signal }
}

function contestOf({ init, rttMs }: Meeting, side: Side): Contest {
  const { upgrader, peer, clock, signal } = init
  return new Contest({ upgrader, peer, direction: side === 'first' ? 'outbound' : 'inbound', rttMs, clock, signal })
}

function elapsedMs({ init, startedMs }: Meeting): number {
  return Math.round(init.clock.monotonicMs() - startedMs)
}

/** The own candidates, with birthday probing where it can help and may be done: never at the word of the peer alone. */
function withBirthday(init: AttemptInit, mine: Candidates, theirs: Candidates): Candidates {
  const targets = birthdayTargets(mine, theirs)
  return { ...mine, birthday: targets.length === 0 || (targets.every(init.wasSeenAt) && init.takeBirthday()) }
}

/** The address because of which this side would not probe. */
function unseenOf({ init, mine, theirs }: Meeting): string | undefined {
  return birthdayTargets({ ...mine, birthday: true }, { ...theirs, birthday: true }).find(
    (host) => !init.wasSeenAt(host),
  )
}

/** Where birthday probing would lead. */
function birthdayTargets(mine: Candidates, theirs: Candidates): string[] {
  const aims = { tcp: theirs.tcp.dialling, udp: theirs.udp.addresses }
  return (['tcp', 'udp'] as const).flatMap((over) => {
    if (birthdayPart(mine, theirs, over) === undefined) return []
    return aims[over].map(({ host }) => host).filter((host) => scopeOf(host) === 'public')
  })
}

/** A message that is due now. */
async function heard<T extends Message>({ clock }: AttemptInit, hearing: Promise<T>): Promise<T> {
  const ended = new AbortController()
  const late = sleep(MESSAGE_TIMEOUT_MS, { signal: ended.signal, clock })
  late.catch(() => undefined)
  try {
    return await Promise.race([hearing, late.then(() => Promise.reject(new Error('the other side does not answer')))])
  } finally {
    ended.abort()
  }
}
