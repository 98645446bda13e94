import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { lpStream } from '@libp2p/utils'
import { multiaddr } from '@multiformats/multiaddr'
import { expect, test } from 'vitest'
import { type Member, type MemberInit, startMember, withMembers } from './fixtures/members.ts'
import { DHT_PROTOCOL } from './index.ts'
import { MAX_MESSAGE_BYTES } from './limits.ts'

test('of ten members that know one to three others, each finds who provides, a record and a node', async () => {
  await withMembers(10, async (members) => {
    const [first, ...others] = members as [Member, ...Member[]]
    const key = randomBytes(32)
    expect(await first.dht.provide(key)).toBe(9)
    expect(await first.dht.put('/warren/release/web', Buffer.from('1.2.3'))).toBe(9)
    for (const member of others) {
      expect(await providersFor(member, key)).toEqual([first.id])
      expect(await member.dht.get('/warren/release/web')).toMatchObject({ author: first.id })
      expect(await member.dht.findPeer(first.id)).toContain(first.addresses()[0]?.replace(/\/p2p\/.*/, ''))
      expect(member.dht.size()).toBeGreaterThan(0)
    }
    expect(await providersFor(first, randomBytes(32))).toEqual([])
    expect(await first.dht.get('/warren/release/other')).toBeUndefined()
  })
})

test('the hash of what is looked for, which has the form of an old peer id, is taken for no node', async () => {
  const asked = new Set<string>()
  const isMember = (peer: string): boolean => {
    asked.add(peer)
    return true
  }
  await withMembers(
    4,
    async (members) => {
      expect(await (members[0] as Member).dht.provide(randomBytes(32))).toBeGreaterThan(0)
      const ids = members.map(({ id }) => id)
      expect([...asked].filter((peer) => !ids.includes(peer))).toEqual([])
    },
    () => ({ isMember }),
  )
})

test('a node that only dials provides and is found', async () => {
  const init = (at: number): MemberInit => (at === 2 ? { listen: [] } : {})
  await withMembers(
    4,
    async ([, finder, silent]) => {
      expect(await (silent as Member).dht.provide(Buffer.from('thing'))).toBeGreaterThan(0)
      expect(await providersFor(finder as Member, Buffer.from('thing'))).toEqual([(silent as Member).id])
    },
    init,
  )
})

test('a node that begins with nobody tells of what it provides when it is bootstrapped later', async () => {
  await withStarted([{}, {}], async ([lonely, other]) => {
    expect(await lonely.dht.provide(Buffer.from('early'))).toBe(0)
    expect(await lonely.dht.put('/warren/early', Buffer.from('bird'))).toBe(0)
    expect(await providersFor(lonely, Buffer.from('early'))).toEqual([lonely.id])
    expect(await lonely.dht.bootstrap()).toEqual({ contacts: 0, tried: [] })

    const nobody = '/ip4/127.0.0.1/tcp/1'
    lonely.seeds.push(nobody, other.addresses()[0] as string)
    const outcome = await lonely.dht.bootstrap()
    expect(outcome.contacts).toBe(1)
    expect(outcome.tried).toEqual([
      { seed: nobody, error: expect.any(String) },
      { seed: other.addresses()[0], error: null },
    ])
    await expect.poll(() => other.dht.status()).toMatchObject({ providers: 1, records: 1 })
    expect(await providersFor(other, Buffer.from('early'))).toEqual([lonely.id])
  })
})

test('a node whose seed is not there yet finds it later by itself', async () => {
  const port = await freePort()
  const address = `/ip4/127.0.0.1/tcp/${port}`
  await withStarted([{ seeds: [address] }], async ([early]) => {
    expect(await early.dht.bootstrap()).toMatchObject({ contacts: 0 })
    await withStarted([{ listen: [address] }], async ([seed]) => {
      await expect.poll(() => [early.dht.size(), seed.dht.size()]).toEqual([1, 1])
      expect(await seed.dht.provide(Buffer.from('thing'))).toBe(1)
      expect(await providersFor(early, Buffer.from('thing'))).toEqual([seed.id])
    })
  })
})

test('a table fills from the connections that were there before it', async () => {
  await withStarted([{ withoutTable: true }, {}], async ([late, other]) => {
    await late.host.dial(multiaddr(other.addresses()[0] as string))
    await late.dht.start()
    expect(late.dht.size()).toBe(1)
    expect(await late.dht.provide(Buffer.from('thing'))).toBe(1)
  })
})

test('a member that is removed leaves the table and is asked and heard no more', async () => {
  const removed = new Set<string>()
  const isMember = (peer: string): boolean => !removed.has(peer)
  await withMembers(
    4,
    async ([first, second, , gone]) => {
      const [a, b, x] = [first, second, gone] as [Member, Member, Member]
      expect(await x.dht.provide(Buffer.from('thing'))).toBe(3)
      expect(await x.dht.put('/warren/thing', Buffer.from('mine'))).toBe(3)
      expect(await providersFor(a, Buffer.from('thing'))).toEqual([x.id])
      const before = a.dht.size()
      removed.add(x.id)
      for (const member of [a, b]) member.dht.recheck()
      await expect.poll(() => a.dht.size()).toBe(before - 1)
      expect(await providersFor(a, Buffer.from('thing'))).toEqual([])
      expect(await a.dht.get('/warren/thing')).toBeUndefined()
      expect(await a.dht.findPeer(x.id)).toEqual([])
      expect(await x.dht.provide(Buffer.from('again'))).toBe(0)
      expect(a.counters.get('net_dht_refused', { cause: 'no_member' })).toBeGreaterThan(0)
      expect(a.dht.status()).toMatchObject({ providers: 0, records: 0 })
    },
    (at) => ({ isMember: at === 3 ? () => true : isMember }),
  )
})

