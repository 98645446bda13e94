/** What each role may on other nodes, with the real program, and what becomes of a right that ends. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { endOf, errorOf, type Row } from './fleet-of.ts'
import { codeOf, createHomes, type Home, type Homes, inviteFrom, untilAgree, untilSees } from './homes.ts'

let homes: Homes
let alice: Home
let bob: Home
let packages: { api: string; web: string; api2: string }
beforeAll(async () => {
  homes = await createHomes()
  alice = await homes.add('alice')
  await homes.found(alice)
  bob = await homes.join(alice, 'bob')
  await untilSees(bob, ['alice', 'bob'])
  packages = {
    api: await homes.pack(alice, 'api 1.0.0'),
    api2: await homes.pack(alice, 'api 2.0.0'),
    web: await homes.pack(alice, 'web 1.0.0'),
  }
  for (const file of [packages.api, packages.web]) await alice.must('deploy', file, '--on', 'alice', '--json')
})
afterAll(() => homes?.cleanup(), 60_000)

/** The role that a refused call asks for, and whom the hint names. */
async function lacks(home: Home, ...words: string[]): Promise<string> {
  const result = await home.run(...words, '--json')
  const { code, message, hint } = errorOf(result)
  expect({ words, code, message, hint }).toMatchObject({
    code: 'role_required',
    hint: expect.stringContaining('alice'),
  })
  return /needs the role (\w+)/.exec(message)?.[1] ?? message
}

const change = async (...words: string[]) => {
  await alice.must(...words, '--json')
  await untilAgree(alice, bob)
}

const deployTo = (name: string, file: string) => bob.run('deploy', file, '--on', name, '--json')

test('a member may nothing on other nodes, a viewer may look, and an operator may deploy', async () => {
  expect(await lacks(bob, '--node', 'alice', 'status')).toBe('viewer')
  expect(await lacks(bob, '--node', 'alice', 'stop', 'api')).toBe('operator')
  expect(await lacks(bob, '--node', 'alice', 'audit')).toBe('admin')
  // What signs is for who sits there, whatever the role.
  expect(await bob.refusal('--node', 'alice', 'node', 'rename', 'bob', 'eve')).toBe('local_only')

  await change('grant', 'bob', 'viewer')
  expect(await bob.ask('--node', 'alice', 'status', '--json')).toMatchObject({ name: 'alice', role: 'admin' })
  expect(await lacks(bob, '--node', 'alice', 'stop', 'api')).toBe('operator')
  const refused = await deployTo('alice', packages.api2)
  expect(refused.code).not.toBe(0)
  expect(errorOf(refused)).toMatchObject({ code: 'rollout_forbidden', hint: expect.stringContaining('operator') })

  await change('grant', 'bob', 'operator')
  expect(endOf(await deployTo('alice', packages.api2))).toMatchObject({ ok: true })
  await bob.must('--node', 'alice', 'stop', 'web', '--json')
  await bob.must('--node', 'alice', 'start', 'web', '--json')
  expect(await lacks(bob, '--node', 'alice', 'audit')).toBe('admin')
  expect(codeOf(await bob.run('invite', '--json'))).toBe('not_admin')

  await change('revoke', 'bob')
  expect(await lacks(bob, '--node', 'alice', 'status')).toBe('viewer')
})

test('a right on one app opens that app and no other, and ends when it is taken back', async () => {
  await change('grant', 'bob', 'operator', '--app', 'api')
  const seen = (await bob.ask<Row[]>('--node', 'alice', 'list', '--on', 'alice', '--json')).map(({ app }) => app)
  expect(seen).toEqual(['api'])
  expect(endOf(await deployTo('alice', packages.api2))).toMatchObject({ ok: true })
  const web = await deployTo('alice', packages.web)
  expect(web.code).not.toBe(0)
  expect(errorOf(web).code).toBe('rollout_forbidden')
  await bob.must('--node', 'alice', 'restart', 'api', '--json')
  expect(await lacks(bob, '--node', 'alice', 'restart', 'web')).toBe('operator')
  // It is not even told that there is another.
  expect(await bob.refusal('--node', 'alice', 'logs', 'web')).toBe('app_not_found')
  expect(await lacks(bob, '--node', 'alice', 'status')).toBe('viewer')

  await change('revoke', 'bob', '--app', 'api')
  expect(await lacks(bob, '--node', 'alice', 'restart', 'api')).toBe('operator')
})

test('a right that has expired counts no more', async () => {
  const look = () => bob.run('--node', 'alice', 'app', 'status', 'api', '--json')
  const counts = async (expires: string): Promise<boolean> => {
    await change('revoke', 'bob')
    await change('grant', 'bob', 'viewer', '--app', 'api', '--expires', expires)
    return (await look()).code === 0
  }
  // A busy machine may take longer to ask than the right holds.
  expect((await counts('3s')) || (await counts('30s'))).toBe(true)
  const code = async () => codeOf(await look())
  await expect.poll(code, { timeout: 60_000, interval: 200 }).toBe('role_required')
})

test('a node that is made admin lets others in, and one that steps back signs nothing more', async () => {
  await change('grant', 'bob', 'admin')
  const carol = await homes.add('carol')
  await homes.joinBy(carol, await inviteFrom(bob, '--name', 'carol'))
  await untilSees(bob, ['alice', 'bob', 'carol'])
  await untilAgree(alice, bob, carol)
  await bob.must('--node', 'alice', 'audit', '--tail', '1', '--json')

  await change('revoke', 'bob', 'admin')
  expect(codeOf(await bob.run('invite', '--json'))).toBe('not_admin')
  expect(await lacks(bob, '--node', 'alice', 'audit')).toBe('admin')
  const again = await alice.run('grant', 'bob', 'admin', '--json')
  expect(codeOf(again)).toBe('admin_left')
  expect(codeOf(await alice.run('revoke', 'alice', 'admin', '--json'))).toBe('last_admin')
})
