import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { addNode, decodeJoinCode, inviteSignerOf } from '../identity/index.ts'
import { codeNodes } from './code-nodes.ts'
import { type Cleanups, followingHome, foundHome, strangerId } from './fixtures/home.ts'
import { createInvites } from './invites.ts'

const cleanups: Cleanups = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})
const hour = { role: 'member' as const, labels: {}, ttl_ms: 3_600_000, uses: 1 }

async function homeWithInvites() {
  const home = await foundHome(cleanups)
  return { ...home, invites: createInvites({ ...home, nodes: () => codeNodes(home) }) }
}

test('a code carries network, secret and where this admin is, and the roster never holds the secret', async () => {
  const { invites, roster, folder, nodeId } = await homeWithInvites()
  const { code, ...invite } = await invites.create({ ...hour, name: 'pi', labels: { site: 'home' } })
  const { networkId, secret, admins } = decodeJoinCode(code)
  expect(networkId).toBe(roster.networkId)
  expect(inviteSignerOf(secret).keyId).toBe(invite.id)
  expect(admins).toEqual([{ id: nodeId, addresses: [`/ip4/127.0.0.1/tcp/9010/p2p/${nodeId}`] }])
  expect(invite).toMatchObject({ name: 'pi', role: 'member', labels: { site: 'home' }, state: 'open', by: 'alpha' })
  const log = await readFile(join(folder, 'roster', 'log'), 'utf8')
  for (const form of ['hex', 'base64'] as const) expect(log).not.toContain(Buffer.from(secret).toString(form))
  expect(JSON.stringify(invites.list())).not.toContain(code)
})

test('an invite is open, then used, expired or closed, and shows who joined', async () => {
  const { invites, authority, clock } = await homeWithInvites()
  const used = await invites.create(hour)
  const closed = await invites.create(hour)
  const expired = await invites.create({ ...hour, ttl_ms: 1000 })
  const id = await strangerId(cleanups)
  await addNode(authority.author(), { id, name: 'pi', role: 'member', invite: used.id })
  expect(await invites.close(closed.id.slice(0, 12))).toMatchObject({ id: closed.id, state: 'closed' })
  clock.advance(1000)
  const states = new Map(invites.list().map((invite) => [invite.id, invite.state]))
  expect([used, closed, expired].map((invite) => states.get(invite.id))).toEqual(['used', 'closed', 'expired'])
  expect(invites.list().find((invite) => invite.id === used.id)?.joined).toEqual([{ id, name: 'pi', state: 'member' }])
})

test('an invite for a name that somebody has is refused, and so is closing what is not there', async () => {
  const { invites } = await homeWithInvites()
  await expect(invites.create({ ...hour, name: 'alpha' })).rejects.toMatchObject({ code: 'name_taken' })
  await invites.create(hour)
  await expect(invites.close('zz')).rejects.toMatchObject({ code: 'invite_not_found' })
  await invites.create(hour)
  await expect(invites.close('')).rejects.toMatchObject({ code: 'invite_not_found' })
})

test('a node that is no admin invites nobody', async () => {
  const home = await foundHome(cleanups)
  const other = await followingHome(home, cleanups)
  const invites = createInvites({ ...other, nodes: () => ({ admins: [], relays: [] }) })
  await expect(invites.create(hour)).rejects.toMatchObject({ code: 'not_admin' })
})
