/** Whoever was removed: refused everywhere, whatever it still holds; and what it was being served ends at once. */
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import {
  type Author,
  addNode,
  admitAdmin,
  type Envelope,
  type FoundedNetwork,
  peerIdOf,
  Roster,
  removeNode,
  sealEnvelope,
  signerFromSeed,
} from '../../src/identity/index.ts'
import type { Stream } from '../../src/net/index.ts'
import type { Daemon } from './daemon.ts'
import { createFleet, type Fleet, type Identity, newIdentity, until } from './fleet.ts'
import { createHostilePeer, type HostilePeer } from './hostile-peer.ts'
import { stateOf } from './state-of.ts'

const API_PROTOCOL = '/warren/api/1'
const TRANSFER_PROTOCOL = '/warren/transfer/1'
/** A removal holds everywhere at once, as bench/revoke.ts measures; a busy machine may take longer. */
const REMOVED_WITHIN_MS = 30_000
const REFUSED = /^(peer_refused|network_key_mismatch)$/

const ATTACKERS = {
  gone: { role: 'operator' },
  exadmin: { role: 'member' },
  carrier: { role: 'member' },
  leaving: { role: 'viewer' },
} as const
type Name = keyof typeof ATTACKERS

let fleet: Fleet<Name>
let admin: Daemon
/** The roster in which the former admin goes on to sign. */
let former: Author
let formerFolder: string
const friend = newIdentity('friend')

beforeAll(async () => {
  fleet = await createFleet({ nodes: 2, attackers: ATTACKERS, prepare })
  admin = fleet.daemons[0] as Daemon
  await fleet.deploy('one')
})
afterAll(async () => {
  await fleet?.cleanup()
  if (formerFolder !== undefined) await rm(formerFolder, { recursive: true, force: true })
})

/** Lets an admin in, keeps a copy of the roster as it is then, and removes that admin and an operator. */
async function prepare(founded: FoundedNetwork, attackers: Readonly<Record<Name, Identity>>): Promise<void> {
  const authority = signerFromSeed(randomBytes(32))
  await admitAdmin(founded, { id: attackers.exadmin.id, authority: authority.publicKey })
  formerFolder = await mkdtemp(join(tmpdir(), 'warren-former-'))
  const folder = join(formerFolder, 'roster')
  const roster = await Roster.create({ folder, genesis: founded.roster.genesis })
  await roster.merge(founded.roster.entriesAfter([]))
  former = { roster, authority, authorId: attackers.exadmin.id }
  await removeNode(founded, attackers.gone.id)
  await removeNode(founded, attackers.exadmin.id)
}

const namesOf = async (daemon: Daemon): Promise<unknown> => (await stateOf(daemon)).nodes

for (const name of ['gone', 'exadmin'] as const) {
  test(`${name}, removed, is refused by every daemon though it holds the key`, async () => {
    const peer = await createHostilePeer(fleet, fleet.attackers[name])
    try {
      for (const daemon of fleet.daemons) {
        await expect(peer.join(daemon)).rejects.toMatchObject({ code: expect.stringMatching(REFUSED) })
        const address = peer.network.addresses()[0] as string
        const { out } = await fleet.warren.run('--home', daemon.home, 'connect', address, '--json')
        expect(JSON.parse(out)).toMatchObject({ error: { code: 'peer_not_allowed' } })
      }
      expect(peer.network.connections()).toEqual([])
    } finally {
      await peer.stop()
    }
  })
}

test('statements of a removed admin that a member passes on change nothing', async () => {
  const before = await Promise.all(fleet.daemons.map(namesOf))
  await addNode(former, { id: friend.id, name: 'friend', role: 'operator' })
  await addNode(former, { id: fleet.attackers.carrier.id, name: 'carrier', role: 'operator' })
  await removeNode(former, fleet.daemons[1]?.id as string)
  await withCarrier(async (carrier) => {
    for (const daemon of fleet.daemons) await carrier.tell(daemon, former.roster.entriesAfter([]))
  })
  await requireUnchanged(before)
})

