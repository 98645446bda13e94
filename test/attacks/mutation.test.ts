/** Members that break every rule of every protocol, as those who ask and as those who are asked. */
import { createHash, randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { appContract } from '../../src/app/contract.ts'
import { daemonContract } from '../../src/daemon/contract.ts'
import {
  type Author,
  admitAdmin,
  announceNetworkKey,
  encodeEnvelope,
  type FoundedNetwork,
  Roster,
  signerFromSeed,
} from '../../src/identity/index.ts'
import { memberContract } from '../../src/member/contract.ts'
import { signDocument } from '../../src/rollout/document.ts'
import { type Conversations, relayStream } from './conversations.ts'
import type { Daemon } from './daemon.ts'
import { createFleet, type Fleet, type Identity, until } from './fleet.ts'
import { createHostilePeer, type HostilePeer, speak } from './hostile-peer.ts'
import { type Attack, attacksOn, framed } from './mutations.ts'
import { trustOf } from './state-of.ts'

const SEED = 20_260_719
/** For each protocol and side. */
const CASES = 120
const WARM_UP_CASES = 30
/** The least that each protocol was answered badly. */
const MIN_SERVED = 100
const LISTEN_MS = 30
/** Time for a daemon to open what it opens on a new connection. */
const OPENING_MS = 80
const RECONNECTS = 25
const ROLLOUTS = 20
const ROTATIONS = 20
/** What a daemon may hold more after all the cases than before. */
const MAX_GROWTH_BYTES = 16 * 1024 * 1024
const MAX_LOG_BYTES = 8 * 1024 * 1024
const API_PROTOCOL = '/warren/api/1'
const KEY_PROTOCOL = '/warren/network-key/1'
const ROLLOUT_PROTOCOL = '/warren/rollout/1'
const TRANSFER_PROTOCOL = '/warren/transfer/1'
/** That daemons open towards a new member, or a test can make them open. */
const ALWAYS_SPOKEN = [API_PROTOCOL, ROLLOUT_PROTOCOL, TRANSFER_PROTOCOL, '/warren/roster/1', '/warren/app/1']

const viewer = { role: 'viewer' } as const
const ATTACKERS = { author: { role: 'admin' }, h1: viewer, h2: viewer, h3: viewer, h4: viewer, h5: viewer } as const
type Name = keyof typeof ATTACKERS

let fleet: Fleet<Name>
let daemons: readonly [Daemon, Daemon]
let author: HostilePeer
let crowd: HostilePeer[]
let protocols: string[]
const recorded: Conversations = new Map()
const pending = new Map<string, Attack[]>()
/** Attacks of whoever was dialled, by protocol. */
const served = new Map<string, number>()
let attacking = false
/** The author is an admin, and has a roster of its own to sign in. */
let hostileAdmin: Author
let folder: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'warren-hostile-'))
  fleet = await createFleet({ nodes: 2, attackers: ATTACKERS, prepare })
  daemons = fleet.daemons as unknown as typeof daemons
  await fleet.deploy('one')
  crowd = []
  for (const identity of Object.values(fleet.attackers)) crowd.push(await createHostilePeer(fleet, identity))
  author = crowd[0] as HostilePeer
  await author.join(daemons[0])
  protocols = await author.protocolsOf(daemons[0])
  for (const peer of crowd) {
    for (const protocol of protocols.filter(isForAttack)) serveHostile(peer, protocol)
  }
  await record()
})
afterAll(async () => {
  for (const peer of crowd ?? []) await peer.stop()
  await fleet?.cleanup()
  await rm(folder, { recursive: true, force: true })
})

async function prepare(founded: FoundedNetwork, { author }: Readonly<Record<Name, Identity>>): Promise<void> {
  const authority = signerFromSeed(randomBytes(32))
  await admitAdmin(founded, { id: author.id, authority: authority.publicKey })
  const roster = await Roster.create({ folder: join(folder, 'roster'), genesis: founded.roster.genesis })
  await roster.merge(founded.roster.entriesAfter([]))
  hostileAdmin = { roster, authority, authorId: author.id }
}

