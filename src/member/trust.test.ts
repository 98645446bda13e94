import { afterEach, expect, test } from 'vitest'
import { encodeEnvelope, generateRecoveryPhrase, rootSignerOf, type Signer, sealRoot } from '../identity/index.ts'
import { type Cleanups, followingHome, foundHome, strangerId } from './fixtures/home.ts'
import { createMembers } from './members.ts'
import type { Trust } from './trust.ts'

const cleanups: Cleanups = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})
type Home = Awaited<ReturnType<typeof foundHome>>

/** What the command does with a draft: signs it in its own process and hands it over. */
async function submit(trust: Trust, payloads: readonly string[], signers: Signer[]) {
  const envelopes = sealRoot(
    payloads.map((payload) => Buffer.from(payload, 'base64')),
    signers,
  )
  return await trust.submit(envelopes.map((envelope) => encodeEnvelope(envelope).toString('utf8')))
}

async function pair(): Promise<{ alpha: Home; beta: Awaited<ReturnType<typeof followingHome>> }> {
  const alpha = await foundHome(cleanups)
  const beta = await followingHome(alpha, cleanups)
  await alpha.members.add({ node: beta.nodeId, name: 'beta' })
  await beta.roster.merge(alpha.roster.entriesAfter([]))
  return { alpha, beta }
}

test('the status says who admins are, how many statements there are and whether this node can sign', async () => {
  const { alpha, beta } = await pair()
  expect(alpha.trust.status()).toMatchObject({
    network: alpha.roster.networkId,
    statements: 3,
    admins: [{ id: alpha.nodeId, name: 'alpha', statements: 3 }],
    network_key: { revision: 0, since: null, by: null },
    authority: 'open',
    head_confirmed: true,
    stale: false,
    alarms: [],
    missing: [],
    standing: { current: true },
  })
  const other = beta.trust.status()
  expect(other).toMatchObject({ authority: 'none', standing: { current: false } })
  expect(other.digest).toBe(alpha.trust.status().digest)
})

test('a sign of life makes an admin heard, and long silence makes the trust stale', async () => {
  const { alpha, beta } = await pair()
  const { authority, authorId } = alpha.authority.author()
  const { envelope } = await alpha.roster.signedHeads.sign({ signer: authority, authorId })
  await beta.roster.signedHeads.take([envelope])
  expect(beta.trust.status()).toMatchObject({
    silent_ms: 0,
    stale: false,
    admins: [{ sign_of_life: expect.any(String) }],
  })
  beta.clock.advance(7 * 86_400_000 + 1)
  expect(beta.trust.status()).toMatchObject({ silent_ms: 7 * 86_400_000 + 1, stale: true })
})

test('the log tells every kind of statement in words, in order, of one admin where asked', async () => {
  const { members, trust, nodeId } = await foundHome(cleanups)
  const id = await strangerId(cleanups)
  await members.add({ node: id, name: 'pi', labels: { site: 'home' } })
  await members.remove('pi')
  const log = trust.log({ tail: 100 })
  expect(log.map(({ type }) => type)).toEqual(['node', 'key', 'node', 'node-remove', 'network-key'])
  expect(log.map(({ seq }) => seq)).toEqual([1, 2, 3, 4, 5])
  expect(log[2]).toMatchObject({ author: 'alpha', author_id: nodeId })
  expect(log[2]?.what).toBe(`node pi (…${id.slice(-8)}) is member, site=home`)
  expect(log.every(({ what }) => !/undefined|null|NaN|object/.test(what))).toBe(true)
  expect(trust.log({ tail: 1 }).map(({ seq }) => seq)).toEqual([5])
  expect(trust.log({ node: 'root', tail: 100 })).toEqual([])
  expect(() => trust.log({ node: 'nobody', tail: 1 })).toThrow(expect.objectContaining({ code: 'node_not_found' }))
})

test('the recovery phrase makes a node an admin, puts a thief out, and what the thief signs afterwards counts nowhere', async () => {
  const { alpha, beta } = await pair()
  const draft = await beta.trust.draftRecovery({ remove: [{ node: 'alpha' }] })
  expect(draft).toMatchObject({ admin: beta.nodeId, remove: [{ id: alpha.nodeId, name: 'alpha' }] })
  const { statements } = await submit(beta.trust, draft.payloads, [rootSignerOf(alpha.recoveryPhrase)])
  expect(statements).toBe(draft.payloads.length)
  expect(await beta.trust.finishRecovery(draft.remove.map(({ id }) => id))).toEqual({
    removed: [alpha.nodeId],
    network_key: 1,
  })
  const thiefs = await strangerId(cleanups)
  await alpha.members.add({ node: thiefs, name: 'mallory' })
  await beta.roster.merge(alpha.roster.entriesAfter([]))
  const { nodes, admins, removed } = beta.roster.state
  expect(nodes.has(thiefs)).toBe(false)
  expect([...admins.keys()]).toEqual([beta.nodeId])
  expect(removed.has(alpha.nodeId)).toBe(true)
  expect(beta.trust.log({ node: 'root', tail: 10 })[0]).toMatchObject({ author: 'root', type: 'admins' })
})

