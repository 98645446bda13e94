import { once } from 'node:events'
import net from 'node:net'
import { setImmediate } from 'node:timers/promises'
import type { Libp2p } from '@libp2p/interface'
import { multiaddr } from '@multiformats/multiaddr'
import { expect, test, vi } from 'vitest'
import { Counters } from '../base/counters.ts'
import { PING_PROTOCOL, PROOF_TIMEOUT_MS } from './constants.ts'
import { addressOf, nextEvent, TEST_KEY, testNetwork, withNetworks } from './fixtures/networks.ts'
import { CHANNELS, newIdentity, securedNode } from './fixtures/secured.ts'
import { channelBinding } from './proof-exchange.ts'
import { provingTalk } from './proving-encrypter.ts'
import type { SecuredChannel } from './talking-encrypter.ts'
import type { Network } from './types.ts'

const OTHER_KEY = Buffer.alloc(32, 8)
const withKey = (...keys: Uint8Array[]) => ({ proof: { networkId: () => 'test', keys: () => keys } })

for (const over of CHANNELS) {
  test(`a plain libp2p node that dials over ${over} learns nothing, identify included`, async () => {
    await withNetworks([{}], async (network) => {
      const stranger = await securedNode({ over })
      try {
        const identified: unknown[] = []
        stranger.addEventListener('peer:identify', (event) => identified.push(event.detail))
        const refused = nextEvent(network, 'refused')
        const asked = stranger.dialProtocol(multiaddr(addressOf(network)), [PING_PROTOCOL, '/ipfs/id/1.0.0']).then(
          () => 'answered',
          () => 'refused',
        )
        expect((await refused).peer).toBe(stranger.peerId.toString())
        expect(await asked).toBe('refused')
        expect(identified).toEqual([])
        expect(network.connections()).toEqual([])
      } finally {
        await stranger.stop()
      }
    })
  })

  test(`a plain libp2p node that is dialled over ${over} is refused with a clear error`, async () => {
    await withNetworks([{}], async (network) => {
      const stranger = await securedNode({ over })
      try {
        const address = stranger.getMultiaddrs()[0]?.toString() as string
        await expect(network.connect(address)).rejects.toMatchObject({
          code: expect.stringMatching(/^(network_key_mismatch|protocol_unsupported)$/),
        })
        expect(network.connections()).toEqual([])
      } finally {
        await stranger.stop()
      }
    })
  })
}

test('a node with another network key is refused on both sides', async () => {
  await withNetworks([withKey(TEST_KEY), withKey(OTHER_KEY)], async (a, b) => {
    const [refused, missed] = [nextEvent(a, 'refused'), nextEvent(b, 'refused')]
    await expect(b.connect(addressOf(a))).rejects.toMatchObject({ code: 'network_key_mismatch', status: 403 })
    expect(await refused).toMatchObject({
      peer: b.id,
      reason: 'it does not prove the network key',
      cause: 'proof',
      direction: 'inbound',
    })
    const sameCode = { peer: a.id, code: 'network_key_mismatch', cause: 'proof', direction: 'outbound' }
    expect(await missed).toMatchObject({ ...sameCode, address: expect.stringContaining('/ip4/127.0.0.1') })
    expect([...a.connections(), ...b.connections()]).toEqual([])
  })
})

test('a node with the same key in another network is refused', async () => {
  const other = { proof: { networkId: () => 'other', keys: () => [TEST_KEY] } }
  await withNetworks([{}, other], async (a, b) => {
    await expect(b.connect(addressOf(a))).rejects.toMatchObject({ code: 'network_key_mismatch' })
  })
})

test('nodes that share one of several keys connect', async () => {
  await withNetworks([withKey(TEST_KEY, OTHER_KEY), withKey(OTHER_KEY)], async (a, b) => {
    expect(await b.connect(addressOf(a))).toBe(a.id)
    await a.disconnect(b.id)
  })
})

test('a node without a network key does not start', async () => {
  const network = testNetwork(withKey())
  await expect(network.start()).rejects.toMatchObject({ code: 'network_key_missing' })
  await network.stop()
})

test('a socket that says nothing is closed and takes nobody else’s place', async () => {
  await withNetworks([{}, {}], async (a, b) => {
    const port = Number(/tcp\/(\d+)/.exec(addressOf(a))?.[1])
    const silent = Array.from({ length: 20 }, () => net.connect(port, '127.0.0.1').on('error', () => undefined))
    await Promise.all(silent.map((socket) => once(socket, 'connect')))
    expect(await b.connect(addressOf(a))).toBe(a.id)
    for (const socket of silent) socket.destroy()
  })
})

