import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { ManualClock } from '../base/clock.ts'
import { foldersOf, foundNetwork } from '../identity/index.ts'
import { testNodes } from './fixtures/nodes.ts'
import { createRolloutRights } from './rights.ts'

const DAY_MS = 86_400_000
const homes: string[] = []
afterEach(async () => {
  for (const home of homes.splice(0)) await rm(home, { recursive: true, force: true })
})

async function newNetwork(clock: ManualClock) {
  const home = await mkdtemp(join(tmpdir(), 'warren-rights-'))
  homes.push(home)
  const network = await foundNetwork({ ...foldersOf(home), name: 'laptop', clock })
  const { roster, authority, authorId } = network
  const [operator, viewer, token, stranger] = testNodes(4).map(({ id }) => id) as [string, string, string, string]
  const say = (body: object) =>
    roster.append({ signer: authority, authorId }, {
      type: 'node',
      body: { labels: {}, expires: null, revision: 1, ...body },
    } as Parameters<typeof roster.append>[1])
  await say({ id: operator, name: 'operator', role: 'operator' })
  await say({ id: viewer, name: 'viewer', role: 'viewer' })
  const grants = [{ role: 'operator', apps: ['api*'], services: null, expires: clock.now() + DAY_MS }]
  await say({ id: token, name: 'ci', role: 'member', kind: 'token', grants })
  const rights = createRolloutRights({ roster, clock, maxStaleMs: 7 * DAY_MS })
  return { ...network, rights, operator, viewer, token, stranger }
}

test('by the roster, a role deploys every app and a grant its own, until it ends or the author is removed', async () => {
  const clock = new ManualClock()
  const { rights, roster, authority, authorId, operator, viewer, token, stranger, nodeId } = await newNetwork(clock)
  const may = (app: string) => [nodeId, operator, viewer, token, stranger].map((id) => rights.mayDeploy(id, app))
  expect(may('api-1')).toEqual([true, true, false, true, false])
  expect(may('db')).toEqual([true, true, false, false, false])
  expect([operator, viewer, token].map((id) => rights.maySee(id, 'db'))).toEqual([true, true, false])
  expect(rights.maySee(token, 'api')).toBe(true)
  expect([operator, token, stranger].map((id) => rights.mayRun(id))).toEqual([true, false, true])
  expect([operator, token, stranger].map((id) => rights.isKnown(id))).toEqual([true, true, false])
  clock.advance(DAY_MS)
  expect(rights.mayDeploy(token, 'api-1')).toBe(false)
  expect(rights.maySee(token, 'api-1')).toBe(false)
  await roster.append({ signer: authority, authorId }, { type: 'node-remove', body: { id: operator } })
  expect(rights.mayDeploy(operator, 'api-1')).toBe(false)
  expect(rights.isKnown(operator)).toBe(true)
})

test('a roster is stale when nothing an admin signed is younger than the limit, and says how old it is', async () => {
  const clock = new ManualClock()
  const { rights, roster, authority, authorId, viewer } = await newNetwork(clock)
  clock.advance(7 * DAY_MS)
  expect(rights.isStale().stale).toBe(false)
  clock.advance(1)
  expect(rights.isStale()).toMatchObject({
    stale: true,
    reason: 'the newest word of an admin here is 7 d old (trust.max_stale: 7 d)',
  })
  await roster.append({ signer: authority, authorId }, { type: 'node-remove', body: { id: viewer } })
  expect(rights.isStale().stale).toBe(false)
  expect(rights.networkAgeMs()).toBe(7 * DAY_MS + 1)
})
