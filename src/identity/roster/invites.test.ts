import { expect, test } from 'vitest'
import { signerFromSeed } from '../ed25519.ts'
import { adminsBody, alice, bob, createForge, makeGenesis, nodeBody, START_MS, settle, writer } from './fixtures.ts'
import { toBase64 } from './genesis.ts'
import { rightsOf } from './state.ts'

const inviteKey = signerFromSeed(new Uint8Array(32).fill(7))
const invite = inviteKey.keyId
const genesis = makeGenesis()
const [one, two] = [writer('one'), writer('two')]

/** Two admins, and an invite by the first. */
function network(uses = 1) {
  const forge = createForge(genesis)
  const made = [
    forge.write(alice, 'admins', adminsBody([alice, bob], { version: 2, previous: genesis.networkId })),
    forge.write(alice, 'invite', {
      key: toBase64(inviteKey.publicKey),
      name: null,
      role: 'member',
      labels: {},
      expires: START_MS + 1000,
      uses,
    }),
  ]
  const stateOf = () =>
    settle(
      genesis,
      made.map(({ envelope }) => envelope),
    ).evaluation.state
  return { forge, made, stateOf }
}

test('nodes that joined by an invite within its uses have their rights', () => {
  const { forge, made, stateOf } = network(2)
  made.push(
    forge.write(alice, 'node', nodeBody(one, { invite })),
    forge.write(bob, 'node', nodeBody(two, { name: 'b', invite })),
  )
  expect(stateOf().invites.get(invite)).toMatchObject({ uses: 2, usedBy: [one.id, two.id].sort(), closed: false })
  expect(rightsOf(stateOf(), one.id, START_MS)?.role).toBe('member')
  expect(stateOf().alarms).toEqual([])
})

test('an invite that two admins let in one more by makes both wait, until an admin confirms one', () => {
  const { forge, made, stateOf } = network()
  made.push(
    forge.write(alice, 'node', nodeBody(one, { invite })),
    forge.write(bob, 'node', nodeBody(two, { name: 'b', invite })),
  )
  expect(rightsOf(stateOf(), one.id, START_MS)).toBeUndefined()
  expect(rightsOf(stateOf(), two.id, START_MS)).toBeUndefined()
  expect(stateOf().alarms).toMatchObject([{ code: 'invite_overused', subject: invite }])
  made.push(forge.write(alice, 'node', nodeBody(two, { name: 'b', revision: 2 })))
  expect(rightsOf(stateOf(), two.id, START_MS)?.role).toBe('member')
  expect(stateOf().nodes.get(one.id)?.waiting).toBe(true)
  made.push(forge.write(alice, 'node-remove', { id: one.id }))
  expect(stateOf().alarms).toEqual([])
})

test('a node that was removed has used its invite all the same', () => {
  const { forge, made, stateOf } = network()
  made.push(forge.write(alice, 'node', nodeBody(one, { invite })), forge.write(alice, 'node-remove', { id: one.id }))
  made.push(forge.write(bob, 'node', nodeBody(two, { name: 'b', invite })))
  expect(stateOf().invites.get(invite)?.usedBy).toHaveLength(2)
  expect(stateOf().nodes.get(two.id)?.waiting).toBe(true)
})

test('a node whose invite nobody counts knows waits, and the invite may come later or be closed', () => {
  const { forge, made, stateOf } = network()
  made.pop()
  const joined = forge.write(bob, 'node', nodeBody(one, { invite }))
  made.push(joined)
  expect(stateOf().nodes.get(one.id)?.waiting).toBe(true)
  expect(stateOf().alarms).toMatchObject([{ code: 'invite_overused' }])
  const full = network()
  full.made.push(joined, full.forge.write(bob, 'invite-close', { invite }, { after: joined }))
  expect(full.stateOf().nodes.get(one.id)?.waiting).toBe(false)
  expect(full.stateOf().invites.get(invite)?.closed).toBe(true)
})
