import { expect, test } from 'vitest'
import { signerFromSeed } from '../ed25519.ts'
import {
  adminsBody,
  alice,
  bob,
  carol,
  createForge,
  makeGenesis,
  nodeBody,
  root,
  START_MS,
  settle,
  writer,
} from './fixtures.ts'
import { toBase64 } from './genesis.ts'
import { rightsOf } from './state.ts'

const dave = writer('dave')
const erin = writer('erin')

/** A network with these admins: alice founded it, and named the others in version 2. */
function networkOf(...others: (typeof alice)[]) {
  const genesis = makeGenesis()
  const forge = createForge(genesis)
  const added =
    others.length === 0
      ? []
      : [forge.write(alice, 'admins', adminsBody([alice, ...others], { version: 2, previous: genesis.networkId }))]
  return { genesis, forge, added, envelopes: added.map(({ envelope }) => envelope) }
}

test('a network starts with its first admin and nobody else', () => {
  const genesis = makeGenesis()
  const { state } = settle(genesis, []).evaluation
  expect([...state.admins.keys()]).toEqual([alice.id])
  expect(rightsOf(state, alice.id, START_MS)?.role).toBe('admin')
  expect(rightsOf(state, bob.id, START_MS)).toBeUndefined()
})

test('of one node the highest revision counts, whoever wrote it and whenever it came', () => {
  const { genesis, forge, envelopes } = networkOf(bob)
  const newer = forge.write(bob, 'node', nodeBody(dave, { name: 'new', role: 'operator', revision: 2 }))
  const older = forge.write(alice, 'node', nodeBody(dave, { name: 'old', labels: { site: 'home' } }))
  const { state } = settle(genesis, [...envelopes, newer.envelope, older.envelope]).evaluation
  expect(state.nodes.get(dave.id)).toMatchObject({ name: 'new', role: 'operator', labels: {}, author: bob.id })
})

test('of equal revisions the lowest hash counts', () => {
  const { genesis, forge, envelopes } = networkOf(bob)
  const one = forge.write(bob, 'node', nodeBody(dave, { name: 'one' }))
  const two = forge.write(alice, 'node', nodeBody(dave, { name: 'two' }))
  const { state } = settle(genesis, [...envelopes, one.envelope, two.envelope]).evaluation
  expect(state.nodes.get(dave.id)?.name).toBe(one.hash < two.hash ? 'one' : 'two')
})

test('equal names get a suffix that takes no other node’s name, and a warning', () => {
  const { genesis, forge } = networkOf()
  const nodes = [writer('1'), writer('2'), writer('3')].sort((a, b) => (a.id < b.id ? -1 : 1))
  const made = [
    forge.write(alice, 'node', nodeBody(nodes[0]!)),
    forge.write(alice, 'node', nodeBody(nodes[1]!)),
    forge.write(alice, 'node', nodeBody(nodes[2]!, { name: 'pi-2' })),
  ]
  const { state } = settle(
    genesis,
    made.map(({ envelope }) => envelope),
  ).evaluation
  expect(nodes.map(({ id }) => state.nodes.get(id)?.name)).toEqual(['pi', 'pi-3', 'pi-2'])
  expect(state.alarms).toMatchObject([{ code: 'duplicate_name', subject: 'pi' }])
})

test('a removed id stays out, whatever is said of it later', () => {
  const { genesis, forge } = networkOf()
  const made = [
    forge.write(alice, 'node', nodeBody(dave)),
    forge.write(alice, 'node-remove', { id: dave.id }),
    forge.write(alice, 'node', nodeBody(dave, { revision: 9 })),
  ]
  const { state } = settle(
    genesis,
    made.map(({ envelope }) => envelope),
  ).evaluation
  expect(state.nodes.has(dave.id)).toBe(false)
  expect([...state.removed]).toEqual([dave.id])
  expect(rightsOf(state, dave.id, START_MS)).toBeUndefined()
})

test('membership ends by the local clock or by the newest time an admin signed, whichever is later', () => {
  const { genesis, forge } = networkOf()
  const limited = forge.write(alice, 'node', nodeBody(dave, { role: 'viewer', expires: START_MS + 1000 }))
  const early = settle(genesis, [limited.envelope]).evaluation.state
  expect(rightsOf(early, dave.id, START_MS + 999)?.role).toBe('viewer')
  expect(rightsOf(early, dave.id, START_MS + 1000)).toBeUndefined()
  const later = forge.write(alice, 'node', nodeBody(erin, { name: 'e' }), { overrides: { time: START_MS + 5000 } })
  const late = settle(genesis, [limited.envelope, later.envelope]).evaluation.state
  expect(rightsOf(late, dave.id, START_MS)).toBeUndefined()
})