test('what a thief did as an admin is undone from the statement on that is named, its accomplice included', async () => {
  const { alpha, beta } = await pair()
  const gamma = await followingHome(alpha, cleanups)
  const stolen = createMembers({ ...alpha, askAuthority: () => gamma.authority.publicKey() })
  await stolen.add({ node: gamma.nodeId, name: 'gamma' })
  const nothing = { apps: [], services: [] }
  await stolen.grant('gamma', { role: 'admin', ...nothing }, new AbortController().signal)
  await stolen.revoke('alpha', nothing)
  await beta.roster.merge(alpha.roster.entriesAfter([]))
  expect([...beta.roster.state.admins.keys()]).toEqual([gamma.nodeId])
  const draft = await beta.trust.draftRecovery({ remove: [{ node: 'alpha', keep_until: 3 }, { node: 'gamma' }] })
  await submit(beta.trust, draft.payloads, [rootSignerOf(alpha.recoveryPhrase)])
  await beta.trust.finishRecovery(draft.remove.map(({ id }) => id))
  expect([...beta.roster.state.admins.keys()]).toEqual([beta.nodeId])
  expect([...beta.roster.state.nodes.values()].map(({ name }) => name)).toEqual(['beta'])
  expect(beta.roster.state.removed).toEqual(new Set([alpha.nodeId, gamma.nodeId]))
})

test('a node that is to be the admin cannot be removed by the same', async () => {
  const { beta } = await pair()
  await expect(beta.trust.draftRecovery({ remove: [{ node: 'beta' }] })).rejects.toMatchObject({ code: 'node_is_self' })
})

test('another phrase than the network’s changes nothing', async () => {
  const { beta } = await pair()
  const draft = await beta.trust.draftRecovery({ remove: [] })
  const digest = beta.roster.digest()
  await expect(submit(beta.trust, draft.payloads, [rootSignerOf(generateRecoveryPhrase())])).rejects.toMatchObject({
    code: 'statement_invalid',
  })
  expect(beta.roster.digest()).toBe(digest)
})

test('a new phrase takes the place of the old one, which then counts no more', async () => {
  const { alpha, beta } = await pair()
  const old = rootSignerOf(alpha.recoveryPhrase)
  const next = rootSignerOf(generateRecoveryPhrase())
  const draft = await beta.trust.draftRecovery({
    remove: [],
    new_root: Buffer.from(next.publicKey).toString('base64'),
  })
  await submit(beta.trust, draft.payloads, [old, next])
  expect(Buffer.from(beta.roster.state.root).equals(next.publicKey)).toBe(true)
  const later = await beta.trust.draftRecovery({ remove: [{ node: 'alpha' }] })
  await expect(submit(beta.trust, later.payloads, [old])).rejects.toMatchObject({ code: 'statement_invalid' })
  await submit(beta.trust, later.payloads, [next])
  expect([...beta.roster.state.admins.keys()]).toEqual([beta.nodeId])
})

test('a checkpoint by the recovery phrase drops what no longer counts, and the state stays', async () => {
  const { members, trust, roster, recoveryPhrase } = await foundHome(cleanups)
  await members.add({ node: await strangerId(cleanups), name: 'pi' })
  for (const name of ['a', 'b', 'c', 'd']) await members.rename(trustName(roster), name)
  const before = roster.size
  const { payloads } = trust.draftCheckpoint()
  const { held } = await submit(trust, payloads, [rootSignerOf(recoveryPhrase)])
  expect(held).toBeLessThan(before)
  expect(members.info('d').name).toBe('d')
  await members.rename('d', 'e')
  expect(members.info('e').role).toBe('member')
})

test('the network key is changed on its own, by an admin alone', async () => {
  const { alpha, beta } = await pair()
  expect(await alpha.trust.rotateKey()).toEqual({ network_key: 1 })
  expect(await alpha.trust.rotateKey()).toEqual({ network_key: 2 })
  await expect(beta.trust.rotateKey()).rejects.toMatchObject({ code: 'not_admin' })
})

test('an admin that is sure of its log goes on after its last statement', async () => {
  const { trust } = await foundHome(cleanups)
  expect(await trust.acceptHead()).toEqual({ seq: 2 })
})

/** The name of the one node that is not this one. */
function trustName(roster: Home['roster']): string {
  return [...roster.state.nodes.values()].find(({ name }) => name !== 'alpha')?.name ?? ''
}

test('what one node exports another takes in, each statement checked as one of a peer is', async () => {
  const { alpha, beta } = await pair()
  await alpha.members.rename('beta', 'gamma')
  const own: unknown[] = []
  beta.roster.onAdded((_added, from) => own.push(from))
  const exported = alpha.trust.export()
  expect(await beta.trust.import(exported)).toEqual({ added: 1, refused: [], waiting: 0 })
  // Its neighbours are told, as of what it has signed itself.
  expect(own).toEqual(['own'])
  expect(beta.roster.digest()).toBe(alpha.roster.digest())
  expect(await beta.trust.import(exported)).toEqual({ added: 0, refused: [], waiting: 0 })
  const { added, refused } = await (await followingHome(await foundHome(cleanups), cleanups)).trust.import(exported)
  expect([added, refused.length]).toEqual([0, exported.length])
  expect(refused[0]).toContain('network')
  expect((await beta.trust.import(['no statement'])).refused).toHaveLength(1)
})
