import { afterEach, expect, test } from 'vitest'
import { Fleet } from './fixtures/fleet.ts'

let fleet: Fleet
afterEach(() => fleet.stop())

async function fleetOf(count: number): Promise<Fleet> {
  fleet = await Fleet.create(count)
  await fleet.startAll()
  return fleet
}
async function until(holds: () => boolean): Promise<void> {
  const signal = AbortSignal.timeout(60_000)
  while (!holds()) {
    signal.throwIfAborted()
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}
const stateAt = (node: number, id: string) =>
  fleet
    .engine(node)
    .list()
    .find((row) => row.id === id)?.state

test('an author that is removed in the middle of its rollout starts nothing more', async () => {
  await fleetOf(3)
  let open = (): void => undefined
  fleet.machine(1).gate = new Promise((resolve) => (open = resolve))
  const deploying = fleet.deploy(1, { batch: [1] })
  await until(
    () =>
      fleet.machine(0).running?.version === '1.0.0' && stateAt(2, fleet.engine(0).list()[0]?.id ?? '') !== undefined,
  )
  fleet.forbidden.add(fleet.machine(0).node.id)
  for (const index of [0, 1, 2]) fleet.engine(index).rosterChanged()
  open()
  const { end } = await deploying
  expect(end.ok).toBe(false)
  expect(fleet.machine(2).starts).toEqual([])
  // What was being installed is finished; what was not begun is refused, or never begun.
  expect(end.results[2]?.state).not.toBe('healthy')
})

test('a transfer that runs is cut off when the author loses its right', async () => {
  await fleetOf(2)
  fleet.settings.retries = 100
  fleet.settings.retryDelayMs = 60_000
  fleet.machine(1).fetchFailure = new Error('no source answers')
  const deploying = fleet.deploy(1)
  await until(() => fleet.machine(1).fetches.length === 1)
  fleet.forbidden.add(fleet.machine(0).node.id)
  fleet.engine(1).rosterChanged()
  const { end } = await deploying
  expect(end.results[1]).toMatchObject({ state: 'refused', reason: expect.stringContaining('rollout_forbidden') })
})

test('a stale node installs nothing new, says why, and goes back to what it had', async () => {
  await fleetOf(2)
  expect((await fleet.deploy(1)).end.ok).toBe(true)
  fleet.machine(1).stale = true
  const { end } = await fleet.deploy(2)
  expect(end.results[1]).toMatchObject({
    state: 'refused',
    version: '1.0.0',
    reason: expect.stringMatching(
      /^roster_stale: the newest word of an admin is 9 d old; hello 2\.0\.0 is new here .*--accept-stale/,
    ),
  })
  expect(fleet.machine(1).fetches).toHaveLength(1)
  const told = fleet.told.filter(({ node }) => node === 'burrow-2')
  expect(told.map(({ outcome, subject }) => `${outcome} ${subject}`)).toEqual([
    'done hello: hello 1.0.0',
    'refused hello: hello 2.0.0',
  ])
  expect(told[1]).toMatchObject({ by: fleet.machine(0).node.id, reason: expect.stringMatching(/^roster_stale/) })
  expect((await fleet.deploy(1)).end.ok).toBe(true)
  expect((await fleet.deploy(2, { accept_stale: true })).end.ok).toBe(true)
  expect(fleet.machine(1).running?.version).toBe('2.0.0')
})

test('a deploy token runs nothing, whoever names it as a target', async () => {
  await fleetOf(2)
  fleet.machine(1).isToken = true
  const { end } = await fleet.deploy(1)
  expect(end.results[1]).toMatchObject({
    state: 'refused',
    reason: expect.stringMatching(/^rollout_forbidden: .*token/),
  })
  expect(fleet.machine(1).fetches).toEqual([])
})

test('a package that only lies in the store of a stale node is new to it', async () => {
  await fleetOf(1)
  fleet.machine(0).stale = true
  const { end } = await fleet.deploy(1)
  expect(end.results[0]).toMatchObject({ state: 'refused', reason: expect.stringContaining('roster_stale') })
})

test('a node that is not current begins its turn when it is, and not before', async () => {
  await fleetOf(2)
  const machine = fleet.machine(1)
  let current = false
  const asked: ((is: boolean) => void)[] = []
  machine.standing = {
    isCurrent: () => current,
    whenCurrent: () => new Promise((resolve) => void asked.push(resolve)),
    why: () => '',
  }
  await machine.stop?.()
  await fleet.start(1)
  const deploying = fleet.deploy(1)
  await until(() => fleet.machine(0).running !== undefined && asked.length > 0 && fleet.engine(1).list().length === 1)
  expect(machine.starts).toEqual([])
  expect(machine.fetches).toEqual([])
  current = true
  for (const resolve of asked) resolve(true)
  expect((await deploying).end.ok).toBe(true)
  expect(machine.running?.version).toBe('1.0.0')
})

test('a node that is not current deploys to itself alone, and says why it begins nothing for others', async () => {
  await fleetOf(2)
  const [machine, other] = [fleet.machine(0), fleet.machine(1)]
  const why = () => 'it has compared its roster with 0 of 1 members'
  const whenCurrent = (timeoutMs: number): Promise<boolean> =>
    timeoutMs > 10_000 ? new Promise(() => undefined) : Promise.resolve(false)
  machine.standing = { isCurrent: () => false, whenCurrent, why }
  await machine.stop?.()
  await fleet.start(0)
  await expect(fleet.deploy(1)).rejects.toMatchObject({ code: 'not_current', message: expect.stringContaining(why()) })
  expect(fleet.engine(0).list()).toEqual([])
  expect((await fleet.deploy(1, { all: false, on: [machine.node.name] })).end.ok).toBe(true)
  expect([machine.running?.version, other.running]).toEqual(['1.0.0', undefined])
})

test('a node that stops while it waits to be current stops at once', async () => {
  await fleetOf(2)
  const machine = fleet.machine(1)
  machine.standing = { isCurrent: () => false, whenCurrent: () => new Promise(() => undefined), why: () => '' }
  await machine.stop?.()
  await fleet.start(1)
  void fleet.deploy(1).catch(() => undefined)
  await until(() => fleet.engine(1).list().length === 1)
  await machine.stop?.()
  expect(machine.starts).toEqual([])
})

test('a member that may not see an app hears nothing of it, and all of what it may see', async () => {
  await fleetOf(3)
  const blind = fleet.machine(2).node.id
  fleet.blind.add(`${blind} secret`)
  const on = { all: false, on: ['burrow-1', 'burrow-2'] }
  const { end: secret } = await fleet.deploy(1, { ...on, app: 'secret' })
  const { end: open } = await fleet.deploy(1, { ...on, app: 'open' })
  await until(() => stateAt(2, open.id) === 'done')
  await fleet.machine(2).stop?.()
  await fleet.start(2)
  await until(() => stateAt(2, open.id) === 'done')
  expect([secret.ok, stateAt(2, secret.id)]).toEqual([true, undefined])
})
