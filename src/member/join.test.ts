import { randomBytes } from 'node:crypto'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { silentLogger } from '../base/log.ts'
import {
  type Author,
  addNode,
  admitAdmin,
  type BodyInput,
  changeNode,
  closeInvite,
  createInvite,
  createJoinSecret,
  createSigner,
  decodeJoinCode,
  encodeJoinCode,
  inviteSignerOf,
  loadSigner,
  peerIdOf,
  rawPrivateKey,
  removeNode,
  signerFromSeed,
  signJoin,
} from '../identity/index.ts'
import { requestAdmission } from '../net/index.ts'
import { encodeJoinQuestion } from './admission-messages.ts'
import { createFleet, rosterOnce, type TestHome, type TestNode } from './fixtures/fleet.ts'
import { joinNetwork } from './join.ts'
import { renewAdmission } from './protocol/ask-admission.ts'

const HOUR = 3_600_000
const fleet = createFleet()
afterEach(() => fleet.end())

async function founded() {
  const home = await fleet.found()
  return { home, alpha: await fleet.start(home) }
}

/** An invite in the roster, and the code for it. */
async function invite(
  author: Author,
  nodes: readonly TestNode[],
  fields: Partial<Pick<BodyInput<'invite'>, 'name' | 'role' | 'labels' | 'expires' | 'uses'>> = {},
) {
  const secret = createJoinSecret()
  const { publicKey, keyId } = inviteSignerOf(secret)
  const rest = { name: null, role: 'member' as const, labels: {}, expires: Date.now() + HOUR, uses: 1, ...fields }
  await createInvite(author, { publicKey, ...rest })
  const admins = nodes.map(({ id, address }) => ({ id, addresses: [address] }))
  return { id: keyId, secret, code: encodeJoinCode({ networkId: author.roster.networkId, secret, admins, relays: [] }) }
}

async function joinHome(code: string, options: Partial<Parameters<typeof joinNetwork>[0]> = {}, folder?: string) {
  const home = folder ?? (await fleet.makeFolder())
  return { folder: home, joining: joinNetwork({ code, ...fleet.foldersIn(home), log: silentLogger, ...options }) }
}
const keysIn = (folder: string) => readdir(join(folder, 'keys')).then((names) => names.sort())

test('a machine joins by a code, with the name and labels of the invite, and is a member on every node', async () => {
  const { home, alpha } = await founded()
  const beta = await fleet.start(await fleet.add(home, 'beta'))
  await beta.network.connect(alpha.address)
  const { code } = await invite(home.author, [alpha], { name: 'gamma', role: 'operator', labels: { site: 'home' } })
  const { folder, joining } = await joinHome(code, { name: 'ignored' })
  const joined = await joining
  expect(joined).toMatchObject({ networkId: home.roster.networkId, name: 'gamma', role: 'operator' })
  expect(joined.admins).toEqual([{ id: alpha.id, addresses: [alpha.address] }])
  expect(await keysIn(folder)).toEqual(['network.key', 'node.key', 'trusted'])
  const gamma = await fleet.start(await fleet.open(folder))
  expect(gamma.id).toBe(joined.nodeId)
  expect(gamma.standing.isCurrent()).toBe(false)
  await gamma.network.connect(alpha.address)
  await rosterOnce(gamma.roster, () => gamma.roster.state.nodes.has(beta.id))
  await rosterOnce(beta.roster, () => beta.roster.state.nodes.has(gamma.id))
  expect(await gamma.standing.whenCurrent(5000)).toBe(true)
  expect(beta.roster.state.nodes.get(gamma.id)).toMatchObject({
    name: 'gamma',
    labels: { site: 'home' },
    waiting: false,
  })
  expect(alpha.told).toContainEqual(expect.objectContaining({ what: 'join', outcome: 'allowed', by: gamma.id }))
})

test('names that are taken get a number, and a wish counts where the invite has none', async () => {
  const { home, alpha } = await founded()
  const { code } = await invite(home.author, [alpha], { uses: 3 })
  const names: string[] = []
  for (const name of ['alpha', 'alpha', undefined]) names.push((await (await joinHome(code, { name })).joining).name)
  expect(names).toEqual(['alpha-2', 'alpha-3', 'node'])
})

test('an invite of role admin makes an admin that can author changes', async () => {
  const { home, alpha } = await founded()
  const { code } = await invite(home.author, [alpha], { role: 'admin', name: 'beta' })
  const { folder, joining } = await joinHome(code)
  expect((await joining).role).toBe('admin')
  expect(await keysIn(folder)).toEqual(['authority.key', 'network.key', 'node.key', 'trusted'])
  const beta = await fleet.start(await fleet.open(folder))
  await beta.network.connect(alpha.address)
  await rosterOnce(beta.roster, () => beta.roster.state.admins.has(beta.id))
  await beta.sync.whenExchanged(alpha.id)
  await expect.poll(() => beta.roster.ownLogConfirmed(beta.id)).toBe(true)
  await invite(beta.home.author as Author, [beta])
  await rosterOnce(alpha.roster, () => alpha.roster.state.invites.size === 2)
})

