import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { cp, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { systemClock } from '../../base/clock.ts'
import { silentLogger } from '../../base/log.ts'
import {
  addNode,
  announceNetworkKey,
  encodeEnvelope,
  networkKeyCheck,
  peerIdOf,
  rawPrivateKey,
  removeNode,
  sealEnvelope,
  signerFromSeed,
} from '../../identity/index.ts'
import { testNetwork } from '../../net/fixtures/networks.ts'
import { type Network, readMessage, sendMessage } from '../../net/index.ts'
import { createFleet, rosterOnce, type TestNode } from '../fixtures/fleet.ts'
import { startRosterSync } from './roster-sync.ts'

const NEWS = '/warren/roster-news/1'
const KEYS = '/warren/network-key/1'
const fleet = createFleet()
const guests: Network[] = []
afterEach(async () => {
  for (const guest of guests.splice(0)) await guest.stop()
  await fleet.end()
})

/** A founded network with its admin and further members, connected in a line, all with the same roster. */
async function line(...names: string[]) {
  const home = await fleet.found()
  const homes = []
  for (const name of names) homes.push(await fleet.add(home, name))
  for (const each of homes) await each.roster.merge(home.roster.entriesAfter([]))
  const alpha = await fleet.start(home)
  const others: TestNode[] = []
  for (const each of homes) {
    const node = await fleet.start(each)
    const before = others.at(-1) ?? alpha
    await node.network.connect(before.address)
    await node.sync.whenExchanged(before.id)
    others.push(node)
  }
  return { home, alpha, others }
}

test('what an admin adds reaches nodes that it is not connected with', async () => {
  const { home, alpha, others } = await line('beta', 'gamma', 'delta')
  const id = idOfNobody()
  await addNode(home.author, { id, name: 'echo', role: 'member' })
  for (const { roster } of others) await rosterOnce(roster, () => roster.state.nodes.has(id))
  expect(others.map(({ roster }) => roster.digest())).toEqual(others.map(() => alpha.roster.digest()))
})

test('an admin’s signed head reaches nodes that it is not connected with, and names what they have', async () => {
  const { home, alpha, others } = await line('beta', 'gamma')
  await addNode(home.author, { id: idOfNobody(), name: 'echo', role: 'member' })
  const last = others.at(-1) as TestNode
  const digestOf = (): string | undefined =>
    last.roster.signedHeads.list().find(({ author }) => author === alpha.id)?.digest
  await expect.poll(digestOf).toBe(alpha.roster.digest())
  expect(last.roster.signedHeads.missing()).toEqual([])
})

test('a new network key reaches every node, also those that are not connected with its maker', async () => {
  const { home, alpha, others } = await line('beta', 'gamma', 'delta')
  await alpha.keys.rotate(home.author)
  const [newest] = alpha.keys.keys() as [Uint8Array]
  for (const { keys } of others) {
    await expect.poll(() => networkKeyCheck(keys.keys()[0] as Uint8Array)).toBe(networkKeyCheck(newest))
  }
})

test('a node that was away while the key changed gets back in, and holds the new key', async () => {
  const { home, alpha, others } = await line('beta')
  const beta = others[0] as TestNode
  await beta.stop()
  await alpha.keys.rotate(home.author)
  const back = await fleet.start(await fleet.open(beta.home.folder))
  await alpha.stop()
  // Started again, the admin has forgotten the old key.
  const again = await fleet.open(home.folder)
  await writeFile(join(again.keysFolder, 'network.previous.key'), `${randomBytes(32).toString('hex')}\n`, {
    mode: 0o600,
  })
  const alphaAgain = await fleet.start(again)
  const connected = new Promise((resolve) => back.network.events.on('connected', resolve))
  await back.network.connect(alphaAgain.address).catch(() => undefined)
  await connected
  await expect.poll(() => back.keys.lacking()).toBeUndefined()
  await rosterOnce(back.roster, () => back.roster.state.networkKey !== undefined)
  await expect.poll(() => back.keys.keys()[0]).toEqual(alphaAgain.keys.keys()[0])
  expect(back.counters.get('member_network_keys_renewed')).toBe(1)
})

test('the network key is not handed to who is no member, although it is connected', async () => {
  const { alpha } = await line('beta')
  const guest = await guestOf(alpha)
  const stream = await guest.open(alpha.id, KEYS)
  const reset = expect(once(stream, 'close')).rejects.toMatchObject({ code: 'stream_reset' })
  await sendMessage(stream, { type: 'ask', check: networkKeyCheck(alpha.keys.keys()[0] as Uint8Array) }).catch(
    () => undefined,
  )
  stream.resume()
  await reset
  expect(alpha.counters.get('member_network_key_refused')).toBe(1)
  expect(alpha.told).toContainEqual(expect.objectContaining({ what: 'network-key', outcome: 'refused', by: guest.id }))
})

test('a member that hands over another key than the announced one is not believed, and counted', async () => {
  const { home, alpha } = await line('beta')
  const mallory = await fleet.add(home, 'mallory')
  const network = testNetwork({
    privateKey: await rawPrivateKey(join(mallory.keysFolder, 'node.key')),
    proof: { networkId: () => alpha.roster.networkId, keys: () => alpha.keys.keys() },
  })
  guests.push(network)
  let hex = randomBytes(32).toString('hex')
  network.handle(KEYS, async (stream) => {
    await readMessage(stream)
    await sendMessage(stream, { type: 'key', key: hex })
    stream.end()
    stream.resume()
  })
  await network.start()
  const announced = new Uint8Array(randomBytes(32))
  await announceNetworkKey(home.author, networkKeyCheck(announced))
  await network.connect(alpha.address)
  await expect.poll(() => alpha.counters.get('member_network_keys_rejected')).toBeGreaterThan(0)
  expect(alpha.keys.lacking()).toBe(networkKeyCheck(announced))
  hex = Buffer.from(announced).toString('hex')
  await addNode(home.author, { id: idOfNobody(), name: 'echo', role: 'member' })
  await expect.poll(() => alpha.keys.keys()[0]).toEqual(announced)
})

test('a member gets a held key by its check, and nothing for another check', async () => {
  const { alpha, others } = await line('beta')
  const beta = others[0] as TestNode
  const ask = async (check: string): Promise<string | null> => {
    const stream = await beta.network.open(alpha.id, KEYS)
    await sendMessage(stream, { type: 'ask', check })
    stream.end()
    const answer = JSON.parse(String(await readMessage(stream)))
    stream.resume()
    return answer.key
  }
  const [key] = alpha.keys.keys() as [Uint8Array]
  expect(await ask(networkKeyCheck(key))).toBe(Buffer.from(key).toString('hex'))
  expect(await ask('0'.repeat(64))).toBeNull()
})

test('news with a statement that its author has not signed is refused, counted, and changes nothing', async () => {
  const { home, alpha, others } = await line('beta')
  const beta = others[0] as TestNode
  const forger = signerFromSeed(randomBytes(32))
  const [head] = home.roster.heads()
  const body = { id: idOfNobody(), name: 'mallory', role: 'operator', labels: {}, expires: null, revision: 1 }
  const said = {
    network: home.roster.networkId,
    author: alpha.id,
    key: home.author.authority.keyId,
    seq: (head?.seq ?? 0) + 1,
    prev: head?.hash,
    time: 1,
  }
  const payload = Buffer.from(JSON.stringify({ ...said, type: 'node', body }))
  const envelope = sealEnvelope({ payloadType: home.roster.genesis.envelope.payloadType, payload, signers: [forger] })
  const [signature] = envelope.signatures
  const keyid = home.author.authority.keyId
  const forged = encodeEnvelope({ ...envelope, signatures: [{ keyid, sig: signature?.sig as Uint8Array }] })
  const digest = alpha.roster.digest()
  const stream = await beta.network.open(alpha.id, NEWS)
  const reset = expect(once(stream, 'close')).rejects.toMatchObject({ code: 'stream_reset' })
  await sendMessage(stream, { statements: [forged.toString('base64')], signed_heads: [] })
  stream.end()
  stream.resume()
  await reset
  expect(alpha.roster.digest()).toBe(digest)
  expect(alpha.counters.get('member_statements_rejected')).toBe(1)
})

test.each([
  ['a second message', (): Uint8Array[] => [Buffer.from('{"statements":[],"signed_heads":[]}'), Buffer.from('{}')]],
  ['something else than JSON', (): Uint8Array[] => [randomBytes(300)]],
  ['another form', (): Uint8Array[] => [Buffer.from('{"statements":7}')]],
  ['a message that is too long', (): Uint8Array[] => [Buffer.alloc(513 * 1024, 32)]],
])('a stream of news with %s is reset', async (_what, messages) => {
  const { alpha, others } = await line('beta')
  const stream = await (others[0] as TestNode).network.open(alpha.id, NEWS)
  const reset = expect(once(stream, 'close')).rejects.toMatchObject({ code: 'stream_reset' })
  for (const message of messages()) await sendMessage(stream, message).catch(() => undefined)
  stream.end()
  stream.resume()
  await reset
})

test('news of more statements than anybody has to tell is refused unread: each would cost its reader an error', async () => {
  const { alpha, others } = await line('beta')
  const beta = others[0] as TestNode
  const merged: number[] = []
  const { merge } = alpha.roster
  alpha.roster.merge = (given) => {
    merged.push(given.length)
    return merge.call(alpha.roster, given)
  }
  const stream = await beta.network.open(alpha.id, NEWS)
  const reset = expect(once(stream, 'close')).rejects.toMatchObject({ code: 'stream_reset' })
  await sendMessage(stream, { statements: Array.from({ length: 100_000 }, () => ''), signed_heads: [] })
  stream.resume().end()
  await reset
  alpha.roster.merge = merge
  expect(merged.filter((count) => count > 1024)).toEqual([])
})

test('an admin with a restored roster signs nothing as long as its own signed head names an entry that is missing', async () => {
  const home = await fleet.found()
  const member = await fleet.add(home, 'beta')
  const folder = await fleet.makeFolder()
  await cp(home.folder, folder, { recursive: true })
  const lost = await addNode(home.author, { id: idOfNobody(), name: 'lost', role: 'member' })
  const signed = await home.roster.signedHeads.sign({ signer: home.author.authority, authorId: home.id })
  await member.roster.signedHeads.take([signed.envelope])
  const beta = await fleet.start(member)
  const alpha = await fleet.start(await fleet.open(folder))
  const confirmed = (): boolean => alpha.roster.ownLogConfirmed(alpha.id)
  await alpha.network.connect(beta.address)
  await expect.poll(() => alpha.roster.signedHeads.missing().length).toBe(1)
  await alpha.sync.whenExchanged(beta.id)
  expect(confirmed()).toBe(false)
  const stream = await beta.network.open(alpha.id, NEWS)
  await sendMessage(stream, { statements: [encodeEnvelope(lost.envelope).toString('base64')], signed_heads: [] })
  stream.resume().end()
  await expect.poll(confirmed).toBe(true)
})

test('a node that may have missed something compares its roster with all that it is connected with', async () => {
  const { alpha, others } = await line('beta')
  const beta = others[0] as TestNode
  let lose = (): void => undefined
  const compared: string[] = []
  beta.sync.stop()
  const sync = startRosterSync({
    ...beta,
    standing: {
      connected: () => undefined,
      disconnected: () => undefined,
      compared: (peer) => void compared.push(peer),
      onLost: (listener) => {
        lose = listener
        return () => undefined
      },
    },
    author: () => undefined,
    log: silentLogger,
    clock: systemClock,
  })
  try {
    await expect.poll(() => compared).toEqual([alpha.id])
    lose()
    await expect.poll(() => compared).toEqual([alpha.id, alpha.id])
  } finally {
    sync.stop()
  }
})

test('a node that missed an entry asks whoever tells it of a later one', async () => {
  const { home, alpha, others } = await line('beta')
  const beta = others[0] as TestNode
  const gone = new Promise((resolve) => beta.network.events.on('disconnected', resolve))
  await alpha.network.disconnect(beta.id)
  await gone
  await addNode(home.author, { id: idOfNobody(), name: 'one', role: 'member' })
  const second = await addNode(home.author, { id: idOfNobody(), name: 'two', role: 'member' })
  const waited = await beta.roster.merge([second.envelope])
  expect(waited.waiting).toBe(1)
  await alpha.network.connect(beta.address)
  await rosterOnce(beta.roster, () => beta.roster.digest() === alpha.roster.digest())
})

test('a removal is told to all nodes, and each ends its connection with the one that was removed', async () => {
  const home = await fleet.found()
  const homes = []
  for (let count = 1; count < 8; count++) homes.push(await fleet.add(home, `node-${count}`))
  for (const each of homes) await each.roster.merge(home.roster.entriesAfter([]))
  const nodes = [await fleet.start(home)]
  for (const each of homes) {
    const node = await fleet.start(each)
    await Promise.all(nodes.map((other) => node.network.connect(other.address)))
    nodes.push(node)
  }
  await Promise.all(nodes.map((node) => node.standing.whenCurrent(20_000)))
  const target = homes.at(-1)?.id as string
  const rest = nodes.filter(({ id }) => id !== target)
  const heard = rest.map(({ roster }) => rosterOnce(roster, () => roster.state.removed.has(target)))
  const cutOff = rest.map(
    ({ network }) =>
      new Promise<void>((resolve) => network.events.on('disconnected', ({ peer }) => peer === target && resolve())),
  )
  await removeNode(home.author, target)
  await Promise.all([...heard, ...cutOff])
  expect(rest.every(({ roster }) => roster.digest() === home.roster.digest())).toBe(true)
})

function idOfNobody(): string {
  return peerIdOf(signerFromSeed(randomBytes(32)).publicKey)
}

/** A node that is no member, and that the `authorized_peers` of `host` let in. */
async function guestOf(host: TestNode): Promise<Network> {
  const network = testNetwork({
    proof: { networkId: () => host.roster.networkId, keys: () => host.keys.keys() },
  })
  await network.start()
  guests.push(network)
  await writeFile(join(host.home.folder, 'authorized_peers'), `${network.id}\n`)
  await expect.poll(() => network.connect(host.address).catch(() => undefined)).toBe(host.id)
  return network
}