test('statements that are forged, replayed, torn or of nobody change nothing', async () => {
  const before = await Promise.all(fleet.daemons.map(namesOf))
  const all = fleet.founded.roster.entriesAfter([])
  const body = { id: friend.id, name: 'friend', role: 'operator', labels: {}, expires: null, revision: 9 }
  const last = all.at(-1) as Envelope
  const header = JSON.parse(Buffer.from(last.payload).toString()) as { seq: number }
  const own = signerFromSeed(fleet.attackers.carrier.seed)
  const payloadAs = (author: string, more: object): Buffer =>
    Buffer.from(JSON.stringify({ ...header, author, seq: header.seq + 1, type: 'node', body, ...more }))
  const seal = (payload: Uint8Array): Envelope =>
    sealEnvelope({ payloadType: last.payloadType, payload, signers: [own] })
  const asRoot = { type: 'admins', body: { version: 3, previous: fleet.networkId, threshold: 1, removed: [] } }
  const forged: Envelope[][] = [
    all,
    [...all].reverse(),
    [...all, ...all],
    [seal(payloadAs(fleet.founded.authorId, {}))],
    [seal(payloadAs(fleet.attackers.carrier.id, {}))],
    [seal(payloadAs('root', asRoot))],
    [{ ...last, payload: payloadAs(fleet.founded.authorId, {}) }],
    [{ ...last, signatures: [] }],
    [{ ...last, signatures: [...last.signatures, ...last.signatures] }],
    [seal(Buffer.alloc(26 * 1024, 0x20))],
    Array.from({ length: 300 }, (_, seq) => seal(payloadAs(peerIdOf(own.publicKey), { seq }))),
  ]
  await withCarrier(async (carrier) => {
    for (const daemon of fleet.daemons) for (const envelopes of forged) await carrier.tell(daemon, envelopes)
  })
  await requireUnchanged(before)
})

async function withCarrier(work: (carrier: HostilePeer) => Promise<void>): Promise<void> {
  const carrier = await createHostilePeer(fleet, fleet.attackers.carrier)
  try {
    for (const daemon of fleet.daemons) await carrier.join(daemon)
    await work(carrier)
  } finally {
    await carrier.stop()
  }
}

async function requireUnchanged(before: readonly unknown[]): Promise<void> {
  for (const daemon of fleet.daemons) await daemon.requireWell()
  await fleet.joined()
  expect(await Promise.all(fleet.daemons.map(namesOf))).toEqual(before)
  for (const identity of [friend, fleet.attackers.exadmin, fleet.attackers.gone]) {
    const peer = await createHostilePeer(fleet, identity)
    try {
      for (const daemon of fleet.daemons) {
        await expect(peer.join(daemon)).rejects.toMatchObject({ code: expect.stringMatching(REFUSED) })
      }
    } finally {
      await peer.stop()
    }
  }
}

test('a removal ends every stream of the removed node on every daemon at once, and keeps it out', async () => {
  const peer = await createHostilePeer(fleet, fleet.attackers.leaving)
  try {
    let open = 0
    for (const daemon of fleet.daemons) {
      await peer.join(daemon)
      for (const stream of [await follow(peer, daemon), await peer.network.open(daemon.id, TRANSFER_PROTOCOL)]) {
        open += 1
        stream.resume().once('close', () => {
          open -= 1
        })
      }
    }
    expect(open).toBe(fleet.daemons.length * 2)
    await fleet.must(admin, 'node', 'remove', 'leaving', '--yes', '--json')
    const over = (): boolean => open === 0 && peer.network.connections().length === 0
    await until(() => `${open} streams still open`, over, REMOVED_WITHIN_MS)
    for (const daemon of fleet.daemons) {
      await expect(peer.network.connect(daemon.address)).rejects.toMatchObject({
        code: expect.stringMatching(REFUSED),
      })
    }
  } finally {
    await peer.stop()
  }
})

/** The log of an app, followed; the stream has begun to answer. */
async function follow(peer: HostilePeer, daemon: Daemon): Promise<Stream> {
  const stream = await peer.network.open(daemon.id, API_PROTOCOL)
  const begun = new Promise((resolve) => stream.once('data', resolve))
  stream.write('GET /v1/app/one/logs?follow=true HTTP/1.1\r\nhost: warren\r\n\r\n')
  await begun
  return stream
}