test('the gate refuses a peer that proves the key, and tells it so', async () => {
  const counters = new Counters()
  const gate = { allow: () => ({ allowed: false, reason: 'not in the roster' }) as const }
  await withNetworks([{ gate, counters }, {}], async (a, b) => {
    const refused = nextEvent(a, 'refused')
    await expect(b.connect(addressOf(a))).rejects.toMatchObject({ code: 'peer_refused' })
    expect(await refused).toMatchObject({ peer: b.id, reason: 'not in the roster', cause: 'gate' })
    expect(counters.get('net_refused', { cause: 'gate' })).toBe(1)
    expect(b.connections()).toEqual([])
  })
})

test('a dial that this node gives up amid the proof was refused by nobody', async () => {
  const reached = Promise.withResolvers<void>()
  const silent = await securedNode({
    over: 'TLS',
    talk: () => {
      reached.resolve()
      return new Promise(() => undefined)
    },
  })
  try {
    await withNetworks([{}, withKey(OTHER_KEY)], async (network, other) => {
      const refusals: (string | null)[] = []
      network.events.on('refused', ({ peer }) => refusals.push(peer))
      const stop = new AbortController()
      const dialled = network.connect(silent.getMultiaddrs()[0]?.toString() as string, { signal: stop.signal })
      await reached.promise
      stop.abort(new Error('enough'))
      await expect(dialled).rejects.toThrow('enough')
      await expect(network.connect(addressOf(other))).rejects.toMatchObject({ code: 'network_key_mismatch' })
      expect(refusals).toEqual([other.id])
    })
  } finally {
    await silent.stop()
  }
})

test('who dials waits longer for a proof than strangers are waited for', async () => {
  const short: AbortController[] = []
  const timeout = vi.spyOn(AbortSignal, 'timeout').mockImplementation((ms) => {
    const limit = new AbortController()
    if (ms <= PROOF_TIMEOUT_MS) short.push(limit)
    return limit.signal
  })
  const dialled = Promise.withResolvers<void>()
  const silent = await securedNode({
    over: 'TLS',
    talk: ({ direction }) => {
      if (direction === 'inbound') dialled.resolve()
      return new Promise(() => undefined)
    },
  })
  const stop = new AbortController()
  try {
    await withNetworks([{}], async (network) => {
      const refusals: string[] = []
      network.events.on('refused', ({ direction }) => refusals.push(direction))
      const connecting = network.connect(silent.getMultiaddrs()[0]?.toString() as string, { signal: stop.signal })
      await dialled.promise
      silent.dial(multiaddr(addressOf(network))).catch(() => undefined)
      await vi.waitFor(() => expect(short).not.toEqual([]))
      const refused = nextEvent(network, 'refused')
      for (const limit of short) limit.abort(new Error('time is over'))
      expect(await refused).toMatchObject({ direction: 'inbound', reason: 'its membership proof did not come' })
      await setImmediate()
      expect(refusals).toEqual(['inbound'])
      stop.abort(new Error('enough'))
      await expect(connecting).rejects.toThrow('enough')
    })
  } finally {
    timeout.mockRestore()
    await silent.stop()
  }
})

test('the own gate is asked before dialling, and again when the id was not known before', async () => {
  const gate = { allow: () => ({ allowed: false, reason: 'not in the roster' }) as const }
  await withNetworks([{ gate }, {}], async (a, b) => {
    await expect(a.connect(addressOf(b))).rejects.toMatchObject({ code: 'peer_not_allowed' })
    const withoutId = addressOf(b).replace(/\/p2p\/.*/, '')
    await expect(a.connect(withoutId)).rejects.toMatchObject({ code: 'peer_not_allowed' })
    expect(b.connections()).toEqual([])
  })
})

test('a peer that the gate no longer allows is cut off by recheck, and comes back when it is allowed again', async () => {
  let allowed = true
  const gate = { allow: () => (allowed ? { allowed: true } : { allowed: false, reason: 'removed' }) as never }
  await withNetworks([{ gate }, {}], async (a, b) => {
    a.handle('/test/1', () => undefined)
    await b.addAddress(a.id, [addressOf(a)])
    await connected(b, a.id)
    await connected(a, b.id)
    const stream = await b.open(a.id, '/test/1')
    const cut = nextEvent(b, 'disconnected')
    const failure = stream.toArray().catch((error: { code: string }) => error.code)
    allowed = false
    a.recheck()
    expect(await cut).toEqual({ peer: a.id })
    expect(['stream_reset', 'connection_lost']).toContain(await failure)
    expect(a.connections()).toEqual([])
    const back = nextEvent(b, 'connected')
    allowed = true
    expect(await back).toEqual({ peer: a.id })
  })
})

