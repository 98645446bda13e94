import { expect, test } from 'vitest'
import { type Envelope, sealEnvelope } from '../envelope.ts'
import type { BodyInput } from './bodies.ts'
import {
  MAX_ROSTER_BYTES,
  MAX_STATEMENT_BYTES,
  MAX_TIME_MS,
  MAX_VOID_STATEMENTS,
  ROSTER_PAYLOAD_TYPE,
} from './constants.ts'
import {
  adminsBody,
  alice,
  bob,
  carol,
  createForge,
  makeGenesis,
  nodeBody,
  root,
  rootSigner,
  START_MS,
  settle,
  type Writer,
  writer,
} from './fixtures.ts'
import { toBase64 } from './genesis.ts'

const genesis = makeGenesis()
const previous = genesis.networkId
const pi = writer('pi')
const tower = writer('tower')
const thief = writer('thief')

/** Alice began the network, let bob in, and was removed by bob, who goes on. What she signs later is beyond her cut-off. */
function withAliceRemoved() {
  const forge = createForge(genesis)
  const second = forge.write(alice, 'admins', adminsBody([alice, bob], { version: 2, previous }))
  const one = forge.write(bob, 'node', nodeBody(pi))
  const removal = forge.write(bob, 'node-remove', { id: alice.id, last: { seq: second.seq, hash: second.hash } })
  const all = [second, one, removal].map(({ envelope }) => envelope)
  return { forge, all, before: settle(genesis, all).evaluation }
}

const falseBob: Writer = { id: bob.id, authority: thief.authority }

test('a removed admin cannot name another authority key for one that came after it, and so fork its log', () => {
  const { forge, all, before } = withAliceRemoved()
  const named = forge.write(alice, 'admins', adminsBody([alice, falseBob], { version: 2, previous }))
  const first = forge.write(falseBob, 'node', nodeBody(tower), { after: { seq: 0, hash: previous } })
  const second = forge.write(falseBob, 'node', nodeBody(tower, { revision: 2 }), { after: first })
  const { evaluation } = settle(genesis, [...all, ...[named, first, second].map(({ envelope }) => envelope)])
  expect(evaluation.state).toEqual(before.state)
  expect(evaluation.heads).toEqual(before.heads)
  expect(evaluation.digest).toBe(before.digest)
})

test('nobody can pass on a statement as signed by another key, and so keep the true one out', () => {
  const { forge, all } = withAliceRemoved()
  const named = forge.write(alice, 'admins', adminsBody([alice, falseBob], { version: 2, previous }))
  const next = createForge(genesis).write(bob, 'key-revoke', { key: 'a'.repeat(64) }, { after: placeOf(all[2]) })
  const { payload } = next.envelope
  const copy = sealEnvelope({ payloadType: ROSTER_PAYLOAD_TYPE, payload, signers: [thief.authority] })
  const { evaluation, rejected } = settle(genesis, [...all, named.envelope, copy, next.envelope])
  expect([...evaluation.state.revokedKeys.keys()]).toEqual(['a'.repeat(64)])
  expect(rejected).toMatchObject([{ reason: 'bad_signature' }])
})

test('the statements of keys that only a removed admin names have the room of one admin together', () => {
  const { forge, all, before } = withAliceRemoved()
  const strangers = Array.from({ length: 30 }, (_none, at) => writer(`stranger ${at}`))
  const flood = [forge.write(alice, 'admins', adminsBody([alice, ...strangers], { version: 2, previous })).envelope]
  for (let at = 0; at < 50; at++) for (const by of strangers) flood.push(forge.write(by, 'later', {}).envelope)
  const { evaluation, rejected, statements } = settle(genesis, [...all, ...flood], [3, 1, 700])
  // The set itself is more than a KiB of what counts for nothing, of alice's.
  expect(statements.size).toBe(all.length + 1 + MAX_VOID_STATEMENTS)
  expect(new Set(rejected.map(({ reason }) => reason))).toEqual(new Set(['author_void']))
  expect(evaluation.state).toEqual(before.state)
})

