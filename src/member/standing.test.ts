import { expect, test } from 'vitest'
import type { Role } from '../api/index.ts'
import { ManualClock } from '../base/clock.ts'
import type { RosterState } from '../identity/index.ts'
import { createStanding, type StandingRoster } from './standing.ts'

const MINUTE = 60_000

/** A roster with these nodes; `self` is one of them. */
function rosterOf(roles: Record<string, Role | 'token'>) {
  const listeners = new Set<() => void>()
  const missing: string[] = []
  const nodes = new Map<string, { id: string; kind: 'node' | 'token' }>()
  const admins = new Map<string, object>()
  for (const [id, role] of Object.entries(roles)) {
    nodes.set(id, { id, kind: role === 'token' ? 'token' : 'node' })
    if (role === 'admin') admins.set(id, {})
  }
  const roster: StandingRoster = {
    state: { nodes, admins } as unknown as RosterState,
    rightsOf: (id) => (nodes.has(id) ? { role: 'member', grants: [] } : undefined),
    onChange: (listener) => {
      const hear = (): void => listener(roster.state)
      listeners.add(hear)
      return () => void listeners.delete(hear)
    },
    signedHeads: { missing: () => missing },
  }
  const change = (edit: () => void): void => {
    edit()
    for (const listener of listeners) listener()
  }
  return { roster, nodes, missing, change }
}

const FLEET = { alpha: 'admin', self: 'member', b: 'member', c: 'member', d: 'member' } as const

function standingOf(roles: Record<string, Role | 'token'>) {
  const clock = new ManualClock()
  const made = rosterOf(roles)
  const standing = createStanding({ roster: made.roster, selfId: 'self', clock })
  return { clock, standing, ...made }
}

test('after a start a node is not current until it has compared rosters with an admin', () => {
  const { standing } = standingOf(FLEET)
  standing.connected('b')
  expect(standing.isCurrent()).toBe(false)
  standing.compared('b')
  expect(standing.isCurrent()).toBe(false)
  standing.compared('alpha')
  expect(standing.isCurrent()).toBe(true)
})

test('without an admin two different members are enough, and the same one twice is not', () => {
  const { standing } = standingOf(FLEET)
  standing.compared('b')
  standing.compared('b')
  expect(standing.isCurrent()).toBe(false)
  expect(standing.why()).toBe('this node was away and has compared its roster with 1 of 2 members')
  standing.compared('c')
  expect(standing.isCurrent()).toBe(true)
})

test('in a network of fewer than four nodes one member is enough, and tokens are not counted as nodes', () => {
  const { standing } = standingOf({ alpha: 'admin', self: 'member', b: 'member', ci: 'token' })
  expect(standing.isCurrent()).toBe(false)
  standing.compared('b')
  expect(standing.isCurrent()).toBe(true)
})

test('strangers, this node itself and members that were removed since are no witnesses', () => {
  const { standing, change, nodes } = standingOf(FLEET)
  standing.compared('stranger')
  standing.compared('self')
  standing.compared('b')
  change(() => nodes.delete('b'))
  standing.compared('c')
  expect(standing.isCurrent()).toBe(false)
  standing.compared('d')
  expect(standing.isCurrent()).toBe(true)
})

test('an admin is its own witness, also alone', () => {
  expect(standingOf({ self: 'admin' }).standing.isCurrent()).toBe(true)
  expect(standingOf({ ...FLEET, self: 'admin' }).standing.isCurrent()).toBe(true)
})

test('as long as a signed head names an entry that is missing, no comparison is enough', () => {
  const { standing, change, missing } = standingOf(FLEET)
  missing.push('entry 7 of alpha')
  standing.compared('alpha')
  standing.compared('b')
  expect(standing.isCurrent()).toBe(false)
  expect(standing.why()).toContain('are missing')
  change(() => missing.splice(0))
  expect(standing.isCurrent()).toBe(true)
  missing.push('an entry whose head came before it')
  expect(standing.isCurrent()).toBe(true)
})

test('after ten minutes without a connection to a member it compares anew', () => {
  const { standing, clock } = standingOf(FLEET)
  let lost = 0
  standing.onLost(() => lost++)
  standing.connected('alpha')
  standing.compared('alpha')
  standing.disconnected('alpha')
  clock.advance(9 * MINUTE)
  standing.connected('b')
  clock.advance(60 * MINUTE)
  expect(standing.isCurrent()).toBe(true)
  standing.disconnected('b')
  standing.connected('stranger')
  clock.advance(10 * MINUTE)
  expect(standing.isCurrent()).toBe(false)
  expect(lost).toBe(1)
  standing.connected('b')
  standing.compared('b')
  expect(standing.isCurrent()).toBe(false)
  standing.compared('alpha')
  expect(standing.isCurrent()).toBe(true)
})

test('a machine that slept for long compares anew, although its connections seem to be there still', () => {
  const clock = new ManualClock()
  let sleptMs = 0
  const sleeping = Object.assign(Object.create(clock) as ManualClock, {
    now: () => clock.now() + sleptMs,
    monotonicMs: () => clock.monotonicMs(),
    setTimeout: clock.setTimeout.bind(clock),
    clearTimeout: clock.clearTimeout.bind(clock),
  })
  const standing = createStanding({ roster: rosterOf(FLEET).roster, selfId: 'self', clock: sleeping })
  let lost = 0
  standing.onLost(() => lost++)
  standing.connected('alpha')
  standing.compared('alpha')
  expect(standing.isCurrent()).toBe(true)
  sleptMs = 8 * 60 * MINUTE
  expect(standing.isCurrent()).toBe(false)
  clock.advance(2 * MINUTE)
  expect(lost).toBe(1)
  standing.compared('alpha')
  expect(standing.isCurrent()).toBe(true)
  sleptMs += 11 * MINUTE
  clock.advance(MINUTE)
  expect(lost).toBe(2)
})

test('waiting ends as soon as it is current, when the time is over, and when it stops', async () => {
  const { standing, clock } = standingOf(FLEET)
  const soon = standing.whenCurrent(5000)
  standing.compared('alpha')
  expect(await soon).toBe(true)
  expect(await standing.whenCurrent(5000)).toBe(true)
  standing.connected('alpha')
  standing.disconnected('alpha')
  clock.advance(11 * MINUTE)
  const late = standing.whenCurrent(5000)
  clock.advance(5000)
  expect(await late).toBe(false)
  const stopped = standing.whenCurrent(5000)
  standing.stop()
  expect(await stopped).toBe(false)
})

test('deploy tokens are no witnesses, and to meet one is not to be among members: who stole two would else keep a node in the past', () => {
  const { standing, clock } = standingOf({ ...FLEET, ci: 'token', cd: 'token' })
  standing.compared('ci')
  standing.compared('cd')
  expect(standing.isCurrent()).toBe(false)
  standing.compared('alpha')
  standing.connected('ci')
  expect(standing.isCurrent()).toBe(true)
  clock.advance(11 * MINUTE)
  expect(standing.isCurrent()).toBe(false)
})
