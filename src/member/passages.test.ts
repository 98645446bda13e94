import { randomBytes } from 'node:crypto'
import { afterEach, expect, test } from 'vitest'
import {
  closeInvite,
  createJoinSecret,
  decodeJoinCode,
  inviteSignerOf,
  signJoin,
  signPassage,
} from '../identity/index.ts'
import type { AdmissionRequest } from '../net/index.ts'
import { encodeJoinQuestion, encodePassageQuestion } from './admission-messages.ts'
import { codeNodes } from './code-nodes.ts'
import { type Cleanups, followingHome, foundHome, strangerId } from './fixtures/home.ts'
import { createInvites } from './invites.ts'
import { createPassageRules } from './passages.ts'

const DAY_MS = 24 * 3_600_000
const cleanups: Cleanups = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

/** The rules of a relay that holds the roster of an admin which has made an invite. */
async function relayWithInvite() {
  const admin = await foundHome(cleanups)
  const invites = createInvites({ ...admin, nodes: () => codeNodes(admin) })
  const { code, id } = await invites.create({ role: 'member', labels: {}, ttl_ms: 3_600_000, uses: 1 })
  const relay = await followingHome(admin, cleanups)
  const { secret } = decodeJoinCode(code)
  return { admin, relay, id, secret, rules: createPassageRules(relay) }
}

const transcript = new Uint8Array(randomBytes(32))
const request = (message: Uint8Array): AdmissionRequest => ({
  peer: 'stranger',
  address: '/ip4/192.0.2.7/tcp/40000',
  message,
  transcript,
  signal: new AbortController().signal,
})
function asking(to: string, secret: Uint8Array, over: { transcript?: Uint8Array; signed?: string } = {}) {
  const signature = signPassage(secret, over.transcript ?? transcript, over.signed ?? to)
  return request(encodePassageQuestion({ to, invite: inviteSignerOf(secret).keyId, signature }))
}

test('who holds the secret of an invite is let through to an admin, also once it is closed, and hears why there', async () => {
  const { admin, relay, id, secret, rules } = await relayWithInvite()
  expect(rules.isOpen()).toBe(true)
  expect(rules.adminFor(asking(admin.nodeId, secret))).toBe(admin.nodeId)
  await closeInvite(admin.authority.author(), id)
  await relay.roster.merge(admin.roster.entriesAfter([]))
  expect(rules.adminFor(asking(admin.nodeId, secret))).toBe(admin.nodeId)
})

test('another secret, another connection, another admin and a member are refused', async () => {
  const { admin, relay, secret, rules } = await relayWithInvite()
  const other = await strangerId(cleanups)
  for (const hostile of [
    asking(admin.nodeId, createJoinSecret()),
    asking(admin.nodeId, secret, { transcript: randomBytes(32) }),
    asking(admin.nodeId, secret, { signed: other }),
    asking(other, secret),
    asking(relay.nodeId, secret),
  ]) {
    expect(() => rules.adminFor(hostile)).toThrow()
  }
})

test('a request to join is none for a passage, and its signature is none either', async () => {
  const { admin, secret, rules } = await relayWithInvite()
  const invite = inviteSignerOf(secret).keyId
  const signature = signJoin(secret, transcript)
  const join = encodeJoinQuestion({ invite, name: undefined, authority: randomBytes(32), signature })
  expect(() => rules.adminFor(request(join))).toThrow()
  expect(() => rules.adminFor(request(encodePassageQuestion({ to: admin.nodeId, invite, signature })))).toThrow()
  expect(() => rules.adminFor(request(randomBytes(64)))).toThrow()
})

test('a network without an invite that anybody would answer lets nobody through', async () => {
  const { admin, secret, rules } = await relayWithInvite()
  admin.clock.advance(DAY_MS + 3_600_000 - 1)
  expect(rules.isOpen()).toBe(true)
  admin.clock.advance(1)
  expect(rules.isOpen()).toBe(false)
  expect(() => rules.adminFor(asking(admin.nodeId, secret))).toThrow()
  const fresh = await foundHome(cleanups)
  expect(createPassageRules(fresh).isOpen()).toBe(false)
})