test('what counts for nothing takes less room the longer it is, so that who was removed cannot fill the roster', () => {
  const { forge, all } = withAliceRemoved()
  const rest = 'x'.repeat(MAX_STATEMENT_BYTES - 1000)
  const flood = Array.from({ length: 100 }, () => forge.write(alice, 'later', { rest }).envelope)
  const { statements } = settle(genesis, [...all, ...flood], [3])
  expect(statements.bytes).toBeLessThan(MAX_VOID_STATEMENTS * 1024 + 2 * MAX_STATEMENT_BYTES)
})

test('a member that leaves the signature of a new root key away keeps nobody on the old one', () => {
  const forge = createForge(genesis)
  const newRoot = writer('next root').authority
  const body = { ...adminsBody([alice], { version: 2, previous }), root: toBase64(newRoot.publicKey) }
  const { envelope: stripped, ...place } = forge.write(root, 'admins', body)
  const { payload } = stripped
  const whole = sealEnvelope({ payloadType: ROSTER_PAYLOAD_TYPE, payload, signers: [rootSigner, newRoot] })
  const then = { ...body, version: 3, previous: place.hash }
  const next = forge.write(root, 'admins', then, { after: place, signer: newRoot })
  const expected = settle(genesis, [whole, next.envelope])
  const other = settle(genesis, [stripped, whole, next.envelope], [1, 1, 1])
  expect(expected.rejected).toEqual([])
  expect(other.evaluation.digest).toBe(expected.evaluation.digest)
  expect(other.evaluation.state.root).toEqual(newRoot.publicKey)
  expect(other.rejected).toMatchObject([{ reason: 'bad_signature' }])
})

test('signatures that nobody asked for are not kept', () => {
  const { envelope } = createForge(genesis).write(alice, 'node', nodeBody(pi))
  const { payload } = envelope
  const signers = [...['x', 'y', 'z'].map((name) => writer(name).authority), alice.authority]
  const padded = sealEnvelope({ payloadType: ROSTER_PAYLOAD_TYPE, payload, signers })
  expect([...settle(genesis, [padded]).statements.all()].map((statement) => statement.envelope)).toEqual([envelope])
})

test('what an admin signed for a time to come makes nothing end early once it was removed', () => {
  const forge = createForge(genesis)
  const second = forge.write(alice, 'admins', adminsBody([alice, bob], { version: 2, previous }))
  const late = forge.write(bob, 'node', nodeBody(pi), { overrides: { time: START_MS + 1e12 } })
  const told = [second.envelope, late.envelope]
  expect(settle(genesis, told).evaluation.state.newestTimeMs).toBe(START_MS + 1e12)
  const removal = forge.write(alice, 'node-remove', { id: bob.id, last: { seq: late.seq, hash: late.hash } })
  const { state } = settle(genesis, [...told, removal.envelope]).evaluation
  expect(state.newestTimeMs).toBe(START_MS + 1)
  expect(state.nodes.has(pi.id)).toBe(true)
})

test('a time that no date can show is refused, or not applied', () => {
  const forge = createForge(genesis)
  const late = forge.write(alice, 'node', nodeBody(pi), { overrides: { time: MAX_TIME_MS + 1 } })
  expect(settle(genesis, [late.envelope]).rejected).toMatchObject([{ reason: 'malformed' }])
  const ends = createForge(genesis).write(alice, 'node', nodeBody(pi, { expires: MAX_TIME_MS + 1 }))
  const { state } = settle(genesis, [ends.envelope]).evaluation
  expect(state.nodes.size).toBe(0)
  expect(state.alarms).toMatchObject([{ code: 'not_understood' }])
})

test('the invites of an admin that was removed are closed: it may know their secrets', () => {
  const forge = createForge(genesis)
  const second = forge.write(alice, 'admins', adminsBody([alice, bob], { version: 2, previous }))
  const body: BodyInput<'invite'> = {
    key: toBase64(thief.authority.publicKey),
    name: null,
    role: 'admin',
    labels: {},
    expires: START_MS + 1e9,
    uses: 1000,
  }
  const invite = forge.write(bob, 'invite', body)
  const removal = forge.write(alice, 'node-remove', { id: bob.id, last: { seq: invite.seq, hash: invite.hash } })
  const told = [second, invite].map(({ envelope }) => envelope)
  const closed = (envelopes: readonly Envelope[]) =>
    settle(genesis, envelopes).evaluation.state.invites.get(thief.authority.keyId)?.closed
  expect(closed(told)).toBe(false)
  expect(closed([...told, removal.envelope])).toBe(true)
})