test('a node that is called admin without being in the admin set is a member', () => {
  const { genesis, forge } = networkOf()
  const { envelope } = forge.write(alice, 'node', nodeBody(dave, { role: 'admin' }))
  expect(rightsOf(settle(genesis, [envelope]).evaluation.state, dave.id, START_MS)?.role).toBe('member')
})

test('signing keys are trusted under their newest name, and a revoked one stays revoked', () => {
  const { genesis, forge } = networkOf()
  const signing = signerFromSeed(new Uint8Array(32).fill(9))
  const key = (name: string, revision: number) => ({ key: toBase64(signing.publicKey), name, revision })
  const made = [forge.write(alice, 'key', key('ci', 1)), forge.write(alice, 'key', key('ci-2', 2))]
  const { state } = settle(
    genesis,
    made.map(({ envelope }) => envelope),
  ).evaluation
  expect(state.keys.get(signing.keyId)).toMatchObject({ name: 'ci-2', publicKey: signing.publicKey })
  made.push(forge.write(alice, 'key-revoke', { key: signing.keyId }), forge.write(alice, 'key', key('ci-3', 3)))
  const after = settle(
    genesis,
    made.map(({ envelope }) => envelope),
  ).evaluation.state
  expect(after.keys.size).toBe(0)
  expect([...after.revokedKeys.keys()]).toEqual([signing.keyId])
})

test('statements of a newer release are kept, counted in the digest, and not applied', () => {
  const { genesis, forge } = networkOf()
  const unknown = forge.write(alice, 'checkpoint', { anything: [1, 2] })
  const odd = forge.write(alice, 'node', { ...nodeBody(dave), role: 'captain' })
  const normal = forge.write(alice, 'node', { ...nodeBody(erin), colour: 'green' })
  const before = settle(genesis, []).evaluation
  const { evaluation, rejected } = settle(genesis, [unknown.envelope, odd.envelope, normal.envelope])
  expect(rejected).toEqual([])
  expect(evaluation.state.alarms.map(({ code }) => code)).toEqual(['not_understood', 'not_understood'])
  expect([...evaluation.state.nodes.keys()]).toEqual([erin.id])
  expect(evaluation.heads).toEqual([{ author: alice.id, seq: 3, hash: normal.hash }])
  expect(evaluation.digest).not.toBe(before.digest)
})

test('an admin added under the set before counts from then on', () => {
  const { genesis, forge, envelopes } = networkOf(bob)
  const byBob = forge.write(bob, 'node', nodeBody(dave))
  const { state } = settle(genesis, [byBob.envelope, ...envelopes]).evaluation
  expect(state.adminVersion).toBe(2)
  expect(rightsOf(state, bob.id, START_MS)?.role).toBe('admin')
  expect(state.nodes.has(dave.id)).toBe(true)
})

test('an admin set that skips a version, changes a key, or is made by a stranger does not count', () => {
  const genesis = makeGenesis()
  const forge = createForge(genesis)
  const previous = genesis.networkId
  const imposter = { id: alice.id, authority: bob.authority }
  const bad = [
    adminsBody([alice, bob], { version: 3, previous }),
    adminsBody([imposter], { version: 2, previous }),
    adminsBody([bob], { version: 2, previous }),
    { ...adminsBody([alice, bob], { version: 2, previous }), root: toBase64(bob.authority.publicKey) },
    { ...adminsBody([alice, bob], { version: 2, previous }), threshold: 2 },
  ]
  const made = bad.map((body) => forge.write(alice, 'admins', body).envelope)
  const { state } = settle(genesis, made).evaluation
  expect(state.adminVersion).toBe(1)
  expect([...state.admins.keys()]).toEqual([alice.id])
})

test('two different next admin sets freeze the set until the root decides', () => {
  const { genesis, forge, added, envelopes } = networkOf(bob)
  const previous = added[0]!.hash
  const one = forge.write(alice, 'admins', adminsBody([alice, bob, carol], { version: 3, previous }))
  const two = forge.write(bob, 'admins', adminsBody([alice, bob, dave], { version: 3, previous }))
  const forked = settle(genesis, [...envelopes, one.envelope, two.envelope]).evaluation.state
  expect(forked.adminVersion).toBe(2)
  expect(forked.alarms).toMatchObject([{ code: 'admins_fork', subject: '3' }])
  const byRoot = forge.write(root, 'admins', adminsBody([alice, bob, carol], { version: 3, previous }))
  const settled = settle(genesis, [...envelopes, one.envelope, two.envelope, byRoot.envelope]).evaluation.state
  expect([...settled.admins.keys()]).toEqual([alice.id, bob.id, carol.id])
  expect(settled.alarms).toEqual([])
})

