/** Peers of every role, with every call of the API: what a role does not include is refused, and nothing changes. */
import { randomBytes } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { ROLES, type Role } from '../../src/api/index.ts'
import { localDoorOf } from '../../src/api/local-door.ts'
import { appContract } from '../../src/app/contract.ts'
import { admitAdmin, signerFromSeed } from '../../src/identity/index.ts'
import { type ApiCall, callsOf, hostileRequests, type Known, plausibleRequest } from './api-calls.ts'
import type { Daemon } from './daemon.ts'
import { createFleet, type Fleet, type Standing, until } from './fleet.ts'
import { type ApiAnswer, type ApiRequest, createHostilePeer, type HostilePeer } from './hostile-peer.ts'
import { stateOf } from './state-of.ts'

const GRANT = { role: 'operator' as const, apps: ['one'], services: null, expires: null }
const ENDED = { ...GRANT, expires: 1 }
type Name = 'relay' | 'member' | 'viewer' | 'operator' | 'boss' | 'narrowed' | 'too' | 'ended' | 'over'
const ATTACKERS: Readonly<Record<Name, NonNullable<Standing>>> = {
  relay: { role: 'relay' },
  member: { role: 'member' },
  viewer: { role: 'viewer' },
  operator: { role: 'operator' },
  boss: { role: 'admin' },
  narrowed: { role: 'member', grants: [GRANT] },
  too: { role: 'member', grants: [GRANT] },
  ended: { role: 'member', grants: [ENDED] },
  over: { role: 'operator', expires: Date.now() + 3_000 },
}

/** Refusals that come before the call is known, or its role looked at. */
const UNKNOWN_CALL = ['call_not_found', 'request_invalid', undefined]
const REFUSED = ['role_required', 'local_only']

let fleet: Fleet<Name | 'listed'>
let target: Daemon
let calls: ApiCall[]
let known: Known
let cookie: string
/** Of the app `two`. */
let digest: string

beforeAll(async () => {
  fleet = await createFleet({
    nodes: 2,
    attackers: { ...ATTACKERS, listed: undefined },
    prepare: async (founded, { boss }) => {
      await admitAdmin(founded, { id: boss.id, authority: signerFromSeed(randomBytes(32)).publicKey })
    },
  })
  target = fleet.daemons[1] as Daemon
  for (const app of ['one', 'two']) digest = await fleet.deploy(app)
  await writeFile(join(target.home, 'authorized_peers'), `${fleet.attackers.listed.id}\n`)
  calls = await callsOf(target)
  const [row] = await (await target.client()).call(appContract.list, { query: { on: [target.name] } })
  cookie = (await readFile(localDoorOf(target.home, target.env).cookie, 'utf8')).trim()
  known = {
    app: row?.app,
    version: row?.version,
    digest,
    node: target.name,
    name: target.name,
    id: fleet.daemons[0]?.id,
    target: fleet.daemons[0]?.address,
    peer: fleet.daemons[0]?.name,
    on: [target.name],
  }
})
afterAll(async () => {
  await fleet?.cleanup()
})

/** One call, again where it came too fast. */
async function callOf(peer: HostilePeer, ask: ApiRequest): Promise<ApiAnswer> {
  for (;;) {
    const answer = await peer
      .call(target, ask)
      .catch((error: Error) => ({ status: 0, code: undefined, text: String(error) }))
    if (answer.status !== 429) return answer
    await new Promise((resolve) => setTimeout(resolve, 200))
  }
}

async function withPeer(name: Name | 'listed', work: (peer: HostilePeer) => Promise<void>): Promise<void> {
  const peer = await createHostilePeer(fleet, fleet.attackers[name])
  try {
    await until(`${name} is let in`, () => peer.join(target).then(always, never))
    await work(peer)
  } finally {
    await peer.stop()
  }
}

/** Nothing that the daemon keeps may have changed afterwards. */
async function changingNothing(work: () => Promise<unknown>): Promise<void> {
  const before = await stateOf(target)
  await work()
  await target.requireWell()
  expect(await stateOf(target)).toEqual(before)
}

const always = (): boolean => true
const never = (): boolean => false
const includes = (role: Role, { role: needed, localOnly }: ApiCall): boolean =>
  !localOnly && ROLES.indexOf(role) >= ROLES.indexOf(needed)
const labelOf = ({ method, path }: ApiRequest): string => `${method} ${path.slice(0, 100)}`