/** Far beyond what it takes, and far below what it took when each step looked at all before it: minutes. */
const timeout = 60_000

test('thousands of nodes of one name, each with a name of its own', { timeout }, () => {
  const forge = createForge(genesis)
  const nodes = Array.from({ length: 6000 }, (_none, at) => nodeBody(writer(`node ${at}`), { name: 'pi' }))
  const { evaluation } = settle(
    genesis,
    nodes.map((body) => forge.write(alice, 'node', body).envelope),
  )
  const names = new Set([...evaluation.state.nodes.values()].map(({ name }) => name))
  expect(names).toEqual(new Set(['pi', ...Array.from({ length: 5999 }, (_none, at) => `pi-${at + 2}`)]))
})

test('a thousand versions of the admin set, each with other admins', { timeout }, () => {
  const forge = createForge(genesis)
  const all: Envelope[] = []
  let before = { hash: previous, admins: [] as Writer[] }
  for (let version = 2; version <= 1000; version++) {
    const admins = Array.from({ length: 20 }, (_none, at) => writer(`${version} ${at}`))
    const removed = before.admins.map(({ id }) => ({ id, seq: 0, hash: previous }))
    const body = adminsBody([alice, ...admins], { version, previous: before.hash, removed })
    const made = forge.write(alice, 'admins', body)
    all.push(made.envelope)
    before = { hash: made.hash, admins }
  }
  const { evaluation } = settle(genesis, all)
  expect(evaluation.state.adminVersion).toBe(1000)
  expect(evaluation.current.left.has(writer('2 0').id)).toBe(true)
  expect(evaluation.current.parent?.left.has(writer('999 0').id)).toBe(false)
})

test('thousands of removals of one admin, each with another cut-off', { timeout }, () => {
  const forge = createForge(genesis)
  const all = [forge.write(alice, 'admins', adminsBody([alice, bob], { version: 2, previous })).envelope]
  const log = Array.from({ length: 4000 }, (_none, at) =>
    forge.write(bob, 'node', nodeBody(carol, { revision: at + 1 })),
  )
  const removals = log
    .toReversed()
    .map(({ seq, hash }) => forge.write(alice, 'node-remove', { id: bob.id, last: { seq, hash } }))
  const { evaluation } = settle(genesis, [...all, ...[...log, ...removals].map(({ envelope }) => envelope)])
  expect(evaluation.state.nodes.get(carol.id)?.revision).toBe(1)
})

test('an admin that fills the roster with long statements stops before it fills the memory', { timeout }, () => {
  const forge = createForge(genesis)
  const rest = 'x'.repeat(MAX_STATEMENT_BYTES - 1000)
  const count = Math.ceil(MAX_ROSTER_BYTES / rest.length) + 10
  const all = Array.from({ length: count }, () => forge.write(alice, 'later', { rest }).envelope)
  const { statements, rejected, evaluation } = settle(genesis, all)
  expect(statements.bytes).toBeLessThan(MAX_ROSTER_BYTES + MAX_STATEMENT_BYTES)
  expect(rejected[0]).toMatchObject({ reason: 'roster_full' })
  expect(evaluation.state.alarms.at(-1)).toMatchObject({ code: 'roster_large' })
  const recovery = forge.write(root, 'admins', adminsBody([alice], { version: 2, previous }))
  expect(settle(genesis, [...all, recovery.envelope]).evaluation.state.adminVersion).toBe(2)
})

function placeOf(envelope: Envelope | undefined) {
  const [statement] = [...settle(genesis, withAliceRemoved().all).statements.all()].filter(
    (each) => envelope !== undefined && Buffer.compare(each.envelope.payload, envelope.payload) === 0,
  )
  if (statement === undefined) throw new Error('not held')
  return { seq: statement.seq, hash: statement.hash }
}
