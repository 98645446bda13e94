import { afterEach, expect, test } from 'vitest'
import { WarrenError } from '../base/errors.ts'
import { Fleet } from './fixtures/fleet.ts'

let fleet: Fleet
afterEach(() => fleet.stop())

test('a fetch is tried again where that may help, and not where the package itself is refused', async () => {
  fleet = await Fleet.create(2)
  await fleet.startAll()
  fleet.settings.retries = 2
  const machine = fleet.machine(1)
  machine.fetchFailure = new WarrenError('package_unavailable', 503, 'no source answers')
  await fleet.deploy(1)
  expect(machine.fetches).toHaveLength(3)
  machine.fetchFailure = new WarrenError('untrusted_key', 403, 'signed by "bob"')
  const { end } = await fleet.deploy(2)
  expect(machine.fetches).toHaveLength(4)
  expect(end.results[1]).toMatchObject({ state: 'refused', reason: 'untrusted_key: signed by "bob"' })
})

test('a package that was damaged on the disk is fetched again in the same turn, once', async () => {
  fleet = await Fleet.create(2)
  await fleet.startAll()
  const machine = fleet.machine(1)
  let damages = 1
  machine.behaviour = (digest) => {
    if (damages-- <= 0) return undefined
    machine.packages.delete(digest)
    throw new WarrenError('package_damaged', 500, 'the stored bytes of run changed on the disk')
  }
  expect((await fleet.deploy(1)).end.ok).toBe(true)
  expect(machine.fetches).toHaveLength(2)
  damages = 2
  const { end } = await fleet.deploy(2)
  expect(end.results[1]).toMatchObject({
    ok: false,
    version: '1.0.0',
    reason: expect.stringContaining('package_damaged'),
  })
})
