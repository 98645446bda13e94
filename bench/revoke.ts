/** 25 daemons, all connected: one more joins by an invite, one is removed; how long until every other one refuses it. */
import { spawn } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { connectLocal } from '../src/api/index.ts'
import { memberContract, type NodeView } from '../src/member/contract.ts'
import { makeHomes } from '../test/attacks/fleet.ts'
import { type BenchContext, LAUNCHER, type Measured, median, must, type Ran, round, run } from './measure.ts'

const NODES = 25
/** Off while one is removed, and started again afterwards. */
const AWAY = 5
const STARTS_AT_ONCE = 2
const POLL_MS = 50
/** Time for the removed node to try everybody again, and be refused. */
const RETRY_MS = 3000
const STEP_TIMEOUT_MS = 60_000
const TIMEOUT_MS = 5 * 60_000
const GOAL_MS = 2000
/** Lines of a daemon's log. */
const CONNECTED = 'net: connected'
const DISCONNECTED = 'net: disconnected'

interface Member {
  readonly name: string
  readonly id: string
  readonly home: string
}

export async function bench(context: BenchContext): Promise<Measured> {
  const { places } = await makeHomes({ nodes: NODES, attackers: {} }, context.folder)
  const homes: string[] = places.map(({ home }) => home)
  const timeUp = new AbortController()
  const timer = setTimeout(() => timeUp.abort(new Error(`more than ${TIMEOUT_MS / 60_000} minutes`)), TIMEOUT_MS)
  const over = new Promise<never>((_resolve, reject) => {
    timeUp.signal.addEventListener('abort', () => reject(timeUp.signal.reason))
  })
  try {
    return await Promise.race([measure(context, places, homes), over])
  } finally {
    clearTimeout(timer)
    context.say('stopping all')
    await inTurns(homes, 4, stopDaemon)
  }
}

async function measure({ folder, say }: BenchContext, members: readonly Member[], homes: string[]): Promise<Measured> {
  const admin = members[0] as Member
  const removed = members.at(-1) as Member
  const away = members.slice(1, 1 + AWAY)
  const present = members.filter((member) => member !== removed && !away.includes(member))
  say(`starting ${NODES} daemons`)
  await inTurns(members, STARTS_AT_ONCE, ({ home }) => warren(home, 'daemon', 'start'))
  await inTurns(members, 1, (member) => waitFor(member, (nodes) => countUp(nodes) === NODES - 1))

  say('one more joins')
  const newcomer = join(folder, 'newcomer')
  homes.push(newcomer)
  const joinMs = await joinBy(admin, newcomer)
  await inTurns(members, 1, (member) => waitFor(member, (nodes) => nodes.length === NODES + 1))

  say(`${AWAY} daemons stop, and one node is removed`)
  await inTurns(away, STARTS_AT_ONCE, ({ home }) => warren(home, 'daemon', 'stop'))
  // The newcomer is among those that it is connected with.
  await waitFor(removed, (nodes) => countUp(nodes) === present.length + 1)
  const startedMs = Date.now()
  await warren(admin.home, 'node', 'remove', removed.name, '--yes')
  const returnedMs = Date.now()
  await inTurns(present, 1, (member) => waitFor(member, without(removed)))
  await sleep(RETRY_MS)
  const cutMs = await Promise.all(present.map((member) => lastCut(member, removed)))
  await requireRefused(removed, present)

  say('the others start again')
  const backMs: number[] = []
  for (const member of away) backMs.push(await startAgain(member, removed))
  await requireRefused(removed, away)
  const after = cutMs.map((ms) => ms - startedMs)
  return {
    figures: {
      refused_min_ms: round(Math.min(...after)),
      refused_median_ms: round(median(after)),
      refused_max_ms: round(Math.max(...after)),
      remove_command_ms: round(returnedMs - startedMs),
      back_min_ms: round(Math.min(...backMs)),
      back_median_ms: round(median(backMs)),
      back_max_ms: round(Math.max(...backMs)),
      invite_and_join_ms: round(joinMs),
    },
    peers: {},
    goal: { refused_max_ms: { at_most: GOAL_MS }, back_max_ms: { at_most: GOAL_MS } },
  }
}

function warren(home: string, ...words: string[]): Promise<Ran> {
  return must([LAUNCHER, '--home', home, ...words], { env: { WARREN_HOME: home }, timeoutMs: STEP_TIMEOUT_MS })
}

