import { afterEach, expect, test } from 'vitest'
import { allows, type Rights } from '../api/index.ts'
import { decodeToken, peerIdOf, signerFromSeed } from '../identity/index.ts'
import { codeNodes } from './code-nodes.ts'
import { type Cleanups, foundHome } from './fixtures/home.ts'
import { createTokens } from './tokens.ts'

const cleanups: Cleanups = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

async function homeWithTokens() {
  const home = await foundHome(cleanups)
  const remove = (id: string) => home.members.removeId(id)
  return { ...home, tokens: createTokens({ ...home, nodes: () => codeNodes(home), remove }) }
}

test('a token holds the key of an identity of its own, which is nobody’s target', async () => {
  const { tokens, roster, directory, nodeId } = await homeWithTokens()
  const { token, ...made } = await tokens.create({ name: 'ci', role: 'operator', apps: [] })
  const { networkId, seed, admins } = decodeToken(token)
  expect(networkId).toBe(roster.networkId)
  expect(peerIdOf(signerFromSeed(seed).publicKey)).toBe(made.id)
  expect(admins.map(({ id }) => id)).toEqual([nodeId])
  expect(made).toMatchObject({ name: 'ci', role: 'operator', apps: null, expires: null, state: 'valid', by: 'alpha' })
  expect(directory.nodes().map(({ name }) => name)).toEqual(['alpha'])
  expect(() => directory.resolve('ci')).toThrow(expect.objectContaining({ code: 'node_not_found' }))
  expect(directory.nameOf(made.id)).toBe('ci')
  expect(directory.rightsOf(made.id)?.role).toBe('operator')
  expect(JSON.stringify(tokens.list())).not.toContain(token)
})

test('a token for some apps opens those alone, until it expires', async () => {
  const { tokens, roster, clock } = await homeWithTokens()
  const { id } = await tokens.create({ name: 'ci', role: 'operator', apps: ['api'], expires_in_ms: 1000 })
  const rights = roster.rightsOf(id) as Rights
  expect(rights.role).toBe('member')
  expect([allows(rights, 'operator', { app: 'api' }), allows(rights, 'operator', { app: 'web' })]).toEqual([
    true,
    false,
  ])
  expect(tokens.list()).toMatchObject([{ role: 'operator', apps: ['api'], state: 'valid' }])
  clock.advance(1000)
  expect(roster.rightsOf(id)).toBeUndefined()
  expect(tokens.list()).toMatchObject([{ state: 'expired' }])
})

test('a token is removed for good with the network key that its holder had; its name is unique', async () => {
  const { tokens, roster } = await homeWithTokens()
  const { id } = await tokens.create({ name: 'ci', role: 'viewer', apps: [] })
  await expect(tokens.create({ name: 'alpha', role: 'viewer', apps: [] })).rejects.toMatchObject({ code: 'name_taken' })
  expect(await tokens.remove('ci')).toMatchObject({ id, name: 'ci', network_key: 1, problem: null })
  expect(roster.state.removed.has(id)).toBe(true)
  await expect(tokens.remove('ci')).rejects.toMatchObject({ code: 'token_not_found' })
  await expect(tokens.remove('alpha')).rejects.toMatchObject({ code: 'token_not_found' })
})