test('a code that was used says so, and leaves the home as it was', async () => {
  const { home, alpha } = await founded()
  const { code, id } = await invite(home.author, [alpha])
  await (await joinHome(code)).joining
  const { folder, joining } = await joinHome(code)
  await expect(joining).rejects.toMatchObject({ code: 'invite_used' })
  expect(await readdir(folder)).toEqual([])
  expect(home.roster.state.invites.get(id)?.usedBy).toHaveLength(1)
  expect(alpha.told).toContainEqual(expect.objectContaining({ outcome: 'refused', reason: 'invite_used' }))
})

test('of several that come at once for the last use exactly one gets it', async () => {
  const { home, alpha } = await founded()
  const { code, id } = await invite(home.author, [alpha])
  const tries = await Promise.all(Array.from({ length: 4 }, () => joinHome(code)))
  const results = await Promise.allSettled(tries.map(({ joining }) => joining))
  expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
  for (const result of results) {
    if (result.status === 'rejected') expect(result.reason).toMatchObject({ code: 'invite_used' })
  }
  expect(home.roster.state.invites.get(id)?.usedBy).toHaveLength(1)
})

test('an expired and a closed code say so to who knows the secret', async () => {
  const { home, alpha } = await founded()
  const expired = await invite(home.author, [alpha], { expires: Date.now() - 1000 })
  await expect((await joinHome(expired.code)).joining).rejects.toMatchObject({ code: 'invite_expired' })
  const closed = await invite(home.author, [alpha])
  await closeInvite(home.author, closed.id)
  await expect((await joinHome(closed.code)).joining).rejects.toMatchObject({ code: 'invite_closed' })
})

test('an invite ends by the newest time that any admin has signed, whatever the clock of the one that is asked', async () => {
  const { home, alpha } = await founded()
  const soon = await invite(home.author, [alpha], { expires: Date.now() + HOUR })
  const latestTimeMs = home.roster.latestTimeMs.bind(home.roster)
  home.roster.latestTimeMs = () => latestTimeMs() + 2 * HOUR
  await expect((await joinHome(soon.code)).joining).rejects.toMatchObject({ code: 'invite_expired' })
})

test('who guesses a secret hears nothing, and what it has made is taken back', async () => {
  const { home, alpha } = await founded()
  const { code } = await invite(home.author, [alpha])
  const guessed = encodeJoinCode({ ...decodeJoinCode(code), secret: createJoinSecret() })
  const { folder, joining } = await joinHome(guessed)
  await expect(joining).rejects.toMatchObject({ code: 'invite_unknown' })
  expect(await readdir(folder)).toEqual([])
  expect(home.roster.state.nodes.size).toBe(1)
})

test('a code that names another network than the one that answers is refused', async () => {
  const { home, alpha } = await founded()
  const { code } = await invite(home.author, [alpha])
  const other = encodeJoinCode({ ...decodeJoinCode(code), networkId: randomBytes(32).toString('hex') })
  const { folder, joining } = await joinHome(other)
  await expect(joining).rejects.toMatchObject({ code: 'wrong_network' })
  expect(await readdir(folder)).toEqual([])
})

test('where the one that made the code is away, another admin admits', async () => {
  const { home, alpha } = await founded()
  const second = await fleet.add(home, 'beta')
  const authority = await createSigner(join(second.keysFolder, 'authority.key'))
  await admitAdmin(home.author, { id: second.id, authority: authority.publicKey })
  const beta = await fleet.start({ ...second, author: { roster: second.roster, authority, authorId: second.id } })
  const { code } = await invite(home.author, [alpha, beta])
  await beta.network.connect(alpha.address)
  await rosterOnce(beta.roster, () => beta.roster.state.invites.size === 1)
  await alpha.stop()
  const joined = await (await joinHome(code)).joining
  expect(joined.admins.map(({ id }) => id)).toEqual([beta.id, alpha.id])
  expect(beta.roster.state.nodes.get(joined.nodeId)?.author).toBe(beta.id)
})