test('the root changes the admin set and nothing else', () => {
  const { genesis, forge } = networkOf()
  const made = [forge.write(root, 'node', nodeBody(dave)), forge.write(root, 'node-remove', { id: erin.id })]
  const { state } = settle(
    genesis,
    made.map(({ envelope }) => envelope),
  ).evaluation
  expect(state.nodes.size).toBe(0)
  expect(state.removed.size).toBe(0)
})

test('a removed admin keeps what it wrote up to the cut-off, and nothing beyond, however it is dated', () => {
  const { genesis, forge, envelopes } = networkOf(bob)
  const good = forge.write(bob, 'node', nodeBody(dave, { name: 'good' }))
  const removal = forge.write(alice, 'node-remove', { id: bob.id, last: { seq: good.seq, hash: good.hash } })
  const late = forge.write(bob, 'node', nodeBody(erin, { name: 'late' }), { overrides: { time: START_MS - 1e9 } })
  const forkBefore = forge.write(bob, 'node', nodeBody(carol), { after: { seq: 0, hash: genesis.networkId } })
  const made = [...envelopes, good.envelope, removal.envelope, late.envelope, forkBefore.envelope]
  const { state, frozen } = settle(genesis, made).evaluation
  expect([...state.nodes.keys()]).toEqual([dave.id])
  expect([...state.admins.keys()]).toEqual([alice.id])
  expect(rightsOf(state, bob.id, START_MS)).toBeUndefined()
  expect(frozen.size).toBe(0)
})

test('an admin that leaves the set by the next version is cut off where that version says', () => {
  const { genesis, forge, added, envelopes } = networkOf(bob)
  const named = forge.write(alice, 'node', nodeBody(bob, { name: 'bob', role: 'viewer' }))
  const good = forge.write(bob, 'node', nodeBody(dave, { name: 'good' }))
  const removed = [{ id: bob.id, seq: good.seq, hash: good.hash }]
  const without = forge.write(alice, 'admins', adminsBody([alice], { version: 3, previous: added[0]!.hash, removed }))
  const late = forge.write(bob, 'node', nodeBody(erin, { name: 'late' }))
  const made = [...envelopes, named.envelope, good.envelope, without.envelope, late.envelope]
  const { state } = settle(genesis, made).evaluation
  expect(rightsOf(state, bob.id, START_MS)?.role).toBe('viewer')
  expect(state.nodes.has(dave.id)).toBe(true)
  expect(state.nodes.has(erin.id)).toBe(false)
  const back = forge.write(alice, 'admins', adminsBody([alice, bob], { version: 4, previous: without.hash }))
  expect(settle(genesis, [...made, back.envelope]).evaluation.state.adminVersion).toBe(3)
})

test('two admins that remove each other are both out, and take no third with them', () => {
  const { genesis, forge, envelopes } = networkOf(bob, carol)
  const start = { seq: 0, hash: genesis.networkId }
  const made = [
    forge.write(alice, 'node-remove', { id: bob.id, last: start }),
    forge.write(bob, 'node-remove', { id: alice.id, last: forge.headOf(alice) }),
    forge.write(bob, 'node-remove', { id: carol.id, last: start }),
    forge.write(bob, 'node', nodeBody(dave)),
  ]
  const { state } = settle(genesis, [...envelopes, ...made.map(({ envelope }) => envelope)]).evaluation
  expect([...state.admins.keys()]).toEqual([carol.id])
  expect([...state.removed].sort()).toEqual([alice.id, bob.id].sort())
  expect(state.nodes.size).toBe(0)
})

test('admins that remove each other in a ring are all out', () => {
  const { genesis, forge, added, envelopes } = networkOf(bob, carol)
  const start = { seq: 0, hash: genesis.networkId }
  const made = [
    forge.write(alice, 'node-remove', { id: bob.id, last: start }),
    forge.write(bob, 'node-remove', { id: carol.id, last: start }),
    forge.write(carol, 'node-remove', { id: alice.id, last: { seq: 1, hash: added[0]!.hash } }),
  ]
  const { state } = settle(genesis, [...envelopes, ...made.map(({ envelope }) => envelope)]).evaluation
  expect(state.admins.size).toBe(0)
})