/** `warren invite | warren join -`, and the start of the new daemon. */
async function joinBy(admin: Member, home: string): Promise<number> {
  const started = performance.now()
  const env = { ...process.env, WARREN_HOME: home }
  const invited = await warren(admin.home, 'invite', '--name', 'newcomer', '--non-interactive')
  const child = spawn(LAUNCHER, ['--home', home, 'join', '-', '--no-start'], {
    env,
    stdio: ['pipe', 'ignore', 'inherit'],
    timeout: STEP_TIMEOUT_MS,
  })
  child.stdin.end(invited.out)
  const code = await new Promise((resolve) => child.once('close', resolve))
  if (code !== 0) throw new Error(`warren join ended with ${code}`)
  await warren(home, 'config', 'set', 'net.listen', '["/ip4/127.0.0.1/tcp/0"]')
  await warren(home, 'config', 'set', 'net.mdns', 'false')
  await warren(home, 'daemon', 'start')
  return performance.now() - started
}

/**
 * Starts a daemon that was off, and gives the time from its first connection with anybody until the removed node is
 * refused; 0 where that one was never let in.
 */
async function startAgain(member: Member, removed: Member): Promise<number> {
  const log = await logOf(member)
  await warren(member.home, 'daemon', 'start')
  await waitFor(member, without(removed))
  await sleep(RETRY_MS)
  const lines = (await logOf(member)).slice(log.length)
  const first = timesOf(lines, ({ message }) => message === CONNECTED)[0]
  if (first === undefined) throw new Error(`${member.name} met nobody`)
  const cut = timesOf(lines, ({ message, peer }) => message === DISCONNECTED && peer === removed.id).at(-1)
  return cut === undefined ? 0 : cut - first
}

/** When a daemon last closed its connection with the removed node. */
async function lastCut(member: Member, removed: Member): Promise<number> {
  const lines = await logOf(member)
  const cuts = timesOf(lines, ({ message, peer }) => message === DISCONNECTED && peer === removed.id)
  const last = cuts.at(-1)
  if (last === undefined) throw new Error(`${member.name} never closed its connection with ${removed.name}`)
  return last
}

/** Fails where the removed node is connected with any of them. */
async function requireRefused(removed: Member, by: readonly Member[]): Promise<void> {
  const client = await connectLocal({ home: removed.home, env: {} })
  const up = (await client.call(memberContract.list, {})).filter(({ state }) => state === 'up')
  const still = by.filter(({ id }) => up.some((node) => node.id === id)).map(({ name }) => name)
  if (still.length > 0) throw new Error(`${removed.name} is still connected with ${still.join(', ')}`)
}

const countUp = (nodes: readonly NodeView[]): number => nodes.filter(({ state }) => state === 'up').length
const without =
  (removed: Member) =>
  (nodes: readonly NodeView[]): boolean =>
    nodes.every(({ id }) => id !== removed.id)

async function waitFor(member: Member, holds: (nodes: readonly NodeView[]) => boolean): Promise<void> {
  const client = await connectLocal({ home: member.home, env: {} })
  const deadline = performance.now() + STEP_TIMEOUT_MS
  for (;;) {
    const nodes = await client.call(memberContract.list, {})
    if (holds(nodes)) return
    if (performance.now() > deadline) {
      throw new Error(`${member.name} sees ${nodes.length} nodes, ${countUp(nodes)} of them up`)
    }
    await sleep(POLL_MS)
  }
}

/** Works a list off, so many at a time. */
async function inTurns<T>(items: readonly T[], atOnce: number, work: (item: T) => Promise<unknown>): Promise<void> {
  const left = [...items]
  const workOff = async (): Promise<void> => {
    for (let item = left.shift(); item !== undefined; item = left.shift()) await work(item)
  }
  await Promise.all(Array.from({ length: atOnce }, workOff))
}

async function stopDaemon(home: string): Promise<void> {
  const { code } = await run([LAUNCHER, '--home', home, 'daemon', 'stop'], { env: { WARREN_HOME: home } })
  if (code === 0) return
  const pid = Number(await readFile(join(home, 'run', 'daemon.pid'), 'utf8').catch(() => '0'))
  const words = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
  if (pid > 0 && words.includes(home)) process.kill(pid, 'SIGKILL')
}

interface LogLine {
  readonly timeMs: number
  readonly message: string
  readonly peer: string | undefined
}

const logOf = (member: Member): Promise<string> => readFile(join(member.home, 'daemon.log'), 'utf8')

/** `TIME LEVEL FOLDER: MESSAGE  FIELD=VALUE …`, the times of those that match. */
function timesOf(log: string, matches: (line: LogLine) => boolean): number[] {
  return log
    .split('\n')
    .flatMap((text) => {
      const [time, , ...rest] = text.split(/\s+/)
      const [message = ''] = rest.join(' ').split(/ [a-z]+=/)
      const peer = /\bpeer=(\S+)/.exec(text)?.[1]
      return time === undefined ? [] : [{ timeMs: Date.parse(time), message, peer }]
    })
    .filter(matches)
    .map(({ timeMs }) => timeMs)
}
