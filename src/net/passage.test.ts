import { randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import { peerIdOf, signerFromSeed } from '../identity/index.ts'
import { addressOf, testNetwork, withNetworks } from './fixtures/networks.ts'

import { admitting, ask, PATIENT, relaySettings, rules, withAdmin } from './fixtures/passages.ts'

test('a stranger is admitted over a relay by an admin whom it cannot dial, over a channel of their own', async () => {
  await withAdmin(async ({ relay, admin, heard, address, counters }) => {
    relay.events.on('refused', () => expect.unreachable('it was let through'))
    const privateKey = randomBytes(32)
    const self = peerIdOf(signerFromSeed(privateKey).publicKey)
    const admission = await ask(address, { privateKey })
    expect([admission.peer, admission.address]).toEqual([admin.id, address])
    expect(String(Buffer.from(admission.answer))).toBe(`welcome ${self}`)
    expect(heard).toMatchObject([{ peer: self, address: expect.stringContaining(`${relay.id}/p2p-circuit`) }])
    expect(counters.relay.get('net_passages', { outcome: 'answered' })).toBe(1)
    expect(counters.admin.get('net_admission', { outcome: 'answered' })).toBe(1)
    for (const network of [relay, admin]) {
      expect(network.connections().some(({ peer }) => peer === self)).toBe(false)
    }
    expect(relay.reach().relay?.circuits).toEqual([])
  })
})

test('the direct address of an admin that answers goes before the relay', async () => {
  await withAdmin(
    async ({ admin, address, counters }) => {
      expect((await ask([addressOf(admin), address])).address).toBe(addressOf(admin))
      expect(counters.relay.get('net_passages', { outcome: 'answered' })).toBe(0)
      const dead = `/ip4/127.0.0.1/tcp/1/p2p/${admin.id}`
      expect((await ask([dead, address])).address).toBe(address)
    },
    { listen: ['/ip4/127.0.0.1/tcp/0'] },
  )
})

test('who does not know the secret is not let through, and costs its address an attempt', async () => {
  await withAdmin(async ({ heard, address, counters }) => {
    await expect(ask(address, { secret: randomBytes(16) })).rejects.toMatchObject({
      code: 'peer_unreachable',
      message: expect.stringContaining('does not let this node through'),
    })
    expect(counters.relay.get('net_passages', { outcome: 'refused' })).toBe(1)
    for (let count = 0; count < 5; count++) await ask(address, { secret: randomBytes(16) }).catch(() => undefined)
    expect(counters.relay.get('net_passages', { outcome: 'limited' })).toBeGreaterThan(0)
    // Not even the right secret is heard from there for a while.
    await expect(ask(address)).rejects.toMatchObject({ code: 'peer_unreachable' })
    expect(heard).toEqual([])
  })
})

test('nobody is let through to a node that is no admin, or has no reservation, and the latter is said', async () => {
  await withAdmin(async ({ relay, admins, heard, address }) => {
    const member = testNetwork({
      listen: [],
      relay: relaySettings({ servers: [addressOf(relay)] }),
      admission: admitting(heard),
    })
    await member.start()
    try {
      await expect.poll(() => member.reach().reservations.length, PATIENT).toBe(1)
      const toMember = `${addressOf(relay)}/p2p-circuit/p2p/${member.id}`
      await expect(ask(toMember)).rejects.toMatchObject({ code: 'peer_unreachable' })
      const gone = testNetwork().id
      admins.push(gone)
      await expect(ask(`${addressOf(relay)}/p2p-circuit/p2p/${gone}`)).rejects.toMatchObject({
        code: 'peer_unreachable',
        message: expect.stringContaining('holds no reservation here'),
      })
      // A relay does not let through to itself either, and brings nobody else than who was asked for.
      await expect(ask(`${addressOf(relay)}/p2p-circuit/p2p/${relay.id}`)).rejects.toThrow()
      const other = peerIdOf(signerFromSeed(randomBytes(32)).publicKey)
      const elsewhere = address.replace(/[^/]+$/, other)
      await expect(ask(elsewhere, { to: admins[0] as string })).rejects.toMatchObject({ code: 'peer_id_mismatch' })
      expect(heard).toEqual([])
    } finally {
      await member.stop()
    }
  })
})

test('without an open invite, and at a node that is no relay, nobody is heard', async () => {
  await withAdmin(async ({ relay, admin, admins, address, counters, heard }) => {
    admins.length = 0
    await expect(ask(address)).rejects.toMatchObject({ code: 'peer_unreachable' })
    expect(counters.relay.get('net_passages', { outcome: 'not_open' })).toBe(1)
    const over = `${addressOf(relay)}/p2p-circuit/p2p/${admin.id}`
    await withNetworks([{ admission: rules(() => [admin.id]) }], async (plain) => {
      await expect(ask(over.replace(addressOf(relay), addressOf(plain)))).rejects.toMatchObject({
        code: 'peer_unreachable',
      })
    })
    expect(heard).toEqual([])
  })
})

test('an admin that admits nobody now is not even asked, and who asked is told', async () => {
  await withAdmin(
    async ({ address, counters }) => {
      await expect(ask(address)).rejects.toMatchObject({
        code: 'peer_unreachable',
        message: expect.stringContaining('refuses'),
      })
      expect(counters.admin.get('relay_client_refused', { code: 'not_allowed' })).toBe(1)
    },
    { admission: { isOpen: () => false, answer: () => Promise.reject(new Error('no')) } },
  )
})