test('an address where another node answers is refused by its id', async () => {
  await withNetworks([{}, {}, {}], async (a, b, c) => {
    const wrong = addressOf(a).replace(a.id, b.id)
    await expect(c.connect(wrong)).rejects.toMatchObject({ code: 'peer_id_mismatch' })
  })
})

function connected(network: Network, peer: string): Promise<unknown> {
  if (network.connections().some((info) => info.peer === peer)) return Promise.resolve()
  return nextEvent(network, 'connected', (event) => event.peer === peer)
}

/** Says `words` once greeted over the secured channel, and keeps all it hears until the channel closes. */
function eavesdropper(words: Buffer, heard: Buffer[]): (secured: SecuredChannel) => Promise<void> {
  return async ({ channel }) => {
    const greeted = Promise.withResolvers<void>()
    channel.addEventListener('message', ({ data }) => {
      heard.push(Buffer.from(data.subarray()))
      greeted.resolve()
    })
    const closed = new Promise((resolve) => channel.addEventListener('close', resolve))
    await greeted.promise
    channel.send(words)
    await closed
    throw new Error('closed')
  }
}

for (const over of CHANNELS) {
  test(`a prober over ${over} hears a nonce and not one byte more, whatever it says`, async () => {
    await withNetworks([{}], async (network) => {
      const hello = Buffer.concat([Buffer.of(0, 33, 1), Buffer.alloc(32, 1)])
      const sayings = [
        Buffer.concat([hello, Buffer.of(0, 32), Buffer.alloc(32, 2)]),
        Buffer.concat([hello, Buffer.of(0, 0)]),
        Buffer.from('\x13/multistream/1.0.0\n'),
        Buffer.concat([Buffer.of(2, 1), Buffer.alloc(513)]),
        Buffer.concat([Buffer.of(0, 33, 9), Buffer.alloc(32)]),
      ]
      const lengths: number[] = []
      for (const words of sayings) {
        const heard: Buffer[] = []
        const prober = await securedNode({ over, talk: eavesdropper(words, heard) })
        try {
          await prober.dial(multiaddr(addressOf(network))).catch(() => undefined)
          lengths.push(Buffer.concat(heard).length)
        } finally {
          await prober.stop()
        }
      }
      expect(lengths).toEqual(sayings.map(() => 35))
      expect(network.connections()).toEqual([])
    })
  })

  test(`two nodes that share the key are let through over ${over}, two that do not are not`, async () => {
    const nodes = await Promise.all(
      [TEST_KEY, TEST_KEY, OTHER_KEY].map(async (key) => {
        const { privateKey, id } = await newIdentity()
        const gate = { allow: () => ({ allowed: true }) as const }
        const init = { self: id, gate, onRefused: () => undefined, desk: undefined as never, ...withKey(key) }
        return securedNode({ over, privateKey, talk: provingTalk(init) })
      }),
    )
    const [a, b, c] = nodes as [Libp2p, Libp2p, Libp2p]
    try {
      expect((await a.dial(b.getMultiaddrs())).status).toBe('open')
      await expect(c.dial(b.getMultiaddrs())).rejects.toThrow('network_key_mismatch')
    } finally {
      await Promise.all(nodes.map((node) => node.stop()))
    }
  })
}

test('over TLS a dialler has proved itself with its first words; over Noise it waits for a nonce', async () => {
  const lengths: Record<string, number> = {}
  for (const over of CHANNELS) {
    const heard: Buffer[] = []
    let bytes = 0
    const isProof = Promise.withResolvers<void>()
    const silent = await securedNode({
      over,
      talk: async ({ channel }) => {
        channel.addEventListener('message', ({ data }) => {
          heard.push(Buffer.from(data.subarray()))
          bytes = Buffer.concat(heard).length
          // What a dialler says before it has heard anything: a hello, or a hello and a code.
          if (bytes === (over === 'TLS' ? 69 : 35)) isProof.resolve()
        })
        await isProof.promise
        throw new Error('enough')
      },
    })
    try {
      await withNetworks([{}], async (network) => {
        await network.connect(silent.getMultiaddrs()[0]?.toString() as string).catch(() => undefined)
      })
      lengths[over] = bytes
    } finally {
      await silent.stop()
    }
  }
  expect(lengths).toEqual({ TLS: 69, Noise: 35 })
})

test('a TLS channel that cannot be bound to the proof is refused rather than proved without', () => {
  expect(() => channelBinding('/tls/1.0.0', {} as never, 'proof')).toThrow('does not show its socket')
  expect(channelBinding('/noise', {} as never, 'proof')).toHaveLength(0)
})
