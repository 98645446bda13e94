import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { ManualClock } from '../base/clock.ts'
import {
  type Author,
  addNode,
  admitAdmin,
  announceNetworkKey,
  changeNode,
  closeInvite,
  createInvite,
  describePayload,
  dismissAdmin,
  draftCheckpoint,
  draftRecovery,
  removeNode,
  removePolicy,
  revokeKey,
  sealRoot,
  setPolicy,
  trustKey,
} from './changes.ts'
import { signerFromSeed } from './ed25519.ts'
import { alice, bob, carol, makeGenesis, rootSigner, START_MS, type Writer, writer } from './roster/fixtures.ts'
import { Roster } from './roster/roster.ts'

const dave = writer('dave')
const signing = signerFromSeed(new Uint8Array(32).fill(9))
const nextRoot = signerFromSeed(new Uint8Array(32).fill(5))

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'warren-changes-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

/** A network that alice founded; all admins of these tests write into one roster. */
async function founded(): Promise<{ roster: Roster; by: (who: Writer) => Author }> {
  const roster = await Roster.create({
    folder: join(folder, 'roster'),
    clock: new ManualClock(START_MS),
    genesis: makeGenesis(),
  })
  const by = (who: Writer): Author => ({ roster, authority: who.authority, authorId: who.id })
  await addNode(by(alice), { id: alice.id, name: 'alice', role: 'admin' })
  return { roster, by }
}

async function admit(by: (who: Writer) => Author, who: Writer, name: string, from = alice): Promise<void> {
  await addNode(by(from), { id: who.id, name, role: 'member' })
  await admitAdmin(by(from), { id: who.id, authority: who.authority.publicKey })
}

const expires = START_MS + 60_000

test('what is said of a node changes in part, and the rest stays', async () => {
  const { roster, by } = await founded()
  const grants = [{ role: 'operator' as const, apps: ['api'], services: null, expires }]
  await addNode(by(alice), { id: bob.id, name: 'ci', role: 'member', kind: 'token', labels: { site: 'a' }, expires })
  await changeNode(by(alice), bob.id, { grants })
  const node = { name: 'ci', kind: 'token', labels: { site: 'a' }, expires, grants, revision: 2, waiting: false }
  expect(roster.state.nodes.get(bob.id)).toMatchObject(node)
  await changeNode(by(alice), bob.id, { name: 'build', expires: null })
  expect(roster.state.nodes.get(bob.id)).toMatchObject({ ...node, name: 'build', expires: null, revision: 3 })
  await expect(changeNode(by(alice), carol.id, {})).rejects.toMatchObject({ code: 'node_unknown' })
})

test('a change by an admin confirms a node that waits', async () => {
  const { roster, by } = await founded()
  const key = signing.publicKey
  await createInvite(by(alice), { publicKey: key, name: null, role: 'member', labels: {}, expires, uses: 1 })
  const invite = signing.keyId
  await addNode(by(alice), { id: bob.id, name: 'b', role: 'member', invite })
  await addNode(by(alice), { id: carol.id, name: 'c', role: 'member', invite })
  expect(roster.roleOf(bob.id)).toBeUndefined()
  await changeNode(by(alice), bob.id, {})
  expect(roster.roleOf(bob.id)).toBe('member')
  await closeInvite(by(alice), invite)
  expect(roster.state.invites.get(invite)?.closed).toBe(true)
  await expect(closeInvite(by(alice), 'a'.repeat(64))).rejects.toMatchObject({
    code: 'invite_unknown',
    hint: 'List them: warren invites',
  })
})

test('who becomes an admin by an invite goes on to count as a use of it', async () => {
  const { roster, by } = await founded()
  const { publicKey, keyId } = signing
  await createInvite(by(alice), { publicKey, name: null, role: 'admin', labels: {}, expires, uses: 1 })
  await addNode(by(alice), { id: bob.id, name: 'bob', role: 'admin', invite: keyId })
  await admitAdmin(by(alice), { id: bob.id, authority: bob.authority.publicKey })
  expect(roster.roleOf(bob.id)).toBe('admin')
  expect(roster.state.nodes.get(bob.id)?.invite).toBe(keyId)
  expect(roster.state.invites.get(keyId)?.usedBy).toEqual([bob.id])
})

