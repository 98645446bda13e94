import { readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import type { RolloutEvent } from './contract.ts'
import { digestOf, Fleet, type Machine } from './fixtures/fleet.ts'
import { FAULT_POINTS } from './turn.ts'

let fleet: Fleet
afterEach(() => fleet.stop())

async function fleetOf(count: number): Promise<Fleet> {
  fleet = await Fleet.create(count)
  await fleet.startAll()
  return fleet
}

/** Resolves once a rollout on a node is in a state. */
async function until(
  node: number,
  id: string,
  wanted: (status: ReturnType<typeof statusOf>) => boolean,
): Promise<void> {
  const signal = AbortSignal.timeout(60_000)
  // A node that has just come back has not heard of it yet.
  const holds = (): boolean =>
    fleet
      .engine(node)
      .list()
      .some((row) => row.id === id) && wanted(statusOf(node, id))
  while (!holds()) {
    signal.throwIfAborted()
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}
const statusOf = (node: number, id: string) => fleet.engine(node).status(id)
const boom = (machine: Machine, version: number): void => {
  machine.behaviour = (digest) =>
    digest === digestOf(version)
      ? { ok: false, version: null, reason: 'exit code 1 after 0.2 s, last line "boom"' }
      : undefined
}

test('a deploy to all nodes runs the version everywhere and says so in the shape that scripts rely on', async () => {
  await fleetOf(3)
  const { events, end } = await fleet.deploy(1)
  expect(fleet.versions()).toEqual(['1.0.0', '1.0.0', '1.0.0'])
  expect(end).toMatchObject({ done: true, ok: true, state: 'done', timed_out: false })
  expect(end.results.map(({ node, ok, version }) => ({ node, ok, version }))).toEqual([
    { node: 'burrow-1', ok: true, version: '1.0.0' },
    { node: 'burrow-2', ok: true, version: '1.0.0' },
    { node: 'burrow-3', ok: true, version: '1.0.0' },
  ])
  const done = events.filter((event) => 'phase' in event && event.phase === 'done')
  expect(done.map((event) => ('node' in event ? event.node : '')).sort()).toEqual(['burrow-1', 'burrow-2', 'burrow-3'])
})

test('waves run one after another, and the next ones fetch from nodes that are done', async () => {
  await fleetOf(4)
  const order: string[] = []
  for (const machine of fleet.machines) machine.behaviour = () => void order.push(machine.node.name)
  await fleet.deploy(1, { batch: [1, 1, 2] })
  expect(order.slice(0, 2)).toEqual(['burrow-1', 'burrow-2'])
  expect(order.slice(2).sort()).toEqual(['burrow-3', 'burrow-4'])
  const [first, second] = fleet.machines.map(({ node }) => node.id)
  expect(fleet.machine(3).fetches[0]?.slice(0, 2)).toEqual([first, second])
})

test('a version that fails in the first wave never reaches the second, and the last good one stays', async () => {
  await fleetOf(3)
  await fleet.deploy(2, { batch: [1, 2] })
  boom(fleet.machine(0), 3)
  const { end } = await fleet.deploy(3, { batch: [1, 2] })
  expect(end).toMatchObject({ ok: false, state: 'failed' })
  expect(end.results[0]).toMatchObject({ state: 'failed', version: '2.0.0', reason: expect.stringContaining('"boom"') })
  expect(end.results.slice(1).map(({ state }) => state)).toEqual(['skipped', 'skipped'])
  expect(fleet.machines.map(({ starts }) => starts)).toEqual([['2.0.0', '3.0.0'], ['2.0.0'], ['2.0.0']])
})

test('a failure in a later wave takes back the nodes that are done', async () => {
  await fleetOf(3)
  await fleet.deploy(1)
  boom(fleet.machine(2), 2)
  const { end } = await fleet.deploy(2, { batch: [1] })
  expect(fleet.versions()).toEqual(['1.0.0', '1.0.0', '1.0.0'])
  expect(end.results.map(({ state, version }) => [state, version])).toEqual([
    ['reverted', '1.0.0'],
    ['reverted', '1.0.0'],
    ['failed', '1.0.0'],
  ])
})

test('--no-rollback keeps the nodes that are done', async () => {
  await fleetOf(2)
  boom(fleet.machine(1), 2)
  const { end } = await fleet.deploy(2, { batch: [1], rollback: false })
  expect(end.ok).toBe(false)
  expect(fleet.versions()).toEqual(['2.0.0', undefined])
})

test('an app of another deploy starts from the next generation', async () => {
  await fleetOf(2)
  await fleet.deploy(1)
  expect(fleet.engine(1).plan(fleet.request(2))).toMatchObject({ generation: 2 })
  await fleet.deploy(2)
  expect(fleet.machine(1).running).toMatchObject({ version: '2.0.0', generation: 2 })
})

test('the plan says what would change and moves nothing', async () => {
  await fleetOf(2)
  await fleet.deploy(1, { all: false, on: ['burrow-1'] })
  const plan = fleet.engine(0).plan(fleet.request(1, { batch: [1] }))
  expect(plan.waves).toEqual([['burrow-1'], ['burrow-2']])
  expect(plan.nodes.map(({ node, change, current }) => [node, change, current])).toEqual([
    ['burrow-1', 'none', '1.0.0'],
    ['burrow-2', 'install', null],
  ])
  expect(fleet.engine(0).list()).toHaveLength(1)
})

test('a node that is away is unreachable, the others stay deployed, and it catches up when it is back', async () => {
  await fleetOf(3)
  fleet.kill(2)
  const { end } = await fleet.deploy(1)
  expect(end.ok).toBe(false)
  expect(end.results[2]).toMatchObject({ node: 'burrow-3', ok: false, state: 'unreachable', version: null })
  expect(fleet.versions()).toEqual(['1.0.0', '1.0.0', undefined])
  await fleet.start(2)
  await until(0, end.id, ({ state }) => state === 'done')
  expect(fleet.versions()).toEqual(['1.0.0', '1.0.0', '1.0.0'])
})

test('with --max-unavailable a node may be away and the rollout is still good', async () => {
  await fleetOf(3)
  fleet.kill(1)
  const { end } = await fleet.deploy(1, { batch: [1], max_unavailable: 1 })
  expect(end).toMatchObject({ ok: true, state: 'done' })
  expect(fleet.versions()).toEqual(['1.0.0', undefined, '1.0.0'])
})

test('a halted rollout does not reach a node that was away', async () => {
  await fleetOf(3)
  fleet.kill(2)
  const { end } = await fleet.deploy(1)
  await fleet.engine(1).halt(fleet.engine(1).signHalt(end.id, { revert: false }))
  await until(0, end.id, ({ state }) => state === 'halted')
  await fleet.start(2)
  await until(2, end.id, ({ state }) => state === 'halted')
  expect(fleet.machine(2).starts).toEqual([])
})

test('a halt with revert takes back what is done, on every node', async () => {
  await fleetOf(3)
  await fleet.deploy(1)
  const { end } = await fleet.deploy(2)
  await fleet.engine(2).halt(fleet.engine(2).signHalt(end.id, { revert: true, reason: 'wrong colour' }))
  await until(0, end.id, ({ results }) => results.every(({ state }) => state === 'reverted'))
  expect(fleet.versions()).toEqual(['1.0.0', '1.0.0', '1.0.0'])
  const halts = fleet.told.filter(({ subject }) => subject.startsWith('halt '))
  expect(halts.map(({ node, by }) => [node, by]).sort()).toEqual(
    ['burrow-1', 'burrow-2', 'burrow-3'].map((node) => [node, fleet.machine(2).node.id]),
  )
  expect(halts[0]).toMatchObject({ what: 'rollout', outcome: 'done', reason: 'wrong colour', detail: { revert: true } })
})

test('a rollout that is over cannot be halted', async () => {
  await fleetOf(1)
  const { end } = await fleet.deploy(1)
  const halt = fleet.engine(0).signHalt(end.id, { revert: false })
  await expect(fleet.engine(0).halt(halt)).rejects.toMatchObject({ code: 'rollout_finished' })
})

test('the author may leave: the rollout goes on', async () => {
  await fleetOf(4)
  fleet.machine(0).packages.add(digestOf(1))
  let open = (): void => undefined
  fleet.machine(1).gate = new Promise((resolve) => (open = resolve))
  const targets = { all: false, on: ['burrow-2', 'burrow-3', 'burrow-4'], batch: [1] }
  const { id, envelope } = fleet.engine(0).sign(fleet.request(1, targets))
  const leaving = new AbortController()
  const follow = fleet.engine(0).submit(envelope, { signal: leaving.signal })
  for await (const event of follow) if ('phase' in event && event.phase === 'start') break
  fleet.kill(0)
  open()
  await until(3, id, ({ state }) => state === 'done')
  expect(fleet.versions()).toEqual([undefined, '1.0.0', '1.0.0', '1.0.0'])
})

test('a second rollout from the same base is refused at the door', async () => {
  await fleetOf(2)
  fleet.machine(0).packages.add(digestOf(1))
  const stale = fleet.engine(0).sign(fleet.request(1))
  await fleet.deploy(2)
  await expect(fleet.submit(0, stale.envelope)).rejects.toMatchObject({ code: 'rollout_conflict' })
  expect(fleet.versions()).toEqual(['2.0.0', '2.0.0'])
})

test('where a partition accepted two, both halt once it heals', async () => {
  await fleetOf(2)
  fleet.link(0, 1, false)
  fleet.machine(1).packages.add(digestOf(2))
  const first = await fleet.deploy(1, { batch: [1] })
  const other = fleet.engine(1).sign(fleet.request(2, { batch: [1] }))
  const second = await fleet.submit(1, other.envelope)
  expect(first.end.ok || second.end.ok).toBe(false)
  fleet.link(0, 1, true)
  for (const node of [0, 1]) {
    await until(node, first.end.id, ({ state }) => state === 'halted')
    await until(node, second.end.id, ({ state }) => state === 'halted')
  }
})

test('a package that is not on the node that was asked is refused before anything begins', async () => {
  await fleetOf(1)
  const { envelope } = fleet.engine(0).sign(fleet.request(1))
  await expect(fleet.submit(0, envelope)).rejects.toMatchObject({ code: 'package_missing' })
  expect(fleet.engine(0).list()).toEqual([])
})

test('an author without the right is refused', async () => {
  await fleetOf(2)
  fleet.machine(0).packages.add(digestOf(1))
  const { envelope } = fleet.engine(0).sign(fleet.request(1))
  fleet.forbidden.add(fleet.machine(0).node.id)
  await expect(fleet.submit(0, envelope)).rejects.toMatchObject({ code: 'rollout_forbidden' })
  const alone = await fleet.deploy(1, { all: false, on: ['burrow-1'] })
  expect(alone.end.ok).toBe(true)
})

test('a right that is lost after the receipt is seen at the turn', async () => {
  await fleetOf(2)
  let open = (): void => undefined
  fleet.machine(0).gate = new Promise((resolve) => (open = resolve))
  fleet.machine(0).packages.add(digestOf(1))
  const { id, envelope } = fleet.engine(0).sign(fleet.request(1, { batch: [1] }))
  let last: RolloutEvent | undefined
  for await (const event of fleet.engine(0).submit(envelope, { signal: new AbortController().signal })) {
    last = event
    if (!('phase' in event) || event.phase !== 'start') continue
    await until(1, id, ({ state }) => state === 'running')
    fleet.forbidden.add(fleet.machine(0).node.id)
    open()
  }
  expect(last).toMatchObject({
    results: [{ state: 'healthy' }, { state: 'refused', reason: expect.stringContaining('may not deploy') }],
  })
  expect(fleet.machine(1).starts).toEqual([])
})

test('a package that a node does not trust is refused there with the reason, and a refusal takes nothing back', async () => {
  await fleetOf(2)
  fleet.machine(1).trusts = false
  const { end } = await fleet.deploy(1, { batch: [1] })
  expect(end.results.map(({ state }) => state)).toEqual(['healthy', 'refused'])
  expect(end.results[1]?.reason).toBe('untrusted_key: signed by "bob"')
  expect(fleet.machine(1).starts).toEqual([])
  expect(fleet.versions()).toEqual(['1.0.0', undefined])
})

test('a package whose record says another name is refused', async () => {
  await fleetOf(1)
  const { end } = await fleet.deploy(1, { package: { name: 'other', version: '1.0.0', digest: digestOf(1) } })
  expect(end.results[0]).toMatchObject({ state: 'refused', reason: expect.stringContaining('the package is hello') })
})

test('the wait ends with --timeout and the rollout goes on', async () => {
  await fleetOf(2)
  let open = (): void => undefined
  fleet.machine(1).gate = new Promise((resolve) => (open = resolve))
  fleet.machine(0).packages.add(digestOf(1))
  const { id, envelope } = fleet.engine(0).sign(fleet.request(1))
  const events: RolloutEvent[] = []
  const signal = new AbortController().signal
  for await (const event of fleet.engine(0).submit(envelope, { signal, timeoutMs: 50 })) events.push(event)
  expect(events.at(-1)).toMatchObject({ done: true, ok: false, timed_out: true, state: 'running' })
  open()
  await until(0, id, ({ state }) => state === 'done')
})

test('a rollout is found by the start of its short id, and a wrong one is named', async () => {
  await fleetOf(1)
  const { end } = await fleet.deploy(1)
  expect(end.short).toMatch(/^[0-9a-z]{4,}$/)
  expect(fleet.engine(0).status(end.short).id).toBe(end.id)
  expect(() => fleet.engine(0).status('zzzz')).toThrow(expect.objectContaining({ code: 'rollout_not_found' }))
})

test('watching a rollout that is over gives its end at once', async () => {
  await fleetOf(1)
  const { end } = await fleet.deploy(1)
  const events: RolloutEvent[] = []
  for await (const event of fleet.engine(0).watch(end.short, { signal: new AbortController().signal }))
    events.push(event)
  expect(events.at(-1)).toEqual(end)
})

test.each(FAULT_POINTS.filter((point) => point !== 'reverted'))(
  'a daemon killed at "%s" of its turn finishes the same rollout after the next start, once',
  async (point) => {
    fleet = await Fleet.create(2)
    let reached = (): void => undefined
    const crashed = new Promise<void>((resolve) => (reached = resolve))
    await fleet.start(0)
    await fleet.start(1, (name) => {
      if (name !== point) return undefined
      reached()
      return new Promise<void>(() => undefined)
    })
    const deploy = fleet.deploy(1)
    await crashed
    fleet.kill(1)
    const { end } = await deploy
    await fleet.start(1)
    await until(0, end.id, ({ state }) => state === 'done')
    await until(1, end.id, ({ state }) => state === 'done')
    expect(fleet.machine(1).starts).toEqual(['1.0.0'])
    expect(fleet.versions()).toEqual(['1.0.0', '1.0.0'])
  },
)

test('a daemon killed on its way back is back after the next start', async () => {
  fleet = await Fleet.create(2)
  let reached = (): void => undefined
  const crashed = new Promise<void>((resolve) => (reached = resolve))
  await fleet.start(0, (name) => {
    if (name !== 'reverted') return undefined
    reached()
    return new Promise<void>(() => undefined)
  })
  await fleet.start(1)
  await fleet.deploy(1)
  boom(fleet.machine(1), 2)
  const deploy = fleet.deploy(2, { batch: [1] }).catch(() => undefined)
  await crashed
  const id = fleet.engine(0).list()[0]?.id as string
  fleet.kill(0)
  await fleet.start(0)
  await until(1, id, ({ results }) => results[0]?.state === 'reverted')
  expect(fleet.versions()).toEqual(['1.0.0', '1.0.0'])
  void deploy
})

test('a damaged evidence file is set aside and fetched again from the others', async () => {
  await fleetOf(2)
  const { end } = await fleet.deploy(1)
  await until(1, end.id, ({ state }) => state === 'done')
  await fleet.machine(1).stop?.()
  const folder = join(fleet.machine(1).home, 'rollouts', end.id, 'evidence')
  await writeFile(join(folder, `${fleet.machine(0).node.id}.json`), '{')
  await fleet.start(1)
  await until(1, end.id, ({ state }) => state === 'done')
  expect((await readdir(folder)).some((name) => name.includes('.damaged-'))).toBe(true)
})

test('a node that comes back after others have reverted hears of it and does not start', async () => {
  await fleetOf(3)
  await fleet.deploy(1)
  fleet.kill(2)
  boom(fleet.machine(1), 2)
  const { end } = await fleet.deploy(2)
  expect(end.ok).toBe(false)
  await fleet.start(2)
  await until(2, end.id, ({ state }) => state === 'failed')
  expect(fleet.machine(2).starts).toEqual(['1.0.0'])
  expect(fleet.versions()).toEqual(['1.0.0', '1.0.0', '1.0.0'])
})

test('a node that joined later knows the generation of an app and may deploy it', async () => {
  fleet = await Fleet.create(3)
  await fleet.start(0)
  await fleet.start(1)
  await fleet.deploy(1, { all: false, on: ['burrow-1', 'burrow-2'] })
  await fleet.start(2)
  fleet.machine(2).packages.add(digestOf(2))
  const id = fleet.engine(0).list()[0]?.id as string
  await until(2, id, ({ state }) => state === 'done')
  const { envelope } = fleet.engine(2).sign(fleet.request(2))
  const { end } = await fleet.submit(2, envelope)
  expect(end.ok).toBe(true)
  expect(fleet.versions()).toEqual(['2.0.0', '2.0.0', '2.0.0'])
})

test('a later rollout takes the nodes of one that is still under way', async () => {
  await fleetOf(2)
  let open = (): void => undefined
  fleet.machine(1).gate = new Promise((resolve) => (open = resolve))
  const first = fleet.deploy(1)
  while (fleet.engine(1).list().length === 0) await new Promise((resolve) => setTimeout(resolve, 5))
  const second = fleet.deploy(2)
  open()
  expect((await second).end.ok).toBe(true)
  await first
  expect(fleet.versions()).toEqual(['2.0.0', '2.0.0'])
})