test('an admin whose authority key is locked cannot admit, and nobody answering is said as such', async () => {
  const home = await fleet.found()
  const alpha = await fleet.start(home, { author: () => undefined })
  const { code } = await invite(home.author, [alpha])
  const { folder, joining } = await joinHome(code)
  await expect(joining).rejects.toMatchObject({ code: 'no_admin_reachable' })
  await alpha.stop()
  await expect((await joinHome(code, {}, folder)).joining).rejects.toMatchObject({ code: 'no_admin_reachable' })
  expect(await readdir(folder)).toEqual([])
})

test('a join that was ended while it asked goes on with the same identity', async () => {
  const { home, alpha } = await founded()
  const { code, id } = await invite(home.author, [alpha])
  const ending = new AbortController()
  const first = await joinHome(code, { signal: ending.signal, onStep: () => ending.abort(new Error('ended')) })
  await expect(first.joining).rejects.toThrow('ended')
  const node = await loadSigner(join(first.folder, 'keys', 'node.key'))
  const joined = await (await joinHome(code, {}, first.folder)).joining
  expect(joined.nodeId).toBe(peerIdOf(node.publicKey))
  expect(home.roster.state.invites.get(id)?.usedBy).toEqual([joined.nodeId])
})

test('two admins that each give the last use while apart: both nodes wait until an admin confirms one', async () => {
  const { home, alpha } = await founded()
  const second = await fleet.add(home, 'beta')
  const authority = await createSigner(join(second.keysFolder, 'authority.key'))
  await admitAdmin(home.author, { id: second.id, authority: authority.publicKey })
  const { code, id } = await invite(home.author, [alpha])
  await second.roster.merge(home.roster.entriesAfter([]))
  const beta = await fleet.start({ ...second, author: { roster: second.roster, authority, authorId: second.id } })
  const admins = [{ id: beta.id, addresses: [beta.address] }]
  const firstHome = await joinHome(code)
  const first = await firstHome.joining
  const other = await (await joinHome(encodeJoinCode({ ...decodeJoinCode(code), admins }))).joining
  await beta.network.connect(alpha.address)
  const isWaiting = (node: string): boolean | undefined => home.roster.state.nodes.get(node)?.waiting
  await rosterOnce(home.roster, () => isWaiting(other.nodeId) !== undefined)
  expect([first, other].map(({ nodeId }) => home.roster.rightsOf(nodeId))).toEqual([undefined, undefined])
  expect(home.roster.state.alarms).toContainEqual(expect.objectContaining({ code: 'invite_overused' }))
  expect(home.roster.state.invites.get(id)?.usedBy).toHaveLength(2)
  const keys = await rawPrivateKey(join(firstHome.folder, 'keys', 'node.key'))
  expect((await ask(alpha, code, keys)).answer).toEqual({ refused: 'invite_used' })
  await changeNode(home.author, first.nodeId, {})
  expect((await ask(alpha, code, keys)).answer).toMatchObject({ role: 'member' })
  expect([first, other].map(({ nodeId }) => isWaiting(nodeId))).toEqual([false, true])
})

test('where the admin cannot store the new node, nobody is told of it, and the code stays good', async () => {
  const { home, alpha } = await founded()
  const { code, id } = await invite(home.author, [alpha])
  const { append } = home.roster
  home.roster.append = () => Promise.reject(new Error('ENOSPC'))
  await expect((await joinHome(code)).joining).rejects.toMatchObject({ code: 'invite_unknown' })
  home.roster.append = append
  expect(home.roster.state.invites.get(id)?.usedBy).toEqual([])
  await (await joinHome(code)).joining
})

test('who asks again for a role of admin that was not stored does not get it once the invite was closed', async () => {
  const { home, alpha } = await founded()
  const { code, id } = await invite(home.author, [alpha], { role: 'admin' })
  const { append } = home.roster
  home.roster.append = (by, draft) =>
    draft.type === 'admins' ? Promise.reject(new Error('ENOSPC')) : append.call(home.roster, by, draft)
  const seed = randomBytes(32)
  await expect(ask(alpha, code, seed)).rejects.toMatchObject({ code: 'admission_refused' })
  home.roster.append = append
  await closeInvite(home.author, id)
  expect((await ask(alpha, code, seed)).answer).toMatchObject({ role: 'member' })
  expect(home.roster.state.admins.size).toBe(1)
})

/** Asks as a joiner does, without writing a home. */
async function ask(node: TestNode, code: string, privateKey: Uint8Array, signature?: Uint8Array) {
  const { secret } = decodeJoinCode(code)
  let signed: Uint8Array | undefined
  const { answer } = await requestAdmission({
    privateKey,
    addresses: [node.address],
    compose: ({ transcript }) => {
      signed = signature ?? signJoin(secret, transcript)
      const invite = inviteSignerOf(secret).keyId
      return encodeJoinQuestion({ invite, name: undefined, authority: randomBytes(32), signature: signed })
    },
    log: silentLogger,
  })
  return { answer: JSON.parse(Buffer.from(answer).toString('utf8')), signed: signed as Uint8Array }
}