test('a removed node is out for good, and the last admin stays', async () => {
  const { roster, by } = await founded()
  await addNode(by(alice), { id: bob.id, name: 'b', role: 'member' })
  await removeNode(by(alice), bob.id)
  for (const change of [
    () => addNode(by(alice), { id: bob.id, name: 'b', role: 'member' }),
    () => removeNode(by(alice), bob.id),
  ]) {
    await expect(change()).rejects.toMatchObject({ code: 'node_removed' })
  }
  await expect(removeNode(by(alice), carol.id)).rejects.toMatchObject({ code: 'node_unknown' })
  await expect(removeNode(by(alice), alice.id)).rejects.toMatchObject({ code: 'last_admin' })
  await expect(dismissAdmin(by(alice), alice.id)).rejects.toMatchObject({ code: 'last_admin' })
  expect(roster.roleOf(alice.id)).toBe('admin')
})

test('an admin is admitted and dismissed, what it signed goes on to count, and it does not come back', async () => {
  const { roster, by } = await founded()
  await admit(by, bob, 'bob')
  expect(roster.state.nodes.get(bob.id)).toMatchObject({ role: 'admin', name: 'bob' })
  await addNode(by(bob), { id: dave.id, name: 'dave', role: 'viewer' })
  const again = { id: bob.id, authority: bob.authority.publicKey }
  await expect(admitAdmin(by(alice), again)).rejects.toMatchObject({ code: 'admin_exists' })
  await dismissAdmin(by(alice), bob.id, 'operator')
  expect(roster.roleOf(bob.id)).toBe('operator')
  expect(roster.roleOf(dave.id)).toBe('viewer')
  await expect(addNode(by(bob), { id: carol.id, name: 'c', role: 'member' })).rejects.toMatchObject({
    code: 'not_admin',
  })
  await expect(admitAdmin(by(alice), again)).rejects.toMatchObject({ code: 'admin_left' })
  await expect(dismissAdmin(by(alice), bob.id)).rejects.toMatchObject({ code: 'node_unknown' })
  // Removed later: what it signed as an admin still counts.
  await removeNode(by(alice), bob.id)
  expect(roster.roleOf(dave.id)).toBe('viewer')
  expect(roster.state.alarms).toEqual([])
})

test('an admin dismisses itself, and one that was removed is left out of the next set', async () => {
  const { roster, by } = await founded()
  await admit(by, bob, 'bob')
  await admit(by, carol, 'carol')
  await dismissAdmin(by(bob), bob.id, 'viewer')
  expect(roster.roleOf(bob.id)).toBe('viewer')
  await removeNode(by(alice), carol.id)
  await admit(by, dave, 'dave')
  expect([...roster.state.admins.keys()].sort()).toEqual([alice.id, dave.id].sort())
  expect([...roster.adminSet.admins.keys()].sort()).toEqual([alice.id, dave.id].sort())
  expect(roster.roleOf(bob.id)).toBe('viewer')
  expect(roster.state.alarms).toEqual([])
})

test('signing keys, the network key and policies are said anew at the next revision', async () => {
  const { roster, by } = await founded()
  await trustKey(by(alice), { publicKey: signing.publicKey, name: 'ci', expires })
  await trustKey(by(alice), { publicKey: signing.publicKey, name: 'ci' })
  expect(roster.state.keys.get(signing.keyId)).toMatchObject({ expires: null, revision: 2 })
  await revokeKey(by(alice), { keyId: signing.keyId, keep: ['a'.repeat(64)] })
  expect(roster.state.revokedKeys.get(signing.keyId)).toEqual({ name: 'ci', keep: new Set(['a'.repeat(64)]) })
  await announceNetworkKey(by(alice), 'b'.repeat(64))
  await announceNetworkKey(by(alice), 'c'.repeat(64))
  expect(roster.state.networkKey).toMatchObject({ check: 'c'.repeat(64), revision: 2 })
  const policy = { name: 'p', packages: ['api*'], labels: '', keys: [], threshold: 1, minVersion: '1.2.0' }
  await setPolicy(by(alice), policy)
  expect(roster.state.policies.get('p')).toMatchObject(policy)
  await removePolicy(by(alice), 'p')
  await expect(removePolicy(by(alice), 'p')).rejects.toMatchObject({ code: 'policy_unknown' })
  await setPolicy(by(alice), policy)
  expect(roster.state.policies.get('p')?.revision).toBe(3)
})

