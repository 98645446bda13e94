import { afterEach, expect, test } from 'vitest'
import { createRouter } from '../api/index.ts'
import { systemClock } from '../base/clock.ts'
import { silentLogger } from '../base/log.ts'
import { createAuthority } from '../identity/index.ts'
import { createAskAuthority } from './ask-authority.ts'
import { createDirectory } from './directory.ts'
import { createFleet, rosterOnce, type TestHome, type TestNode } from './fixtures/fleet.ts'
import { createMembers } from './members.ts'
import { openPeerDoor } from './protocol/peer-door.ts'
import { memberRoutes } from './routes.ts'

const fleet = createFleet()
const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
  await fleet.end()
})
const signal = new AbortController().signal
const admin = { role: 'admin' as const, apps: [], services: [] }

/** The node with its work, answering peers. */
async function serve({ network, roster, standing, keys: networkKeys, sync, id }: TestNode, { keysFolder }: TestHome) {
  const directory = createDirectory({ roster, network, clock: systemClock, version: '0.1.0' })
  const authority = await createAuthority({ keysFolder, roster, nodeId: id })
  const parts = { roster, network, directory, authority, networkKeys, standing, clock: systemClock }
  const router = createRouter({ routes: memberRoutes({ ...parts, maxStaleMs: 1000 }), log: silentLogger })
  const whenExchanged = (peer: string) => sync.whenExchanged(peer)
  const close = openPeerDoor({ network, router, rightsOf: (peer) => roster.rightsOf(peer), whenExchanged })
  cleanups.push(close, () => directory.stop())
  return { authority, members: createMembers({ ...parts, askAuthority: createAskAuthority(parts) }) }
}

test('a node is made an admin by a key that it makes itself, when an admin asks for it', async () => {
  const home = await fleet.found()
  const [first, second] = [await fleet.add(home, 'beta'), await fleet.add(home, 'gamma')]
  const [alpha, beta] = [await fleet.start(home), await fleet.start(first)]
  const { members } = await serve(alpha, home)
  const other = await serve(beta, first)
  await beta.network.connect(alpha.address)
  expect(other.authority.authorOrUndefined()).toBeUndefined()
  expect(await members.grant('beta', admin, signal)).toMatchObject({ role: 'admin' })
  await rosterOnce(beta.roster, () => beta.roster.state.admins.has(beta.id))
  expect((await other.members.rename('gamma', 'delta')).name).toBe('delta')
  await rosterOnce(alpha.roster, () => alpha.roster.state.nodes.get(second.id)?.name === 'delta')
})

test('a node that is away cannot be made an admin, and nothing is signed', async () => {
  const home = await fleet.found()
  await fleet.add(home, 'beta')
  const alpha = await fleet.start(home)
  const { members } = await serve(alpha, home)
  const size = alpha.roster.size
  await expect(members.grant('beta', admin, signal)).rejects.toMatchObject({
    code: 'node_unreachable',
    message: expect.stringContaining('beta'),
  })
  expect(alpha.roster.size).toBe(size)
})
