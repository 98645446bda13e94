/** Without the network key: nothing is answered, nothing breaks, and nobody's place is taken. */
import { randomBytes } from 'node:crypto'
import { multiaddr } from '@multiformats/multiaddr'
import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { CHANNELS, securedNode } from '../../src/net/fixtures/secured.ts'
import type { NetworkInit } from '../../src/net/index.ts'
import type { Daemon } from './daemon.ts'
import { createFleet, type Fleet, newIdentity, until } from './fleet.ts'
import { createHostilePeer } from './hostile-peer.ts'
import { multistream, openSocket, proofMessage, sayInChannel, sayOnSocket } from './strangers.ts'

const SEED = 20_260_721
const GARBAGE = 16
const HALF_OPEN = 200
/** A hello of the membership proof: length, version, nonce. */
const HELLO_BYTES = 35
/** Time in which a connection that says nothing is closed: that of the handshake, and that of the proof. */
const CLOSED_WITHIN_MS = 30_000
const SILENCE_MS = 300

let fleet: Fleet<'viewer' | 'late' | 'unknown'>
let target: Daemon
let protocols: string[]

beforeAll(async () => {
  const viewer = { role: 'viewer' } as const
  fleet = await createFleet({ nodes: 2, attackers: { viewer, late: viewer, unknown: undefined } })
  target = fleet.daemons[0] as Daemon
  // With an invite open the daemon listens to requests for admission as well.
  await fleet.must(target, 'invite', '--json')
  const member = await createHostilePeer(fleet, fleet.attackers.viewer)
  await member.join(target)
  protocols = await member.protocolsOf(target)
  await member.stop()
  expect(protocols.length).toBeGreaterThan(5)
})
afterAll(async () => {
  await fleet?.cleanup()
})

/** The daemons go on, see each other, and a member gets in. */
async function requireOpenForMembers(): Promise<void> {
  for (const daemon of fleet.daemons) await daemon.requireWell()
  await fleet.joined()
  const member = await createHostilePeer(fleet, fleet.attackers.late)
  try {
    await member.join(target)
    expect(await member.protocolsOf(target)).toEqual(protocols)
  } finally {
    await member.stop()
  }
}

const garbage = (maxLength: number): Buffer[] =>
  fc
    .sample(fc.uint8Array({ minLength: 1, maxLength }), { seed: SEED, numRuns: GARBAGE })
    .map((bytes) => Buffer.from(bytes))
const hello = (version: number): Buffer => proofMessage(Buffer.concat([Buffer.of(version), randomBytes(32)]))

for (const channel of CHANNELS) {
  test(`over ${channel} a plain libp2p node is answered by no protocol, identify and ping included`, async () => {
    const stranger = await securedNode({ over: channel })
    const identified: unknown[] = []
    stranger.addEventListener('peer:identify', (event) => identified.push(event.detail))
    try {
      const asked = [...protocols, '/ipfs/id/push/1.0.0', 'ls', '/']
      for (const protocol of asked) {
        const answer = stranger.dialProtocol(multiaddr(target.address), [protocol], {
          signal: AbortSignal.timeout(10_000),
        })
        await expect(answer, protocol).rejects.toThrow()
      }
      expect(identified).toEqual([])
      expect(stranger.getConnections()).toEqual([])
    } finally {
      await stranger.stop()
    }
  })

  test(`inside ${channel} whoever says anything but the proof hears one nonce and nothing more`, async () => {
    const start = multistream('/multistream/1.0.0')
    const sayings: Buffer[][] = [
      [start, multistream('ls')],
      [start, multistream('/yamux/1.0.0'), Buffer.from('000000010000000100000000', 'hex')],
      ...protocols.map((protocol) => [start, multistream(protocol)]),
      ...[0, 1, 2, 3, 255].flatMap((version) => [
        [hello(version), proofMessage(Buffer.alloc(0))],
        [hello(version), proofMessage(randomBytes(32))],
        [hello(version), proofMessage(randomBytes(256))],
        [hello(version), proofMessage(randomBytes(4096)), proofMessage(randomBytes(64))],
        [hello(version), hello(version), hello(version), hello(version)],
      ]),
      ...garbage(600).map((bytes) => [bytes, bytes]),
      [Buffer.alloc(1024 * 1024, 0xff)],
    ]
    const heard: number[] = []
    await Promise.all(
      Array.from({ length: 4 }, async (_, worker) => {
        for (let index = worker; index < sayings.length; index += 4) {
          heard.push((await sayInChannel(target, channel, sayings[index] as Buffer[])).length)
        }
      }),
    )
    expect(heard).toHaveLength(sayings.length)
    expect(Math.max(...heard)).toBe(HELLO_BYTES)
    await requireOpenForMembers()
  })

  test(`a daemon that is sent to a stranger over ${channel} refuses it`, async () => {
    const stranger = await securedNode({ over: channel })
    try {
      const address = stranger.getMultiaddrs()[0]?.toString() as string
      const { out } = await fleet.warren.run('--home', target.home, 'connect', address, '--json')
      const { error } = JSON.parse(out) as { error: { code: string } }
      expect(['network_key_mismatch', 'protocol_unsupported', 'peer_not_allowed']).toContain(error.code)
      expect(stranger.getConnections()).toEqual([])
    } finally {
      await stranger.stop()
    }
  })
}