/** A network serves its members' addresses by itself: src/net/path/hostile-records.test.ts is about lies in them. */
function isForAttack(protocol: string): boolean {
  return protocol.startsWith('/warren/') && protocol !== '/warren/addresses/1'
}

/** Honest in the middle while that is recorded; then with the next attack of the protocol. */
function serveHostile(peer: HostilePeer, protocol: string): void {
  peer.network.handle(protocol, async (stream) => {
    if (!attacking) return relayStream(stream, { peer, between: daemons, into: recorded })
    served.set(protocol, (served.get(protocol) ?? 0) + 1)
    const list = pending.get(protocol) ?? attacksOn(samplesOf(protocol), { seed: SEED + 1, count: CASES })
    pending.set(protocol, list)
    const attack = list[(served.get(protocol) as number) % list.length] as Attack
    await speak(stream, { ...attack, listenMs: LISTEN_MS })
  })
}

/** Lets the daemons speak through a node that both take for an honest member. */
async function record(): Promise<void> {
  for (const daemon of daemons) await author.join(daemon)
  // A change of the roster, so that news of it are told.
  await fleet.warren.run('--home', daemons[0].home, 'node', 'label', 'node-2', 'site=home')
  for (const words of [['list'], ['status'], ['nodes'], ['rollout', 'list'], ['logs', 'one']]) {
    await fleet.warren.run('--home', daemons[0].home, '--node', 'author', ...words, '--json')
  }
  const digest = await fleet.deploy('rare', [daemons[1]])
  await fleet.must(daemons[0], 'package', 'remove', digest)
  await pushRollout('relayed', digest)
  const missing = () => ALWAYS_SPOKEN.filter((each) => (recorded.get(each)?.asked.length ?? 0) === 0)
  await until(
    () => `conversations to record, of ${missing().join(', ')}`,
    () => missing().length === 0,
  )
  await author.network.disconnect(daemons[0].id)
  await author.network.disconnect(daemons[1].id)
}

/** A rollout to the first daemon, whose package only attackers are said to hold. */
async function pushRollout(app: string, digest: string): Promise<void> {
  const signed = signDocument(
    {
      network: fleet.networkId,
      app,
      package: { name: 'one', version: '1.0.0', digest },
      waves: [[daemons[0].id]],
      base: 0,
      maxUnavailable: 0,
      failureBudget: 1,
      minHealthyMs: 0,
      progressDeadlineMs: 60_000,
      rollback: true,
      acceptStale: false,
      retries: 0,
      retryDelayMs: 100,
      sources: crowd.slice(1).map(({ id }) => id),
      author: author.id,
      createdMs: Date.now(),
      notAfterMs: Date.now() + 3_600_000,
    },
    signerFromSeed(fleet.attackers.author.seed),
  )
  const envelope: unknown = JSON.parse(encodeEnvelope(signed.envelope).toString())
  const bytes = framed(JSON.stringify({ type: 'document', envelope }))
  await author.say(daemons[0], ROLLOUT_PROTOCOL, { bytes, finish: 'end', listenMs: 200 })
}

/** What was said under a protocol; of one that stayed silent, what was said under the others, which is much alike. */
function samplesOf(protocol: string): Buffer[] {
  const found = recorded.get(protocol)
  const spoken = found === undefined ? [...recorded.values()] : [found]
  return spoken.flatMap(({ asked, answered }) => [...asked, ...answered])
}

/** The crowd works a list off, each one thing after another. */
async function byAll<T>(list: readonly T[], work: (peer: HostilePeer, item: T) => Promise<unknown>): Promise<void> {
  const left = [...list]
  const workOff = async (peer: HostilePeer): Promise<void> => {
    for (let item = left.pop(); item !== undefined; item = left.pop()) await work(peer, item)
  }
  await Promise.all(crowd.map(workOff))
}

async function askBadly(count: number, seed: number): Promise<void> {
  for (const protocol of protocols) {
    await byAll(attacksOn(samplesOf(protocol), { seed, count }), (peer, attack) =>
      peer.say(attack.bytes.length % 2 === 0 ? daemons[0] : daemons[1], protocol, { ...attack, listenMs: LISTEN_MS }),
    )
  }
}