test('whom a thief made admin is out with the thief', () => {
  const { genesis, forge, added, envelopes } = networkOf(bob, carol)
  const previous = added[0]!.hash
  const thief = forge.write(bob, 'admins', adminsBody([alice, bob, carol, dave], { version: 3, previous }))
  const evil = [
    forge.write(dave, 'node', nodeBody(erin)),
    forge.write(dave, 'node-remove', { id: carol.id, last: { seq: 0, hash: genesis.networkId } }),
  ]
  const removal = forge.write(alice, 'node-remove', { id: bob.id, last: { seq: 0, hash: genesis.networkId } })
  const made = [...envelopes, thief.envelope, ...evil.map(({ envelope }) => envelope), removal.envelope]
  const { state } = settle(genesis, made).evaluation
  expect([...state.admins.keys()]).toEqual([alice.id, carol.id])
  expect(state.nodes.size).toBe(0)
})

test('a removal of an admin that names no last entry accepts nothing of its log', () => {
  const { genesis, forge, envelopes } = networkOf(bob)
  const made = [forge.write(bob, 'node', nodeBody(dave)), forge.write(alice, 'node-remove', { id: bob.id })]
  const { state } = settle(genesis, [...envelopes, ...made.map(({ envelope }) => envelope)]).evaluation
  expect(state.nodes.size).toBe(0)
})

test('two entries at one place freeze the log from there and raise an alarm', () => {
  const { genesis, forge } = networkOf()
  const first = forge.write(alice, 'node', nodeBody(bob, { name: 'b' }))
  const one = forge.write(alice, 'node', nodeBody(carol, { name: 'c' }))
  const onTop = forge.write(alice, 'node', nodeBody(erin, { name: 'e' }))
  const made = [first.envelope, one.envelope, onTop.envelope]
  expect(settle(genesis, made).evaluation.state.nodes.size).toBe(3)
  const two = forge.write(alice, 'node', nodeBody(dave, { name: 'd' }), { after: first })
  const { state, frozen, heads } = settle(genesis, [...made, two.envelope]).evaluation
  expect([...state.nodes.keys()]).toEqual([bob.id])
  expect([...frozen]).toEqual([alice.id])
  expect(heads).toEqual([{ author: alice.id, seq: 1, hash: first.hash }])
  expect(state.alarms).toMatchObject([{ code: 'log_fork', subject: alice.id }])
})

test('a fork brings no removed node back', () => {
  const { genesis, forge } = networkOf()
  const start = { seq: 0, hash: genesis.networkId }
  const made = [
    forge.write(alice, 'node', nodeBody(dave)),
    forge.write(alice, 'node-remove', { id: dave.id }),
    forge.write(alice, 'node', nodeBody(erin), { after: start }),
  ]
  const { state } = settle(
    genesis,
    made.map(({ envelope }) => envelope),
  ).evaluation
  expect([...state.removed]).toEqual([dave.id])
})

test('removing a forked admin up to an entry picks the branch of that entry', () => {
  const { genesis, forge, envelopes } = networkOf(bob)
  const start = { seq: 0, hash: genesis.networkId }
  const one = forge.write(bob, 'node', nodeBody(dave, { name: 'd' }), { after: start })
  const two = forge.write(bob, 'node', nodeBody(erin, { name: 'e' }), { after: start })
  const removal = forge.write(alice, 'node-remove', { id: bob.id, last: { seq: 1, hash: two.hash } })
  const { state } = settle(genesis, [...envelopes, one.envelope, two.envelope, removal.envelope]).evaluation
  expect([...state.nodes.keys()]).toEqual([erin.id])
  expect(state.alarms).toEqual([])
})

test('two admins that put each other out of the admin set are both out of it, and the digest shows it', () => {
  const { genesis, forge, added, envelopes } = networkOf(bob, carol)
  const previous = added[0]!.hash
  const withoutBob = [{ id: bob.id, seq: 0, hash: genesis.networkId }]
  const byAlice = forge.write(
    alice,
    'admins',
    adminsBody([alice, carol], { version: 3, previous, removed: withoutBob }),
  )
  const withoutAlice = [{ id: alice.id, seq: 1, hash: previous }]
  const byBob = forge.write(bob, 'admins', adminsBody([bob, carol], { version: 3, previous, removed: withoutAlice }))
  const one = settle(genesis, [...envelopes, byAlice.envelope]).evaluation
  const both = settle(genesis, [...envelopes, byAlice.envelope, byBob.envelope]).evaluation
  expect([...one.state.admins.keys()]).toEqual([alice.id, carol.id])
  expect([...both.state.admins.keys()]).toEqual([carol.id])
  expect(both.digest).not.toBe(one.digest)
})