/** Bob's key is stolen: all other admins are removed, a node and an admin of the thief's are added, a key is trusted. */
async function stolen() {
  const { roster, by } = await founded()
  await admit(by, bob, 'bob')
  await admit(by, carol, 'carol')
  await addNode(by(bob), { id: writer('pi').id, name: 'pi', role: 'member' })
  const before = roster.state
  const honest = roster.placeOf(bob.id)?.seq as number
  await removeNode(by(bob), alice.id)
  await removeNode(by(bob), carol.id)
  await admit(by, dave, 'dave', bob)
  await addNode(by(dave), { id: writer('evil').id, name: 'evil', role: 'operator' })
  await trustKey(by(dave), { publicKey: signing.publicKey, name: 'evil' })
  expect([...roster.state.admins.keys()].sort()).toEqual([bob.id, dave.id].sort())
  return { roster, by, before, honest }
}

test('a recovery undoes what a stolen admin key did, and the honest ones are back', async () => {
  const { roster, by, before, honest } = await stolen()
  const admin = { id: alice.id, authority: alice.authority.publicKey }
  const payloads = draftRecovery(roster, {
    admin,
    remove: [{ id: bob.id, keepUntil: honest }, { id: dave.id }],
    newRoot: nextRoot.publicKey,
  })
  expect(payloads.map(describePayload)).toEqual([
    expect.stringMatching(
      new RegExp(`admins number 4: .*${alice.id}; no longer: ${bob.id}, .* up to ${honest} .*; root key`),
    ),
  ])
  await expect(roster.submitRoot(sealRoot(payloads, [nextRoot]))).rejects.toMatchObject({ code: 'statement_invalid' })
  await roster.submitRoot(sealRoot(payloads, [rootSigner, nextRoot]))
  expect([...roster.state.admins.keys()].sort()).toEqual([alice.id, carol.id].sort())
  expect([...roster.state.nodes.keys()]).toEqual([...before.nodes.keys()])
  expect(roster.state.nodes.get(bob.id)?.role).toBe('member')
  expect(roster.state.keys.size).toBe(0)
  expect(roster.state.removed.size).toBe(0)
  expect(roster.state.root).toEqual(nextRoot.publicKey)
  for (const id of [bob.id, dave.id, writer('evil').id]) await removeNode(by(alice), id)
  expect([...roster.state.removed].sort()).toEqual([bob.id, dave.id, writer('evil').id].sort())
  expect(roster.roleOf(writer('pi').id)).toBe('member')
  expect(roster.state.alarms).toEqual([])
  const size = roster.size
  const checkpoint = draftCheckpoint(roster)
  expect(checkpoint.map(describePayload)).toEqual([expect.stringContaining('part 1 of 1 of a checkpoint')])
  await roster.submitRoot(sealRoot(checkpoint, [nextRoot]))
  expect(roster.size).toBeLessThan(size)
  expect([...roster.state.admins.keys()].sort()).toEqual([alice.id, carol.id].sort())
})

test('a recovery after a checkpoint undoes what the thief wrote before it', async () => {
  const { roster, by, before, honest } = await stolen()
  await roster.submitRoot(sealRoot(draftCheckpoint(roster), [rootSigner]))
  const fresh = writer('fresh')
  const payloads = draftRecovery(roster, {
    admin: { id: fresh.id, authority: fresh.authority.publicKey },
    remove: [{ id: bob.id, keepUntil: honest }],
  })
  await roster.submitRoot(sealRoot(payloads, [rootSigner]))
  expect([...roster.state.admins.keys()].sort()).toEqual([alice.id, carol.id, fresh.id].sort())
  expect([...roster.state.nodes.keys()]).toEqual([...before.nodes.keys()])
  expect(roster.state.keys.size).toBe(0)
  await addNode(by(fresh), { id: fresh.id, name: 'fresh', role: 'admin' })
  expect(roster.roleOf(fresh.id)).toBe('admin')
  expect((await Roster.open({ folder: join(folder, 'roster') })).digest()).toBe(roster.digest())
})