async function reconnect(times: number): Promise<void> {
  for (let time = 0; time < times; time++) {
    await byAll(crowd, async (_peer, peer) => {
      const daemon = daemons[time % 2] as Daemon
      await peer.network.disconnect(daemon.id)
      await peer.network.connect(daemon.address).catch(() => undefined)
      await new Promise((resolve) => setTimeout(resolve, OPENING_MS))
    })
  }
}

/** Calls that a daemon passes on to a hostile one. */
async function callThrough(count: number): Promise<void> {
  const names = Object.keys(ATTACKERS) as Name[]
  const calls = [appContract.list, memberContract.list, daemonContract.status] as const
  await byAll(
    Array.from({ length: count }, (_, index) => index),
    async (_peer, index) => {
      const client = await daemons[0].client(names[index % names.length])
      await client.call(calls[index % calls.length] as typeof appContract.list, {}).catch(() => undefined)
      client.close()
    },
  )
}

/** Rollouts for which the first daemon asks every attacker for a package. */
async function makeFetch(): Promise<void> {
  for (const peer of crowd) for (const daemon of daemons) await peer.network.connect(daemon.address)
  const wanted = (served.get(TRANSFER_PROTOCOL) ?? 0) + ROLLOUTS * crowd.length
  for (let index = 0; index < ROLLOUTS; index++) {
    await pushRollout(`none-${index}`, createHash('sha256').update(String(index)).digest('hex'))
  }
  await until('every rollout asked everybody', () => (served.get(TRANSFER_PROTOCOL) ?? 0) >= wanted, 30_000)
}

/** Network keys that are announced, and that everybody is asked for because nobody has them. */
async function announceKeys(): Promise<void> {
  const before = served.get(KEY_PROTOCOL) ?? 0
  for (let count = 0; count < ROTATIONS; count++) {
    await announceNetworkKey(hostileAdmin, randomBytes(32).toString('hex'))
    await Promise.all(daemons.map((daemon) => author.tell(daemon, hostileAdmin.roster.entriesAfter([]))))
  }
  await until('everybody was asked for keys', () => (served.get(KEY_PROTOCOL) ?? 0) >= before + MIN_SERVED, 30_000)
}

async function requireHonestLife(): Promise<void> {
  for (const daemon of daemons) await daemon.requireWell()
  await fleet.joined()
}

test('malformed, changed and cruel messages from both sides change nothing, end nothing and stay nowhere', async () => {
  attacking = true
  for (const peer of crowd) for (const daemon of daemons) await peer.join(daemon)
  // What the first cases leave behind, such as compiled code and buffers, stays for the others.
  await askBadly(WARM_UP_CASES, SEED + 2)
  await reconnect(2)
  await callThrough(WARM_UP_CASES)
  const trusted = await Promise.all(daemons.map(trustOf))
  const before = await Promise.all(daemons.map((daemon) => daemon.memory()))

  await askBadly(CASES, SEED)
  await requireHonestLife()
  await reconnect(RECONNECTS)
  await callThrough(CASES)
  await makeFetch()
  await requireHonestLife()

  const after = await Promise.all(daemons.map((daemon) => daemon.memory()))
  const grown = after.map((bytes, index) => bytes - (before[index] as number))
  expect(Math.max(...grown)).toBeLessThan(MAX_GROWTH_BYTES)
  expect(await Promise.all(daemons.map(trustOf))).toEqual(trusted)
  await announceKeys()
  await fleet.must(daemons[0], 'trust', 'rotate-key', '--json')
  await requireHonestLife()
  expect(ALWAYS_SPOKEN.filter((protocol) => (served.get(protocol) ?? 0) < MIN_SERVED)).toEqual([])
  await fleet.deploy('two')
  for (const daemon of daemons) {
    const log = await daemon.log()
    expect(log.length).toBeLessThan(MAX_LOG_BYTES)
    // What is not understood is refused in words; this is the code of a mistake in the program.
    const mistakes = log.split('\n').filter((line) => /internal|unhandled/.test(line))
    expect(new Set(mistakes.map((line) => line.replace(/^\S+|peer=\S+/g, '')))).toEqual(new Set())
  }
})