test('who asks again because the answer was lost gets it again, and no second use', async () => {
  const { home, alpha } = await founded()
  const { code } = await invite(home.author, [alpha])
  const seed = randomBytes(32)
  const first = await ask(alpha, code, seed)
  const size = home.roster.size
  const second = await ask(alpha, code, seed)
  expect(second.answer).toEqual(first.answer)
  expect(home.roster.size).toBe(size)
})

test('a request that somebody has listened to is of no use on another connection', async () => {
  const { home, alpha } = await founded()
  const { code } = await invite(home.author, [alpha], { uses: 2 })
  const { signed } = await ask(alpha, code, randomBytes(32))
  await expect(ask(alpha, code, randomBytes(32), signed)).rejects.toMatchObject({ code: 'admission_refused' })
  expect(home.roster.state.nodes.size).toBe(2)
})

test('a node that was removed does not come back by a code', async () => {
  const { home, alpha } = await founded()
  const { code } = await invite(home.author, [alpha], { uses: 2 })
  const seed = randomBytes(32)
  await ask(alpha, code, seed)
  await removeNode(home.author, peerIdOf(signerFromSeed(seed).publicKey))
  expect((await ask(alpha, code, seed)).answer).toEqual({ refused: 'node_removed' })
})

test('a network without invites is closed to strangers', async () => {
  const { alpha } = await founded()
  const nodes = [{ id: alpha.id, addresses: [alpha.address] }]
  const renewal = { privateKey: randomBytes(32), networkId: alpha.roster.networkId, nodes, log: silentLogger }
  await expect(renewAdmission(renewal)).rejects.toMatchObject({ code: 'not_admitted' })
  await expect(renewAdmission({ ...renewal, nodes: [] })).rejects.toMatchObject({ code: 'no_admin_reachable' })
})

test('a deploy token gets genesis and network key, and nothing once it was removed', async () => {
  const { home, alpha } = await founded()
  const seed = randomBytes(32)
  const id = peerIdOf(signerFromSeed(seed).publicKey)
  await addNode(home.author, { id, name: 'ci', role: 'operator', kind: 'token' })
  const nodes = [{ id: alpha.id, addresses: [alpha.address] }]
  const renewal = { privateKey: seed, networkId: home.roster.networkId, nodes, log: silentLogger }
  const { networkKeys } = await renewAdmission(renewal)
  expect(networkKeys.map((key) => Buffer.from(key))).toEqual(alpha.keys.keys().map((key) => Buffer.from(key)))
  await expect(renewAdmission({ ...renewal, networkId: '0'.repeat(64) })).rejects.toMatchObject({
    code: 'wrong_network',
  })
  await removeNode(home.author, id)
  await expect(renewAdmission(renewal)).rejects.toMatchObject({ code: 'not_admitted' })
})

test('a home that is in use is left alone', async () => {
  const { home, alpha } = await founded()
  const { code } = await invite(home.author, [alpha])
  await expect((await joinHome(code, {}, home.folder)).joining).rejects.toMatchObject({ code: 'roster_exists' })
  const folder = await fleet.makeFolder()
  await createSigner(join(folder, 'keys', 'node.key'))
  await expect((await joinHome(code, {}, folder)).joining).rejects.toMatchObject({ code: 'key_exists' })
  expect((await rawPrivateKey(join(folder, 'keys', 'node.key'))).length).toBe(32)
  await expect((await joinHome('WRN-0000')).joining).rejects.toMatchObject({ code: 'join_code_invalid' })
  await expect((await joinHome(code, { name: 'No Name' })).joining).rejects.toMatchObject({ code: 'invalid_value' })
})

test('a member that is not sure to be up to date renews nobody', async () => {
  const { home, alpha } = await founded()
  const others: TestHome[] = []
  for (const name of ['beta', 'gamma', 'delta']) others.push(await fleet.add(home, name))
  const [first, second] = others as [TestHome, TestHome]
  await first.roster.merge(home.roster.entriesAfter([]))
  const beta = await fleet.start(first)
  const renewal = {
    privateKey: await rawPrivateKey(join(second.keysFolder, 'node.key')),
    networkId: home.roster.networkId,
    nodes: [{ id: beta.id, addresses: [beta.address] }],
    log: silentLogger,
  }
  await expect(renewAdmission(renewal)).rejects.toMatchObject({ code: 'no_admin_reachable' })
  await beta.network.connect(alpha.address)
  expect(await beta.standing.whenCurrent(5000)).toBe(true)
  expect((await renewAdmission(renewal)).networkKeys).toHaveLength(1)
})