test('a recovery that cannot be is refused', async () => {
  const { roster, by } = await founded()
  await admit(by, bob, 'bob')
  await dismissAdmin(by(alice), bob.id)
  const of = ({ id, authority }: Writer) => ({ id, authority: authority.publicKey })
  const drafts = [
    [{ admin: of(bob), remove: [] }, 'admin_left'],
    [{ admin: of(alice), remove: [{ id: alice.id }] }, 'statement_invalid'],
    [{ admin: of({ ...alice, authority: bob.authority }), remove: [] }, 'statement_invalid'],
    [{ admin: of(carol), remove: [{ id: dave.id }] }, 'node_unknown'],
    [{ admin: of(carol), remove: [{ id: alice.id, keepUntil: 99 }] }, 'statement_invalid'],
  ] as const
  for (const [details, code] of drafts) {
    expect(() => draftRecovery(roster, details)).toThrow(expect.objectContaining({ code }))
  }
  expect(() => describePayload(Buffer.from('{}'))).toThrow(expect.objectContaining({ code: 'statement_invalid' }))
})

test('of the root’s statements all are taken or none, and only the next ones', async () => {
  const { roster } = await founded()
  const admin = { id: carol.id, authority: carol.authority.publicKey }
  const payloads = draftRecovery(roster, { admin, remove: [] })
  const [sealed] = sealRoot(payloads, [rootSigner])
  const [byOther] = sealRoot(draftCheckpoint(roster), [signing])
  const before = roster.digest()
  for (const envelopes of [[byOther!], [sealed!, sealed!], [{ ...sealed!, payload: Buffer.from('{}') }]]) {
    await expect(roster.submitRoot(envelopes)).rejects.toMatchObject({ code: 'statement_invalid' })
  }
  expect(roster.digest()).toBe(before)
  await roster.submitRoot([sealed!])
  await expect(roster.submitRoot([sealed!])).rejects.toMatchObject({ code: 'statement_invalid' })
  expect([...roster.state.admins.keys()].sort()).toEqual([alice.id, carol.id].sort())
})

test('a removed admin that took the highest revision of everything did not have the last word', async () => {
  const { roster, by } = await founded()
  await admit(by, bob, 'bob')
  const revision = Number.MAX_SAFE_INTEGER
  const key = Buffer.from(signing.publicKey).toString('base64')
  const rest = { packages: ['*'], labels: '', keys: ['f'.repeat(64)], threshold: 1, min_version: null }
  const write = (draft: Parameters<Roster['append']>[1]) =>
    roster.append({ signer: bob.authority, authorId: bob.id }, draft)
  for (const time of [1, 2]) {
    const node = { id: carol.id, name: `taken-${time}`, role: 'operator' as const, labels: {}, expires: null, revision }
    await write({ type: 'node', body: node })
    await write({ type: 'key', body: { key, name: `taken-${time}`, revision } })
    await write({ type: 'policy', body: { name: 'all', ...rest, revision } })
    await write({ type: 'network-key', body: { check: String(time).repeat(64), revision } })
  }
  await removeNode(by(alice), bob.id)
  for (const name of ['one', 'two', 'three']) {
    await changeNode(by(alice), carol.id, { name, role: 'member' })
    expect(roster.state.nodes.get(carol.id)).toMatchObject({ name, role: 'member', revision })
    await trustKey(by(alice), { publicKey: signing.publicKey, name })
    expect(roster.state.keys.get(signing.keyId)?.name).toBe(name)
    await removePolicy(by(alice), 'all')
    expect(roster.state.policies.size).toBe(0)
    await setPolicy(by(alice), { name: 'all', ...rest, minVersion: null, keys: [] })
    expect(roster.state.policies.get('all')?.keys).toEqual([])
    const check = name.length.toString(16).repeat(64)
    await announceNetworkKey(by(alice), check)
    expect(roster.state.networkKey).toMatchObject({ check, author: alice.id })
  }
  const before = roster.state
  await roster.submitRoot(sealRoot(draftCheckpoint(roster), [rootSigner]))
  expect(roster.state.networkKey).toEqual(before.networkKey)
  await changeNode(by(alice), carol.id, { name: 'four' })
  expect(roster.state.nodes.get(carol.id)?.name).toBe('four')
})
