import { expect, test } from 'vitest'
import { signerFromSeed } from '../ed25519.ts'
import { type Envelope, sealEnvelope } from '../envelope.ts'
import { ROSTER_PAYLOAD_TYPE } from './constants.ts'
import {
  adminsBody,
  alice,
  bob,
  carol,
  createForge,
  makeGenesis,
  type Place,
  root,
  rootSigner,
  settle,
  type Writer,
} from './fixtures.ts'
import { toBase64 } from './genesis.ts'

const nextRoot = signerFromSeed(new Uint8Array(32).fill(5))
const genesis = makeGenesis()
const previous = genesis.networkId

/** An admin set by the root that names another root, signed by these. */
function newRootBy(forge: ReturnType<typeof createForge>, signers = [rootSigner, nextRoot], after?: Place) {
  const body = { ...adminsBody([alice, bob], { version: 2, previous }), root: toBase64(nextRoot.publicKey) }
  const made = forge.write(root, 'admins', body, after === undefined ? {} : { after })
  const { payload } = made.envelope
  return { ...made, envelope: sealEnvelope({ payloadType: ROSTER_PAYLOAD_TYPE, payload, signers }) }
}

const newOwner: Writer = { id: root.id, authority: nextRoot }
const stateOf = (envelopes: readonly Envelope[]) => settle(genesis, envelopes).evaluation.state

test('a new root key counts when the old and the new one have signed', () => {
  const { envelope } = newRootBy(createForge(genesis))
  const state = stateOf([envelope])
  expect(state.adminVersion).toBe(2)
  expect(state.root).toEqual(nextRoot.publicKey)
})

test('a new root key that one of the two has not signed does not count', () => {
  const forge = createForge(genesis)
  const byOld = settle(genesis, [newRootBy(forge, [rootSigner]).envelope])
  expect(byOld.evaluation.state).toMatchObject({ adminVersion: 1, root: rootSigner.publicKey })
  const byNew = settle(genesis, [newRootBy(forge, [nextRoot], { seq: 0, hash: previous }).envelope])
  expect(byNew.rejected).toMatchObject([{ reason: 'bad_signature' }])
})

test('an admin cannot name another root', () => {
  const forge = createForge(genesis)
  const body = { ...adminsBody([alice, bob], { version: 2, previous }), root: toBase64(nextRoot.publicKey) }
  expect(stateOf([forge.write(alice, 'admins', body).envelope]).adminVersion).toBe(1)
})

test('after the change only the new root key signs for the root, and admins name it', () => {
  const forge = createForge(genesis)
  const change = newRootBy(forge)
  const next = adminsBody([alice, bob, carol], { version: 3, previous: change.hash })
  const byOld = forge.write(root, 'admins', next)
  expect(settle(genesis, [change.envelope, byOld.envelope]).rejected).toMatchObject([{ reason: 'bad_signature' }])
  const renamed = { ...next, root: toBase64(nextRoot.publicKey) }
  const byNew = forge.write(newOwner, 'admins', renamed, { after: change })
  expect(stateOf([byNew.envelope, change.envelope]).adminVersion).toBe(3)
  const withOldRoot = forge.write(alice, 'admins', next)
  const withNewRoot = forge.write(alice, 'admins', renamed, { after: { seq: 0, hash: previous } })
  expect(stateOf([change.envelope, withOldRoot.envelope]).adminVersion).toBe(2)
  expect(stateOf([change.envelope, withNewRoot.envelope]).adminVersion).toBe(3)
})

test('of two proposals of the root on one version the earlier holds', () => {
  const forge = createForge(genesis)
  const one = forge.write(root, 'admins', adminsBody([alice, bob], { version: 2, previous }))
  const two = forge.write(root, 'admins', adminsBody([alice, carol], { version: 2, previous }))
  const state = stateOf([two.envelope, one.envelope])
  expect([...state.admins.keys()]).toEqual([alice.id, bob.id])
  expect(state.alarms).toEqual([])
})

test('a thief of the old phrase can freeze the root’s log at a fork before the change, and decide nothing', () => {
  const forge = createForge(genesis)
  const change = newRootBy(forge)
  const without = [{ id: alice.id, seq: 0, hash: previous }]
  const theft = forge.write(root, 'admins', adminsBody([carol], { version: 2, previous, removed: without }), {
    after: { seq: 0, hash: previous },
  })
  const state = stateOf([change.envelope, theft.envelope])
  expect([...state.admins.keys()]).toEqual([alice.id])
  expect(state.root).toEqual(rootSigner.publicKey)
  expect(state.alarms).toMatchObject([{ code: 'log_fork', subject: 'root' }])
})

test('a checkpoint after the change keeps the thief of the old phrase out for good', () => {
  const forge = createForge(genesis)
  const change = newRootBy(forge)
  const body = { id: 'a'.repeat(32), part: 1, parts: 1, frontier: [], live: [] }
  const checkpoint = forge.write(newOwner, 'checkpoint', body, { after: change })
  const theft = forge.write(root, 'admins', adminsBody([carol], { version: 2, previous }), {
    after: { seq: 0, hash: previous },
  })
  const state = stateOf([change.envelope, checkpoint.envelope, theft.envelope])
  expect([...state.admins.keys()]).toEqual([alice.id, bob.id])
  expect(state.alarms).toEqual([])
})

test('the root removes nobody by a statement that is an admin’s to make', () => {
  const forge = createForge(genesis)
  const removal = forge.write(root, 'node-remove', { id: alice.id })
  const state = stateOf([removal.envelope])
  expect([...state.admins.keys()]).toEqual([alice.id])
  expect(state.removed.size).toBe(0)
})