test('garbage on the bare connection is answered with nothing that tells of a protocol', async () => {
  const start = multistream('/multistream/1.0.0')
  const fronts = [[], [start], [start, multistream('/tls/1.0.0')], [start, multistream('/noise')], [multistream('ls')]]
  const bits = garbage(3000)
  const heard: Buffer[] = []
  await Promise.all(
    fronts.map(async (front) => {
      for (const bytes of bits) heard.push(await sayOnSocket(target, [...front, bytes], SILENCE_MS))
    }),
  )
  for (const protocol of [...protocols, '/yamux', 'warren']) {
    expect(heard.filter((bytes) => bytes.includes(protocol))).toEqual([])
  }
  await requireOpenForMembers()
})

const WRONG: Record<string, { init: () => Partial<NetworkInit>; code: string }> = {
  'with another key': {
    init: () => ({ proof: { networkId: () => fleet.networkId, keys: () => [randomBytes(32)] } }),
    code: 'network_key_mismatch',
  },
  'with eight other keys': {
    init: () => ({
      proof: { networkId: () => fleet.networkId, keys: () => Array.from({ length: 8 }, () => randomBytes(32)) },
    }),
    code: 'network_key_mismatch',
  },
  'with the right key for another network': {
    init: () => ({ proof: { networkId: () => 'f'.repeat(64), keys: () => fleet.networkKeys() } }),
    code: 'network_key_mismatch',
  },
  'with the right key, and an identity that no admin has named,': { init: () => ({}), code: 'peer_refused' },
}
for (const [who, { init, code }] of Object.entries(WRONG)) {
  test(`a node ${who} is refused by every daemon`, async () => {
    const peer = await createHostilePeer(fleet, newIdentity('stranger'), init())
    try {
      for (const daemon of fleet.daemons) {
        await expect(peer.join(daemon)).rejects.toMatchObject({ code })
      }
      expect(peer.network.connections()).toEqual([])
    } finally {
      await peer.stop()
    }
  })
}

test(`${HALF_OPEN} half-open connections keep no member out, and are closed`, async () => {
  const start = multistream('/multistream/1.0.0')
  const sockets = await Promise.all(Array.from({ length: HALF_OPEN }, () => openSocket(target)))
  try {
    for (const [index, socket] of sockets.entries()) {
      if (index % 4 === 1) socket.write(start)
      if (index % 4 === 2) socket.write(Buffer.concat([start, multistream('/tls/1.0.0')]))
      if (index % 4 === 3) socket.write(Buffer.concat([start, multistream('/noise')]))
    }
    await requireOpenForMembers()
    // What is unread would hide the close.
    for (const socket of sockets) socket.resume()
    await until('all are closed', () => sockets.every(({ closed }) => closed), CLOSED_WITHIN_MS)
  } finally {
    for (const socket of sockets) socket.destroy()
  }
  await requireOpenForMembers()
})
