import { afterEach, expect, test } from 'vitest'
import { allows } from '../api/index.ts'
import { addNode, identityErrors } from '../identity/index.ts'
import { type Cleanups, followingHome, foundHome, strangerId } from './fixtures/home.ts'
import { createMembers } from './members.ts'

const cleanups: Cleanups = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})
const signal = new AbortController().signal
const nothing = { apps: [], services: [] }

async function homeWithPi() {
  const home = await foundHome(cleanups)
  const id = await strangerId(cleanups)
  await home.members.add({ node: id, name: 'pi', labels: { site: 'home', tier: 'web' } })
  return { ...home, id }
}

test('a stranger is added by its id, once, under a name that nobody has', async () => {
  const { members, roster, id } = await homeWithPi()
  expect(members.info('pi')).toMatchObject({ id, name: 'pi', role: 'member', waiting: false, changed_by: 'alpha' })
  await expect(members.add({ node: id })).rejects.toMatchObject({ code: 'node_exists' })
  await expect(members.add({ node: await strangerId(cleanups), name: 'pi' })).rejects.toMatchObject({
    code: 'name_taken',
  })
  const other = await strangerId(cleanups)
  const added = await members.add({ node: other, role: 'viewer', expires_in_ms: 1000 })
  expect(added.name).toBe(`node-${other.slice(-8).toLowerCase()}`)
  expect(roster.rightsOf(other)?.role).toBe('viewer')
})

test('a membership that ends is over at its time, and adding the node again prolongs it', async () => {
  const { members, roster, clock } = await homeWithPi()
  const { id } = await members.add({ node: await strangerId(cleanups), name: 'guest', expires_in_ms: 1000 })
  clock.advance(1000)
  expect(roster.rightsOf(id)).toBeUndefined()
  expect((await members.add({ node: 'guest' })).expires).toBeNull()
  expect(roster.rightsOf(id)?.role).toBe('member')
})

test('names and labels change as asked, and a name that is taken is refused', async () => {
  const { members } = await homeWithPi()
  expect((await members.label('pi', { set: { arch: 'arm64' }, remove: ['tier'] })).labels).toEqual({
    site: 'home',
    arch: 'arm64',
  })
  await expect(members.rename('pi', 'alpha')).rejects.toMatchObject({ code: 'name_taken' })
  expect((await members.rename('pi', 'kitchen')).name).toBe('kitchen')
  expect(() => members.info('pi')).toThrow(expect.objectContaining({ code: 'node_not_found' }))
})

test('a removal is for good and changes the network key; a node does not remove itself', async () => {
  const { members, roster, id } = await homeWithPi()
  expect(await members.remove('pi')).toEqual({ id, name: 'pi', network_key: 1, problem: null })
  expect(roster.state.networkKey?.revision).toBe(1)
  await expect(members.add({ node: id })).rejects.toMatchObject({ code: 'node_removed' })
  await expect(members.remove('alpha')).rejects.toMatchObject({ code: 'node_is_self' })
})

test('a removal counts although the network key could not be changed, and says why it was not', async () => {
  const home = await homeWithPi()
  const rotate = () => Promise.reject(identityErrors.roster_full('no room'))
  const askAuthority = () => Promise.reject(new Error('not asked'))
  const members = createMembers({ ...home, networkKeys: { rotate }, askAuthority })
  expect(await members.remove('pi')).toMatchObject({ network_key: null, problem: 'roster_full: no room' })
  expect(home.roster.state.removed.has(home.id)).toBe(true)
})

test('a narrowed right opens its apps alone, until it expires or is taken back', async () => {
  const { members, roster, clock, id } = await homeWithPi()
  const right = { role: 'operator' as const, apps: ['api', 'web-*'], services: [] }
  const info = await members.grant('pi', { ...right, expires_in_ms: 1000 }, signal)
  expect(info).toMatchObject({ role: 'member', grants: [{ role: 'operator', apps: ['api', 'web-*'], services: null }] })
  const may = (app: string) => allows(roster.rightsOf(id) ?? { role: 'relay', grants: [] }, 'operator', { app })
  expect([may('api'), may('web-1'), may('other')]).toEqual([true, true, false])
  await members.revoke('pi', { apps: ['api'], services: [] })
  expect([may('api'), may('web-1')]).toEqual([false, true])
  clock.advance(1000)
  expect(may('web-1')).toBe(false)
})