/** A peer's part of the requests of a call, when they are shared out. */
interface Share {
  readonly at: number
  readonly of: number
}

/** What a peer without the right gets for a call: plainly, and in its share of the other ways to ask. */
async function requireRefused(peer: HostilePeer, call: ApiCall, share: Share = { at: 0, of: 1 }): Promise<void> {
  const plain = plausibleRequest(call, known)
  const { status, code } = await callOf(peer, plain)
  expect({ ask: labelOf(plain), status, refused: REFUSED.includes(code ?? '') ? 'yes' : code }).toEqual({
    ask: labelOf(plain),
    status: 403,
    refused: 'yes',
  })
  for (const ask of hostileRequests(call, known, cookie).filter((_, index) => index % share.of === share.at)) {
    const answer = await callOf(peer, ask)
    const allowed = [...REFUSED, ...UNKNOWN_CALL].includes(answer.code) && answer.status !== 200 && answer.status < 500
    expect({ ask: labelOf(ask), ...answer, allowed }).toMatchObject({ allowed: true })
  }
}

test('what a role does not include is refused however it is asked for, and nothing changes', async () => {
  // Every call has four of them who may not make it: together they ask in every way.
  const names = ['relay', 'member', 'listed', 'ended', 'viewer', 'operator', 'boss'] as const
  await changingNothing(() =>
    // Each has a rate of its own.
    Promise.all(
      names.map(async (name, index) => {
        const refused = name === 'listed' ? calls : calls.filter((call) => !includes(ATTACKERS[name].role, call))
        expect(refused.length).toBeGreaterThan(0)
        await withPeer(name, async (peer) => {
          for (const call of refused) await requireRefused(peer, call, { at: index % 4, of: 4 })
        })
      }),
    ),
  )
})

test('an operator whose membership has run out is not let in', async () => {
  const peer = await createHostilePeer(fleet, fleet.attackers.over)
  try {
    await expect.poll(() => peer.join(target).catch(errorCode)).toBe('peer_refused')
  } finally {
    await peer.stop()
  }
})

test('a grant for one app covers that app, and shows nothing of another one', async () => {
  const rollouts = (await fleet.must(target, 'rollout', 'list', '--json')).json<{ app: string; id: string }[]>()
  const ofTwo = { ...known, app: 'two', name: 'two', digest, id: rollouts.find(({ app }) => app === 'two')?.id }
  const askAs = async (peer: HostilePeer, asked: readonly ApiCall[]): Promise<void> => {
    for (const call of asked) {
      const covered = call.path.includes('{app}') && includes(GRANT.role, call)
      // Only what reads: the others would change what is compared.
      if (covered && call.method === 'GET') {
        expect(await callOf(peer, plausibleRequest(call, known))).toMatchObject({ status: 200 })
      }
      if (covered) await requireRefused(peer, { ...call, path: call.path.replace('{app}', 'two') })
      for (const ask of [plausibleRequest(call, ofTwo), ...hostileRequests(call, ofTwo, cookie)]) {
        const { status, code, text } = await callOf(peer, ask)
        const shown = status !== 403 && text.includes('"two"')
        expect({ ask: labelOf(ask), code, shown }).not.toMatchObject({ shown: true })
        expect({ ask: labelOf(ask), code }).not.toMatchObject({ code: 'internal' })
      }
    }
    for (const app of ['one2', 'on', 'One', 'one ', '*', 'two']) {
      const ask = { method: 'GET', path: `/v1/app/${encodeURIComponent(app)}` }
      expect({ app, ...(await callOf(peer, ask)) }).toMatchObject({ app, status: 403 })
    }
  }
  await changingNothing(() =>
    Promise.all(
      (['narrowed', 'too'] as const).map((name, half) =>
        withPeer(name, (peer) =>
          askAs(
            peer,
            calls.filter((_, index) => index % 2 === half),
          ),
        ),
      ),
    ),
  )
})

test('bad values in the calls of a viewer are refused in words, and change nothing', async () => {
  await changingNothing(() =>
    withPeer('viewer', async (peer) => {
      for (const call of calls.filter((each) => includes('viewer', each))) {
        for (const ask of hostileRequests(call, known, cookie)) {
          const { status, code } = await callOf(peer, ask)
          expect({ ask: labelOf(ask), status, code }).not.toMatchObject({ code: 'internal' })
        }
      }
    }),
  )
})

const errorCode = (error: unknown): string => (error as { code: string }).code
