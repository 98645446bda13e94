import { expect, test } from 'vitest'
import { addressOf, testNetwork, withNetworks } from '../fixtures/networks.ts'
import type { Network } from '../types.ts'
import type { RelaySettings } from './types.ts'

const LIMITS = {
  maxReservations: 64,
  maxCircuits: 256,
  circuitsPerPeer: 16,
  circuitBytes: 0,
  circuitTimeMs: 0,
  ratePerPeer: 0,
}
function settings(init: Partial<RelaySettings> = {}): RelaySettings {
  return { servers: [], serve: 'never', limits: LIMITS, mayUse: () => true, isRelay: () => false, ...init }
}
const RELAY = { relay: settings({ serve: 'always' }) }
const hidden = (...relays: Network[]) =>
  testNetwork({ listen: [], relay: settings({ servers: relays.map(addressOf) }) })

async function withHidden(relays: Network[], count: number, work: (...networks: Network[]) => Promise<void>) {
  const networks = Array.from({ length: count }, () => hidden(...relays))
  try {
    for (const network of networks) await network.start()
    await work(...networks)
  } finally {
    await Promise.all(networks.map((network) => network.stop()))
  }
}
const reserved = async (network: Network, ...relays: Network[]) =>
  expect
    .poll(() =>
      network
        .reach()
        .reservations.map(({ relay }) => relay)
        .sort(),
    )
    .toEqual(relays.map(({ id }) => id).sort())

test('two nodes that listen nowhere meet over a relay, without being told of each other', async () => {
  await withNetworks([RELAY], async (relay) => {
    await withHidden([relay], 2, async (a, b) => {
      await Promise.all([a, b].map((network) => reserved(network, relay)))
      await expect.poll(() => a.path(b.id).state).toBe('relayed')
      expect(a.path(b.id)).toMatchObject({
        kind: 'relayed',
        via: relay.id,
        lan: false,
        why: 'no address of it is known',
      })
      expect(a.connections().find(({ peer }) => peer === b.id)).toMatchObject({
        relayed: true,
        via: relay.id,
        encryption: 'TLS 1.3',
      })
      b.handle('/echo/1', (stream) => void stream.pipe(stream))
      const stream = await a.open(b.id, '/echo/1')
      stream.end('over the relay')
      expect(Buffer.concat(await stream.toArray()).toString()).toBe('over the relay')
      expect(await b.ping(a.id)).toBeGreaterThan(0)
      expect(relay.reach().relay?.circuits.length).toBeGreaterThan(0)
    })
  })
})

test('where the relay in use stops, peers are reached over the other', async () => {
  await withNetworks([RELAY, RELAY], async (one, two) => {
    await withHidden([one, two], 2, async (a, b) => {
      await Promise.all([a, b].map((network) => reserved(network, one, two)))
      await expect.poll(() => a.path(b.id).state).toBe('relayed')
      const used = a.path(b.id).via === one.id ? one : two
      const other = used === one ? two : one
      await used.stop()
      await expect.poll(() => a.path(b.id).via).toBe(other.id)
      expect(await a.ping(b.id)).toBeGreaterThan(0)
    })
  })
})

test('a node that comes to listen is reached directly from then on, and the relayed connection ends', async () => {
  await withNetworks([RELAY], async (relay) => {
    await withHidden([relay], 1, async (a) => {
      const open = testNetwork({ relay: settings({ servers: [addressOf(relay)] }) })
      await open.start()
      try {
        await expect.poll(() => a.path(open.id)).toMatchObject({ state: 'direct', via: null, why: null })
      } finally {
        await open.stop()
      }
    })
  })
})

test('a peer that the gate comes to refuse loses its relayed connection and its reservation', async () => {
  const refused = new Set<string>()
  const gate = {
    allow: (peer: string) =>
      refused.has(peer) ? { allowed: false as const, reason: 'removed' } : { allowed: true as const },
  }
  await withNetworks(
    [{ gate, relay: settings({ serve: 'always', mayUse: (peer) => !refused.has(peer) }) }],
    async (relay) => {
      await withHidden([relay], 2, async (a, b) => {
        await Promise.all([a, b].map((network) => reserved(network, relay)))
        await expect.poll(() => a.path(b.id).state).toBe('relayed')
        refused.add(b.id)
        relay.recheck()
        await expect.poll(() => a.path(b.id).state).toBe('none')
        expect(relay.reach().relay?.reservations.map(({ peer }) => peer)).toEqual([a.id])
      })
    },
  )
})