test('what is not there cannot be taken back, and the refusal names what was asked', async () => {
  const { members, roster } = await homeWithPi()
  const size = roster.size
  await expect(members.revoke('pi', { role: 'viewer', apps: ['api'], services: ['db'] })).rejects.toMatchObject({
    code: 'grant_not_found',
    message: expect.stringContaining('viewer on app api, service db'),
  })
  expect(roster.size).toBe(size)
})

test('revoking without more makes a plain member of a node, and leaves a relay one', async () => {
  const { members } = await homeWithPi()
  await members.grant('pi', { role: 'operator', ...nothing }, signal)
  await members.grant('pi', { role: 'viewer', apps: ['api'], services: [] }, signal)
  expect(await members.revoke('pi', nothing)).toMatchObject({ role: 'member', grants: [] })
  await members.grant('pi', { role: 'relay', ...nothing }, signal)
  expect(await members.revoke('pi', nothing)).toMatchObject({ role: 'relay' })
})

test('an admin is made with the key that the node itself names, and steps back to a member', async () => {
  const home = await foundHome(cleanups)
  const other = await followingHome(home, cleanups)
  const members = createMembers({ ...home, askAuthority: () => other.authority.publicKey() })
  await members.add({ node: other.nodeId, name: 'beta' })
  const made = await members.grant('beta', { role: 'admin', ...nothing }, signal)
  expect(made).toMatchObject({ role: 'admin', authority: home.roster.state.admins.get(other.nodeId)?.keyId })
  await other.roster.merge(home.roster.entriesAfter([]))
  expect(other.authority.author().authorId).toBe(other.nodeId)
  expect(await members.revoke('beta', { role: 'admin', ...nothing })).toMatchObject({ role: 'member', authority: null })
})

test('an admin can dismiss itself where another is left, and the last one cannot', async () => {
  const home = await foundHome(cleanups)
  const other = await followingHome(home, cleanups)
  const members = createMembers({ ...home, askAuthority: () => other.authority.publicKey() })
  const size = home.roster.size
  await expect(members.revoke('alpha', nothing)).rejects.toMatchObject({ code: 'last_admin' })
  expect(home.roster.size).toBe(size)
  await members.add({ node: other.nodeId, name: 'beta' })
  await members.grant('beta', { role: 'admin', ...nothing }, signal)
  expect(await members.revoke('alpha', nothing)).toMatchObject({ role: 'member' })
  await expect(members.rename('beta', 'b')).rejects.toMatchObject({ code: 'not_admin' })
})

test('a node cannot be admin for a time, because its key would go on to sign', async () => {
  const { members } = await homeWithPi()
  await expect(members.grant('pi', { role: 'admin', ...nothing, expires_in_ms: 1000 }, signal)).rejects.toMatchObject({
    code: 'invalid_value',
  })
})

test('a node that joined by an invite without room has no rights until it is confirmed, and no change confirms it by the way', async () => {
  const { members, roster, authority, directory } = await foundHome(cleanups)
  const invite = 'ab'.repeat(32)
  const ids = [await strangerId(cleanups), await strangerId(cleanups)]
  const { createInvite, signerFromSeed } = await import('../identity/index.ts')
  const { publicKey, keyId } = signerFromSeed(Buffer.from(invite, 'hex'))
  const rest = { name: null, role: 'member' as const, labels: {}, expires: roster.latestTimeMs() + 1000, uses: 1 }
  await createInvite(authority.author(), { publicKey, ...rest })
  for (const [index, id] of ids.entries()) {
    await addNode(authority.author(), { id, name: `pi-${index}`, role: 'member', invite: keyId })
  }
  expect(ids.map((id) => roster.rightsOf(id))).toEqual([undefined, undefined])
  expect(directory.nodes().map(({ name }) => name)).toEqual(['alpha'])
  expect(directory.everyone().filter(({ waiting }) => waiting)).toHaveLength(2)
  await expect(members.label('pi-0', { set: { a: 'b' }, remove: [] })).rejects.toMatchObject({ code: 'node_waiting' })
  await expect(members.grant('pi-0', { role: 'operator', ...nothing }, signal)).rejects.toMatchObject({
    code: 'node_waiting',
  })
  expect(await members.add({ node: 'pi-0' })).toMatchObject({ waiting: false, role: 'member' })
  expect(ids.map((id) => roster.rightsOf(id)?.role)).toEqual(['member', undefined])
})