test('a record that a first look does not find is looked for once more', async () => {
  const strangers = new Set<string>()
  const refused = (): number => keeper.counters.get('net_dht_refused', { cause: 'no_member' })
  // Once it has turned somebody away it takes everybody.
  const isMember = (peer: string): boolean => !strangers.has(peer) || refused() > 0
  const keeper = await startMember({ isMember })
  try {
    await withStarted([{}, {}], async ([owner, finder]) => {
      await owner.host.dial(multiaddr(keeper.addresses()[0] as string))
      await expect.poll(() => owner.dht.size()).toBe(1)
      expect(await owner.dht.put('/warren/thing', Buffer.from('mine'))).toBe(1)
      strangers.add(finder.id)
      await finder.host.dial(multiaddr(keeper.addresses()[0] as string))
      await expect.poll(() => finder.dht.size()).toBe(1)
      expect(await finder.dht.get('/warren/thing')).toMatchObject({ author: owner.id })
      expect(refused()).toBe(1)
    })
  } finally {
    await keeper.stop()
  }
})

test('a peer that leaves is no contact, and one again when it is back', async () => {
  await withStarted([{}, {}], async ([node, other]) => {
    const address = multiaddr(other.addresses()[0] as string)
    await node.host.dial(address)
    await expect.poll(() => node.dht.size()).toBe(1)
    await node.host.hangUp(other.host.peerId)
    await expect.poll(() => node.dht.size()).toBe(0)
    await node.host.dial(address)
    await expect.poll(() => node.dht.size()).toBe(1)
  })
})

test('a peer without the protocol is left out after the first question', async () => {
  await withStarted([{}, { withoutTable: true }], async ([node, other]) => {
    await node.host.dial(multiaddr(other.addresses()[0] as string))
    await expect.poll(() => node.dht.size()).toBe(1)
    expect(await node.dht.provide(Buffer.from('thing'))).toBe(0)
    node.dht.recheck()
    await expect.poll(() => node.dht.size()).toBe(0)
  })
})

test('a message that is too long resets its stream, and the node goes on', async () => {
  await withStarted([{}, {}], async ([node, hostile]) => {
    const connection = await hostile.host.dial(multiaddr(node.addresses()[0] as string))
    const stream = await connection.newStream(DHT_PROTOCOL)
    const closed = new Promise<void>((resolve) => stream.addEventListener('close', () => resolve()))
    await lpStream(stream).write(new Uint8Array(MAX_MESSAGE_BYTES + 1))
    await closed
    expect(node.counters.get('net_dht_refused', { cause: 'size' })).toBe(1)
    expect(await hostile.dht.provide(Buffer.from('thing'))).toBe(1)
  })
})

test('garbage of a member is not kept', async () => {
  await withStarted([{}, {}], async ([node, hostile]) => {
    const connection = await hostile.host.dial(multiaddr(node.addresses()[0] as string))
    for (const garbage of [new Uint8Array(0), Buffer.from('not a message'), randomBytes(2000)]) {
      const stream = await connection.newStream(DHT_PROTOCOL)
      const closed = new Promise<void>((resolve) => stream.addEventListener('close', () => resolve()))
      await lpStream(stream).write(garbage)
      await stream.close()
      await closed
    }
    expect(node.dht.status()).toMatchObject({ providers: 0, records: 0 })
    expect(await hostile.dht.provide(Buffer.from('thing'))).toBe(1)
  })
})

test('a table that was stopped, or never started, says so', async () => {
  await withStarted([{ withoutTable: true }], async ([node]) => {
    await expect(node.dht.provide(Buffer.from('x'))).rejects.toMatchObject({ code: 'dht_not_running' })
    await node.dht.start()
    await node.dht.stop()
    await node.dht.stop()
    await expect(node.dht.get('/warren/x')).rejects.toMatchObject({ code: 'dht_not_running' })
  })
})

test('a lookup ends with the signal of its caller', async () => {
  await withStarted([{}], async ([node]) => {
    const signal = AbortSignal.abort(new Error('enough'))
    await expect(node.dht.provide(Buffer.from('x'), { signal })).rejects.toThrow('enough')
    await expect(node.dht.put('/warren/x', Buffer.from('x'), { signal })).rejects.toThrow('enough')
  })
})

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  return port
}

async function providersFor(member: Member, key: Uint8Array): Promise<string[]> {
  const found: string[] = []
  for await (const peer of member.dht.findProviders(key)) found.push(peer)
  return found
}

async function withStarted<const T extends readonly MemberInit[]>(
  inits: T,
  work: (members: { -readonly [K in keyof T]: Member }) => Promise<void>,
): Promise<void> {
  const members: Member[] = []
  try {
    for (const init of inits) members.push(await startMember(init))
    await work(members as { -readonly [K in keyof T]: Member })
  } finally {
    await Promise.all(members.map((member) => member.stop()))
  }
}
