import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type Server, type Socket } from 'node:net'
import { afterEach, expect, test } from 'vitest'
import { Counters } from '../../base/counters.ts'
import { peerIdOf, signerFromSeed } from '../../identity/index.ts'
import { addressOf, testNetwork } from '../fixtures/networks.ts'
import { sendMessage } from '../frames.ts'
import type { Network } from '../types.ts'
import { ADDRESSES_PROTOCOL } from './address-exchange.ts'
import { signRecord } from './address-record.ts'
import { NEWS_RATE } from './limits.ts'

const ends: (() => unknown)[] = []
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end()
})

/** A server that has nothing to do with Warren, and how often it was connected to. */
async function startVictim(): Promise<{ port: number; taken: () => number }> {
  let taken = 0
  const server: Server = createServer((socket: Socket) => {
    taken++
    socket.on('error', () => undefined).destroy()
  }).listen(0, '127.0.0.1')
  ends.push(() => server.close())
  await once(server, 'listening')
  return { port: (server.address() as { port: number }).port, taken: () => taken }
}

interface Pair {
  readonly node: Network
  readonly counters: Counters
  readonly id: string
  say(addresses: string[]): Promise<void>
}

/** A node, and a member connected with it that says where another one is, whose key it has too. */
async function startPair(): Promise<Pair> {
  const counters = new Counters()
  const [node, member] = [testNetwork({ counters }), testNetwork()]
  for (const network of [node, member]) {
    ends.push(() => network.stop())
    await network.start()
  }
  await member.connect(addressOf(node))
  const signer = signerFromSeed(randomBytes(32))
  const id = peerIdOf(signer.publicKey)
  let sequence = 1
  return {
    node,
    counters,
    id,
    async say(addresses) {
      const said = { id, sequence: sequence++, addresses, relays: [], reachability: 'public', serves: false } as const
      const record = Buffer.from(signRecord(said, signer).bytes).toString()
      const stream = await member.open(node.id, ADDRESSES_PROTOCOL)
      await sendMessage(stream, { type: 'records', records: [record] })
      stream.end()
      stream.resume()
    },
  }
}

test.each(['0', '0x0', '0.0'])('a name that leads where no address may lead is not dialled: %s', async (name) => {
  const victim = await startVictim()
  const { node, id, say } = await startPair()
  await say([`/dns4/${name}/tcp/${victim.port}`])
  await expect.poll(() => node.path(id).why).toMatch(/not dialled at the word of others/)
  expect(victim.taken()).toBe(0)
})

test('a name that leads where an address may lead is dialled', async () => {
  const victim = await startVictim()
  const { say } = await startPair()
  await say([`/dns4/localhost/tcp/${victim.port}`])
  await expect.poll(victim.taken).toBeGreaterThan(0)
})

test('one that says again and again where it is has others dial it a few times at once, then in its turn', async () => {
  const { say, counters } = await startPair()
  const rounds = () => counters.get('net_dials', { outcome: 'peer_unreachable' })
  for (let news = 0; news < 4 * NEWS_RATE.burst; news++) {
    const before = rounds()
    // Nobody listens there.
    await say(['/ip4/127.0.0.1/tcp/1'])
    const isDialled = expect.poll(rounds, news < NEWS_RATE.burst - 1 ? {} : { timeout: 100, interval: 10 })
    await isDialled.toBeGreaterThan(before).catch(() => undefined)
  }
  expect(rounds()).toBeGreaterThanOrEqual(NEWS_RATE.burst - 1)
  // Besides those at once, what everybody does whose dials fail: after 0.25, 1, 2 s and so on, for as long as this took.
  expect(rounds()).toBeLessThan(3 * NEWS_RATE.burst)
})

test('a record with an address that only looks like one is refused, and the table goes on', async () => {
  const counters = new Counters()
  const dht = { isMember: () => true }
  const seed = randomBytes(32)
  const [node, member, other] = [
    testNetwork({ counters, dht }),
    testNetwork({ dht, privateKey: seed }),
    testNetwork({ dht }),
  ]
  for (const network of [node, member, other]) {
    ends.push(() => network.stop())
    await network.start()
  }
  for (const network of [member, other]) await network.connect(addressOf(node))
  const invalid = () => counters.get('net_address_records', { outcome: 'invalid' })
  for (const [at, address] of ['/ip6/2001:db8::1%eth0/tcp/1', '/ip4/192.0.2.7/tcp/00001'].entries()) {
    const said = {
      id: member.id,
      sequence: Date.now() + 60_000 + at,
      addresses: [address],
      relays: [],
      reachability: 'public',
      serves: false,
    } as const
    const record = Buffer.from(signRecord(said, signerFromSeed(seed)).bytes).toString()
    const stream = await member.open(node.id, ADDRESSES_PROTOCOL)
    await sendMessage(stream, { type: 'records', records: [record] })
    stream.end()
    stream.resume()
    await expect.poll(invalid).toBe(at + 1)
  }
  const key = Buffer.from('a thing')
  await expect.poll(() => other.dht?.provide(key)).toBeGreaterThan(0)
  const found: string[] = []
  for await (const provider of node.dht?.findProviders(key) ?? []) found.push(provider)
  expect(found).toEqual([other.id])
})
